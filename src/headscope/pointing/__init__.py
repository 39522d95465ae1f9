"""Pointing: boxes and their sources, and the styles that mark them in a picture."""
