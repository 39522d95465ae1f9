"""English words for small numbers, for every part that reads them in answers."""

from __future__ import annotations

from collections.abc import Sequence

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
NUMBER_WORDS: Sequence[str] = tuple(f"{_SMALL} fifteen sixteen seventeen eighteen nineteen twenty".split())
