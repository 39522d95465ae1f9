"""Models: loading, head geometry and its proof, token spans and image grids, prompts and answers."""
