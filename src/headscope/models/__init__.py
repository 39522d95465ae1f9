"""Models: loading, heads and their proof, families, spans, image grids, prompts, answers, scored choices."""
