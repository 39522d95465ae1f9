"""Counterfactual pairs: two cases with the same question whose pictures differ in one fact."""
