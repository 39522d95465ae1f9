"""The charts of the report, by theme; each function returns a Figure, or None if there is nothing to show."""
