"""The pointing experiment: accuracy by style, waking of heads, and its controls."""
