"""Photographs with exact truth: questions and step chains whose answers follow from labelled boxes alone."""
