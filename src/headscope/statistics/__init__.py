"""Intervals, paired tests, false discovery rates and tables of accuracy; the unit is the picture."""
