"""What came of each step of a thorough check."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from headscope.errors import HeadscopeError
from headscope.models.proofs.proof_steps import HELD

FAILED = "failed"
SCHEMA = "headscope/acceptance/1"
Status = Literal["held", "refused", "not applicable", "failed"]


class StepFinding(NamedTuple):
    """What a step found.

    Attributes:
        shown: what was tried, in words.
        figure: what came out, in words with units.
        status: ``held``; ``refused`` (the model does not do this); ``not applicable``; ``failed`` (it does it
            wrongly, or ended in an error that nobody foresaw).
        reason: why, where it did not hold.
    """

    shown: str
    figure: str = ""
    status: Status = "held"
    reason: str = ""


@dataclass(frozen=True)
class StepResult:
    """One step: its finding, how long it took, and the most memory in use up to its end."""

    name: str
    shown: str
    figure: str
    status: Status
    reason: str
    seconds: float
    peak_gb: float


@dataclass
class Acceptance:
    """A thorough check of one checkpoint.

    Attributes:
        model, family, revision: what was checked; the last two are empty where it could not be loaded.
        environment: what it was checked with: versions, device, number format, image backend.
        proof: its steps, as :meth:`headscope.models.proofs.proof_steps.Proof.to_json` gives them.
        results: the steps in order.
    """

    model: str
    family: str = ""
    revision: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    proof: dict[str, dict[str, str | float | None]] = field(default_factory=dict)
    results: list[StepResult] = field(default_factory=list)

    @property
    def status(self) -> str:
        """``PROVED`` if every step held, ``REFUSED`` if it has no proof or a step failed, else ``PARTLY``."""
        found = {r.status for r in self.results}
        if FAILED in found or not self.proof:
            return "REFUSED"
        return "PROVED" if found == {HELD} else "PARTLY"

    @property
    def reason(self) -> str:
        """Why it is not ``PROVED``."""
        return "; ".join(f"{r.name} {r.status}: {r.reason}" for r in self.results if r.status != HELD)

    def to_json(self) -> dict[str, object]:
        """All of it, in plain values."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "family": self.family,
            "revision": self.revision,
            "status": self.status,
            "reason": self.reason,
            "environment": self.environment,
            "proof": self.proof,
            "results": [asdict(r) for r in self.results],
        }

    def run(self, name: str, step: Callable[[], StepFinding]) -> StepResult:
        """Run one step and keep its result; what it raises becomes a result too."""
        start = time.perf_counter()
        try:
            found = step()
        except HeadscopeError as exc:
            found = StepFinding("", status="refused", reason=str(exc))
        except Exception as exc:  # odd models fail in odd places; the page says where and as what
            found = StepFinding("", status="failed", reason=f"{type(exc).__name__}: {_first_line(exc)}")
        seconds = round(time.perf_counter() - start, 2)
        result = StepResult(name, found.shown, found.figure, found.status, found.reason, seconds, peak_gb())
        self.results.append(result)
        return result

    def save(self, page: Path, text: str) -> tuple[Path, Path]:
        """Write the page and, beside it, the same as JSON; their paths."""
        data = page.with_suffix(".json")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8")
        same = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        data.write_text(same + "\n", "utf-8")
        return page, data


def peak_gb() -> float:
    """Most memory in use by this process so far, of the host and of the GPU if there is one: GB (1e9)."""
    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    device = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    return round(host + device, 2)


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [""])[0][:300]
