"""What the survey of families found: the table that this version of headscope was released with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from headscope.errors import StoreError

RESULTS = Path(__file__).parent / "surveyed" / "results.json"
Status = Literal["PROVED", "PARTLY", "REFUSED"]


@dataclass(frozen=True)
class SurveyedFamily:
    """What the survey found of one family.

    Attributes:
        family: model type.
        class_name: the class that transformers loads it with.
        status: PROVED; PARTLY, if heads are proved and something else is not; REFUSED.
        reason: what does not hold and why, and what a reader has to know; empty if there is nothing to say.
        proofs: figure of each step by name, or its status where it has none; under ``heads`` in words which
            heads there are.
    """

    family: str
    class_name: str
    status: Status
    reason: str = ""
    proofs: dict[str, float | str] = field(default_factory=dict)

    @property
    def captured(self) -> bool:
        """Whether the heads of the prompt's positions can be captured and edited."""
        return self.status != "REFUSED" and isinstance(self.proofs.get("positions"), float)


def load(file: Path = RESULTS) -> list[SurveyedFamily]:
    """Its rows, by family.

    Raises:
        StoreError: the table is not there, or not what it should be.
    """
    try:
        return [SurveyedFamily(**row) for row in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as exc:
        raise StoreError(f"{file}: the survey of families cannot be read ({exc}); install again") from exc
