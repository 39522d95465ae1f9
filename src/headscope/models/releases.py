"""Releases of transformers that headscope was tried with, and what the survey found on each."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from headscope.errors import ModelError, UntriedReleaseWarning

TRIED = Path(__file__).parent / "surveyed" / "releases.json"
ABSENT = "absent"
"""Status of a family that a release does not have."""
Found = Mapping[str, tuple[str, str]]
"""What the survey found on one release: family -> status and reason."""


@dataclass(frozen=True)
class Release:
    """What ``make survey-matrix`` found on one release.

    Attributes:
        release: version of transformers.
        classes: how many image-text-to-text classes it maps.
        proved, partly, refused: how many rows of the survey have each status.
        passed, failed: tests of the model rooms that ran there.
    """

    release: str
    classes: int
    proved: int
    partly: int
    refused: int
    passed: int
    failed: int


@dataclass(frozen=True)
class SurveyDifference:
    """A family whose row on a release is another than on the newest."""

    release: str
    family: str
    status: str
    reason: str


@dataclass(frozen=True)
class TriedReleases:
    """All releases, the newest first, and where their rows differ from the newest one's."""

    releases: tuple[Release, ...]
    differences: tuple[SurveyDifference, ...]

    @property
    def newest(self) -> str:
        """The newest release."""
        return self.releases[0].release

    @property
    def oldest(self) -> str:
        """The oldest release."""
        return self.releases[-1].release

    @property
    def bounds(self) -> str:
        """What ``pyproject.toml`` admits: the minor releases that were tried, and no other.

        Example:
            >>> newest, oldest = (Release(name, 1, 1, 0, 0, 1, 0) for name in ("5.20.1", "5.18.0"))
            >>> TriedReleases((newest, oldest), ()).bounds
            '>=5.18.0,<5.21,!=5.19.*'
        """
        major, minor = minor_of(self.newest)
        between = range(minor_of(self.oldest)[1], minor) if minor_of(self.oldest)[0] == major else ()
        left_out = "".join(f",!={major}.{m}.*" for m in between if (major, m) not in self.minors)
        return f">={self.oldest},<{major}.{minor + 1}{left_out}"

    @property
    def minors(self) -> frozenset[tuple[int, int]]:
        """Major and minor numbers of the releases."""
        return frozenset(minor_of(one.release) for one in self.releases)

    def found(self, release: str, newest: Found) -> dict[str, tuple[str, str]]:
        """What the survey found on a release, given what it found on the newest one."""
        result = dict(newest)
        for one in self.differences:
            if one.release == release and one.status == ABSENT:
                del result[one.family]
            elif one.release == release:
                result[one.family] = (one.status, one.reason)
        return result


@cache
def tried() -> TriedReleases:
    """The releases that this version of headscope was tried with."""
    raw = json.loads(TRIED.read_text("utf-8"))
    return TriedReleases(
        tuple(Release(**one) for one in raw["releases"]),
        tuple(SurveyDifference(**one) for one in raw["differences"]),
    )


def minor_of(release: str) -> tuple[int, int]:
    """Major and minor number of a version.

    Example:
        >>> minor_of("5.24.0.dev1")
        (5, 24)
    """
    major, minor = release.split(".")[:2]
    return int(major), int(minor)


def check_release(installed: str) -> None:
    """Say so where the installed transformers is none of the minor releases that were tried.

    Args:
        installed: its version.

    Raises:
        ModelError: it is older than the oldest of them; too much is missing there.
    """
    known = tried()
    version = minor_of(installed)
    advice = f"pip install 'transformers{known.bounds}'"
    if version < minor_of(known.oldest):
        raise ModelError(
            f"transformers {installed} is installed; the oldest release that headscope works with is "
            f"{known.oldest}: {advice}"
        )
    if version not in known.minors:
        tried_ones = ", ".join(one.release for one in known.releases)
        warnings.warn(
            f"transformers {installed} is installed; headscope was tried with {tried_ones}. The proof at "
            f"load tells whether this model's heads are found; if it is refused, try {advice}",
            UntriedReleaseWarning,
            stacklevel=3,
        )


def other_release(family: str, installed: str) -> str:
    """Where a family that failed on the installed transformers held, as the end of a message; else empty."""
    known = tried()
    held = [
        d.release
        for d in known.differences
        if d.family == family and d.status in ("PROVED", "PARTLY") and d.release != installed
    ]
    if minor_of(installed) != minor_of(known.newest) or not held:
        return ""
    return f"; its heads are proved with transformers {held[0]}: pip install 'transformers=={held[0]}'"
