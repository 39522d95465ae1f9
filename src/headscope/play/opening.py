"""A playground from what the command line names: a model, or a study with its model, cases and directions."""

from __future__ import annotations

from pathlib import Path

from headscope.errors import StudyError
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.options import directions
from headscope.models.embedded import atlas_file
from headscope.models.vlm import VLM, load_model
from headscope.play.picture_shelf import PictureShelf
from headscope.play.playground import READOUT, Playground
from headscope.probing.atlas import Atlas
from headscope.study.study import Study

_MOST_CASES = 400  # of a study that the page lists


def open_playground(
    model: str | None = None, study: Path | None = None, device: str | None = None, dtype: str | None = None
) -> Playground:
    """Load the model and what is known of its heads.

    Args:
        model: as :func:`headscope.load_model` takes it; by default the study's, or the embedded one.
        study: folder of a study: its cases can be picked, its atlas names heads, its capture gives steering
            directions.
        device: where the model runs; ``cpu`` by default. A study has a device of its own.
        dtype: number format of the weights; ``float32`` by default. A study has one of its own.

    Raises:
        StudyError: a model, device or dtype beside a study, or no study in the folder.
        ModelError: the model cannot be loaded.
    """
    if study is None:
        name = model or "embedded"
        vlm = load_model(name, device=device or "cpu", dtype=dtype or "float32")
        return Playground(vlm, PictureShelf(), _shipped_atlas(vlm), name=name)
    for option, given in (("--model", model), ("--device", device), ("--dtype", dtype)):
        if given is not None:
            raise StudyError(f"{option} {given}: a study has its own; leave {option} out, or --study")
    opened = Study(study)
    cases = opened.cases
    by_split = sorted(cases, key=lambda c: opened.splits[c.id] != "test")[:_MOST_CASES]
    file = study / "probe" / "atlas.json"
    atlas = Atlas.load(file) if file.exists() else _shipped_atlas(opened.vlm)
    functions = opened.taxonomy.functions
    found = directions(study / "capture", functions, READOUT) if (study / "capture").is_dir() else {}
    return Playground(
        opened.vlm,
        PictureShelf(by_split, cases),
        atlas,
        claimed=_claimed(study),
        directions=found,
        taxonomy=opened.taxonomy,
        name=opened.record.model.name,
        study=str(study),
    )


def _claimed(study: Path) -> dict[str, tuple[str, ...]]:
    """Function -> heads that may be called functional by the study's muting."""
    file = study / "ablation.json"
    if not file.exists():
        return {}
    found = AblationResult.load(file)
    return {name: tuple(found.functions[name].heads) for name in found.claimed}


def _shipped_atlas(vlm: VLM) -> Atlas | None:
    """The atlas that ships with the embedded model, where this is that model."""
    if not atlas_file().exists():
        return None
    atlas = Atlas.load(atlas_file())
    return atlas if atlas.provenance.revision == vlm.revision else None
