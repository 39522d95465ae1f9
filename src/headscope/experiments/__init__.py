"""The experiments: causal scan, muting, emphasis, and their controls, choices and effects."""
