"""Asking: items, batches, readouts and one picture cache; a question read with what every head put out."""
