"""Scenes of flat things on a background: kinds, sprites and their use."""
