"""Edits of attention heads: what they do, how they act, reference vectors, and baking into weights."""
