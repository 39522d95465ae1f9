"""Models in float64, and a finished capture."""

from asking.fixtures import cases, finished, llava64, qwen64, vlm64  # noqa: F401
