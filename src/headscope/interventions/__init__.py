"""Edits of attention heads, fair controls for them, and the experiments that rest on both."""
