"""The survey: one tiny random model for each image-text-to-text family that transformers can load."""
