"""Reads a study folder into views; the only place that knows how the stages write their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headscope.errors import HeadscopeError, StudyError
from headscope.functions import DEFAULT, MAIN, Taxonomy, load_taxonomy
from headscope.models.training_facts import TrainingFacts, read_facts
from headscope.report.atlas_source import read_atlas
from headscope.report.stage_sources import read_ablation, read_emphasis
from headscope.report.views import Run, StudyView
from headscope.report.wake_source import read_wake
from headscope.storage import read_json

if TYPE_CHECKING:
    from headscope.data.cases import Cases

T = TypeVar("T")
Row = dict[str, Any]
CAPTURE = "capture"
_WRONG = (HeadscopeError, KeyError, IndexError, TypeError, ValueError, AttributeError, OSError)


def read_study(folder: str | Path, cases: str | Path | Cases | None = None) -> StudyView:
    """All that a study folder holds so far.

    A stage that was not run is None in the view; a file that is there but cannot be read is named among
    ``problems``.

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
    read = _Reader(folder, problems)
    study = _dict(read.json("study.json"))
    taxonomy = _taxonomy(study, folder, problems)
    known = open_cases(cases, _data(study, {}).get("path"))
    answers = read(CAPTURE, lambda path: read_answers(path, known), needs=folder / CAPTURE / "shards")
    atlas = read("probe/atlas.json", read_atlas)
    return StudyView(
        folder=folder,
        run=_run(read, study, answers),
        answers=tuple(answers) if answers is not None else None,
        atlas=atlas,
        ablation=read("ablation.json", read_ablation),
        emphasis=read("emphasis.json", read_emphasis),
        wake=read("wake.json", read_wake),
        problems=tuple(problems),
        taxonomy=taxonomy,
        cases=known,
    )


def open_cases(cases: str | Path | Cases | None, named: Any = None) -> Cases | None:
    """The cases, given or found where the study names them; None where they cannot be read."""
    from headscope.data.cases import load_cases

    if cases is not None and not isinstance(cases, str | Path):
        return cases
    where = cases or named
    try:
        return load_cases(where, taxonomy=None) if where else None
    except _WRONG:
        return None


class _Reader:
    """Reads what is there; what is there but cannot be read becomes a sentence for the page."""

    def __init__(self, folder: Path, problems: list[str]) -> None:
        self.folder, self.problems = folder, problems

    def __call__(
        self,
        name: str,
        load: Callable[[Path], T],
        needs: Path | None = None,
        quiet: bool = False,
    ) -> T | None:
        where = self.folder / name
        if not (needs or where).exists():
            return None
        try:
            return load(where)
        except _WRONG as exc:
            if not quiet:
                reason = str(exc) if isinstance(exc, HeadscopeError) else f"{type(exc).__name__}: {exc}"
                self.problems.append(
                    f"{name} is there but cannot be read ({reason}); delete it and run its stage again."
                )
            return None

    def json(self, name: str) -> Any:
        """A JSON file of the folder, or None."""
        return self(name, read_json)


def read_answers(folder: Path, cases: Cases | None = None) -> list[Row]:
    """Rows of answers of a finished capture, each with the ``image`` of its case where that is known."""
    from headscope.capturing.store import open_answers
    from headscope.data.splits import picture_groups

    images = {} if cases is None else picture_groups(cases)
    return [{**row, "image": images.get(row["case"])} for row in open_answers(folder)]


def _taxonomy(study: Row, folder: Path, problems: list[str]) -> Taxonomy:
    """The taxonomy that the study names: a path, or the parts of one; the default nine otherwise."""
    named = study.get("taxonomy")
    try:
        if isinstance(named, str) and named not in ("", DEFAULT.name):
            path = Path(named)
            return load_taxonomy(path if path.exists() else folder / named)
        if isinstance(named, dict) and named.get("functions"):
            titles = named.get("titles") or named["functions"]
            titles = titles if isinstance(titles, dict) else {f: f.replace("_", " ") for f in titles}
            groups = {k: frozenset(named.get(k, ())) for k in ("spatial", "chain_only", "from_picture")}
            return Taxonomy(
                str(named.get("name", "taxonomy")), tuple(named["functions"]), titles=titles, **groups
            )
    except _WRONG as exc:
        problems.append(
            f"The taxonomy of study.json cannot be read ({exc}); the default nine functions are used."
        )
    return DEFAULT


def _training(study: Row, problems: list[str]) -> TrainingFacts:
    """What the model states of its training, as the study recorded it."""
    try:
        return read_facts(study["training"]) if "training" in study else TrainingFacts()
    except _WRONG as exc:
        problems.append(f"What study.json says of the model's training cannot be read ({exc}).")
        return TrainingFacts()


def _run(read: _Reader, study: Row, answers: list[Row] | None) -> Run:
    plan = _dict(read("capture/plan.json", read_json, quiet=True))
    atlas = _dict(read("probe/atlas.json", read_json, quiet=True))
    provenance = _dict(atlas.get("provenance"))
    seconds = _dict(read.json("timings.json"))
    return Run(
        model=_model(study, plan, provenance),
        data=_data(study, plan),
        cases=_cases(study, read, answers),
        steps=int(study.get("steps") or _count_steps(answers)),
        settings=_settings(study),
        versions={
            str(k): str(v) for k, v in _dict(study.get("versions") or provenance.get("versions")).items()
        },
        commands=tuple(_commands(study)),
        seconds={str(k): float(v) for k, v in seconds.items() if isinstance(v, int | float)},
        chosen=_dict(read.json("choices.json")),
        training=_training(study, read.problems),
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _model(study: Row, plan: Row, provenance: Row) -> dict[str, Any]:
    model = study.get("model")
    found = dict(model) if isinstance(model, dict) else {"name": model} if model else {}
    found.setdefault("name", plan.get("model_name") or provenance.get("model") or "")
    found.setdefault("revision", plan.get("model") or provenance.get("revision") or "")
    heads = _dict(plan.get("heads"))
    if heads.get("layer"):
        found.setdefault("layers", len(set(heads["layer"])))
        found.setdefault("heads", len(heads["layer"]))
    return found


def _data(study: Row, plan: Row) -> dict[str, Any]:
    data = study.get("data")
    found = dict(data) if isinstance(data, dict) else {"path": data} if data else {}
    found.setdefault("fingerprint", study.get("fingerprint") or plan.get("cases") or "")
    return found


def _cases(study: Row, read: _Reader, answers: list[Row] | None) -> dict[str, int]:
    counts = study.get("cases")
    if isinstance(counts, dict):
        return {s: int(counts.get(s, 0)) for s in ("fit", "select", "test")}
    splits = _dict(read.json("splits.json"))
    splits = _dict(splits.get("splits")) or splits
    if not splits:
        splits = {row["case"]: row.get("split") for row in answers or ()}
    held = Counter(splits.values())
    return {s: held[s] for s in ("fit", "select", "test")} if held else {}


def _count_steps(answers: list[Row] | None) -> int:
    return len({(r["case"], r["step"]) for r in answers or () if r["function"] != MAIN})


def _settings(study: Row) -> dict[str, Any]:
    known = (
        "model",
        "data",
        "versions",
        "commands",
        "command",
        "cases",
        "steps",
        "schema",
        "taxonomy",
        "load",
        "settings",
        "fingerprint",
        "training",
        "asked",
    )
    settings = {k: v for k, v in study.items() if k not in known}
    settings |= _dict(study.get("settings"))
    return {k: v for k, v in settings.items() if v is not None}


def _commands(study: Row) -> list[str]:
    found = study.get("commands") or study.get("command") or []
    if isinstance(found, str):
        return [found]
    if found and all(isinstance(part, str) and " " not in part for part in found):
        return [" ".join(found)]  # one command, given as its words
    return [part if isinstance(part, str) else " ".join(map(str, part)) for part in found]
