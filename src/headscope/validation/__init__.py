"""Known answers: models with planted heads, models with nothing to find, and how the method fares on both."""
