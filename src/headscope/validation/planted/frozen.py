"""Whether planted models are still built as they were when frozen, before any method was scored on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources

from headscope.errors import StudyError

MODULES = ("build", "glyphs", "heads", "plan", "questions", "stream", "words")
FROZEN = "9dc62833be8fece0"
# The second version adds levels; it stands on the first, which stays as it was scored.
EXTENDED = (*MODULES, "harder_build", "harder_heads", "harder_plan")
FROZEN_EXTENDED = "9f242886b9d27811"


def constructor_fingerprint(modules: Sequence[str] = MODULES) -> str:
    """Sixteen hex digits of SHA-256 over the constructor's source files, line ends as in the repository."""
    sha = hashlib.sha256()
    folder = resources.files("headscope.validation.planted")
    for name in modules:
        text = folder.joinpath(f"{name}.py").read_text("utf-8").replace("\r\n", "\n")
        sha.update(f"{name}\0{text}\0".encode())
    return sha.hexdigest()[:16]


def check_frozen() -> str:
    """The fingerprints of both versions, where they are those that were frozen.

    Raises:
        StudyError: a constructor changed.
    """
    for modules, frozen in ((MODULES, FROZEN), (EXTENDED, FROZEN_EXTENDED)):
        found = constructor_fingerprint(modules)
        if found != frozen:
            raise StudyError(
                f"the constructor of planted models changed (found {found}, frozen {frozen}); put it back, "
                "or freeze the new one before any method is scored on it"
            )
    return f"{FROZEN}+{FROZEN_EXTENDED}"
