"""All that a study folder holds so far: the results of its stages, its answers, its cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from headscope.data.cases import Cases
from headscope.errors import HeadscopeError, StudyError
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.emphasis_result import EmphasisResult
from headscope.experiments.waking.wake_result import WakeResult
from headscope.functions import DEFAULT, Taxonomy
from headscope.models.training_facts import TrainingFacts
from headscope.probing.atlas import Atlas
from headscope.records import Artefact
from headscope.storage import Row, read_json
from headscope.study.places import find_cases
from headscope.study.record import FILE, StudyRecord
from headscope.study.stages import STAGES

T = TypeVar("T", bound=Artefact)
CAPTURE = "capture"


@dataclass(frozen=True)
class StudyContents:
    """What a study holds.

    Attributes:
        folder: of the study.
        record: its settings; None where they cannot be read.
        results: stage -> its result; a stage that was not run is absent.
        answers: rows of answers, each with the ``image`` of its case where that is known; None: not captured.
        cases: the data, for pictures; None where they cannot be read.
        seconds: wall time of each stage.
        chosen: what each stage froze before ``test`` was read.
        problems: files that could not be read, in words.
    """

    folder: Path
    record: StudyRecord | None = None
    results: Mapping[str, Artefact] = field(default_factory=dict)
    answers: tuple[Row, ...] | None = None
    cases: Cases | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    chosen: Row = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def of(self, kind: type[T]) -> T | None:
        """The result of a type, None where its stage was not run."""
        return next((r for r in self.results.values() if isinstance(r, kind)), None)

    @property
    def atlas(self) -> Atlas | None:
        """Rankings of heads."""
        return self.of(Atlas)

    @property
    def ablation(self) -> AblationResult | None:
        """What muting did."""
        return self.of(AblationResult)

    @property
    def emphasis(self) -> EmphasisResult | None:
        """What turning up did."""
        return self.of(EmphasisResult)

    @property
    def wake(self) -> WakeResult | None:
        """What pointing did."""
        return self.of(WakeResult)

    @property
    def taxonomy(self) -> Taxonomy:
        """The functions of the study."""
        return self.record.taxonomy.taxonomy if self.record else DEFAULT

    @property
    def training(self) -> TrainingFacts:
        """What the model states of its training."""
        return self.record.training.facts if self.record else TrainingFacts()

    @property
    def model_name(self) -> str:
        """The model's name, empty where it is not known."""
        return self.record.model.name if self.record else ""

    @property
    def functions(self) -> list[str]:
        """Functions of the taxonomy that occur, then others found in the answers."""
        known = list(self.taxonomy.functions)
        found = {row["function"] for row in self.answers or ()}
        extra = sorted(found - set(known) - {"main"})
        return [f for f in known if f in found or not found] + extra

    def ran(self, stage: str) -> bool:
        """Whether a stage has something to show."""
        return self.answers is not None if stage == CAPTURE else stage in self.results

    def having(self, **results: Artefact | None) -> StudyContents:
        """The same with other results, by stage; None takes one away."""
        found = {stage: r for stage, r in {**self.results, **results}.items() if r is not None}
        return replace(self, results=found)


def read_contents(folder: str | Path, cases: str | Path | Cases | None = None) -> StudyContents:
    """Read a study folder; a file that is there but cannot be read is named among ``problems``.

    Args:
        folder: the study folder.
        cases: the cases, or their folder; by default the folder that ``study.json`` names. Without them there
            are no example pictures, and intervals take each case for a picture of its own.

    Raises:
        StudyError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"asked for a report on {folder}, found no such folder; name a study folder")
    problems: list[str] = []

    def read(name: str, kind: type[T]) -> T | None:
        if not (folder / name).exists():
            return None
        try:
            return kind.load(folder / name)
        except HeadscopeError as exc:
            problems.append(f"{name} is there but cannot be read: {exc}.")
            return None

    def read_plain(name: str) -> Row:
        try:
            found = read_json(folder / name) if (folder / name).exists() else {}
        except HeadscopeError as exc:
            problems.append(f"{name} is there but cannot be read: {exc}.")
            return {}
        return found if isinstance(found, dict) else {}

    record = read(FILE, StudyRecord)
    known = _cases(cases, record, folder)
    results = {
        row.name: read(row.file, row.result_type) for row in STAGES if not row.again and row.name != CAPTURE
    }
    seconds = read_plain("timings.json")
    return StudyContents(
        folder=folder,
        record=record,
        results={stage: r for stage, r in results.items() if r is not None},
        answers=_answers(folder / CAPTURE, known, problems),
        cases=known,
        seconds={str(k): float(v) for k, v in seconds.items() if isinstance(v, int | float)},
        chosen=read_plain("choices.json"),
        problems=tuple(problems),
    )


def _cases(cases: str | Path | Cases | None, record: StudyRecord | None, folder: Path) -> Cases | None:
    """The cases, given or found where the study names them; None where they cannot be read."""
    from headscope.data.cases import load_cases

    if isinstance(cases, Cases):
        return cases
    try:
        if cases:
            return load_cases(cases, taxonomy=None)
        return find_cases(record, folder) if record else None
    except HeadscopeError:
        return None


def read_answers(folder: Path, cases: Cases | None = None) -> list[Row]:
    """Rows of answers of a finished capture, each with the ``image`` of its case where that is known."""
    from headscope.capturing.store import open_answers
    from headscope.data.splits import picture_groups

    images = {} if cases is None else picture_groups(cases)
    return [{**row, "image": images.get(row["case"])} for row in open_answers(folder)]


def _answers(folder: Path, cases: Cases | None, problems: list[str]) -> tuple[Row, ...] | None:
    if not (folder / "shards").exists():
        return None
    try:
        return tuple(read_answers(folder, cases))
    except HeadscopeError as exc:
        problems.append(f"{CAPTURE} is there but cannot be read: {exc}.")
        return None
