"""Capture: ask questions in batches, keep pooled head outputs and scored answers, in shards on disk."""
