"""Training of the small model that ships: scenes into episodes, packed batches, the recipe."""
