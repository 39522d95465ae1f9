"""Published benchmarks: how their files are read, and how each is scored by its own rule."""
