"""The charts of the report, by theme; each function returns a Figure, or None where there is nothing to show."""
