"""Whether the constructor of planted models is still the one that was frozen before any method was scored."""

from __future__ import annotations

import hashlib
from importlib import resources

MODULES = ("build", "glyphs", "heads", "plan", "questions", "stream", "words")
FROZEN = "9dc62833be8fece0"


def constructor_fingerprint() -> str:
    """Sixteen hex digits of SHA-256 over the constructor's source files, line ends as in the repository."""
    sha = hashlib.sha256()
    folder = resources.files("headscope.validation.planted")
    for name in MODULES:
        text = folder.joinpath(f"{name}.py").read_text("utf-8").replace("\r\n", "\n")
        sha.update(f"{name}\0{text}\0".encode())
    return sha.hexdigest()[:16]
