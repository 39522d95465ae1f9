"""Asking: items, batches, generation, and the scoring of choices from the cached prompt."""
