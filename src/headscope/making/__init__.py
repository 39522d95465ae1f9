"""Making cases: drawn scenes, photographs from boxes, decomposition into steps, and review."""
