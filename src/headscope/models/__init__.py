"""Models: loading, heads and their proof, families, spans and image grids, prompts, answers, scored choices."""
