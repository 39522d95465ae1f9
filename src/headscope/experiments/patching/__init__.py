"""Counterfactual pairs: which heads carry the fact that differs between two pictures."""
