"""What a study records of its model and data when it is created, and how it refuses others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.data.cases import Cases
from headscope.errors import StudyError
from headscope.functions import DEFAULT, Taxonomy, load_taxonomy
from headscope.storage import read_json

if TYPE_CHECKING:
    from headscope.models.vlm import VLM

SCHEMA = "headscope/study/1"
# What studies read pictures with before they recorded it.
_FIRST_IMAGE_BACKEND = "pil"


def taxonomy_of(path: str | Path | None) -> Taxonomy:
    """The user's taxonomy, or the default nine."""
    return load_taxonomy(path) if path else DEFAULT


def load(name: str, device: str, dtype: str, options: Mapping[str, Any] | None = None) -> VLM:
    """The model of a study."""
    from headscope.models.vlm import load_model

    return load_model(name, device=device, dtype=dtype, **(options or {}))


def checked_options(model: str | VLM, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Model options in plain values; None where there are none.

    Raises:
        ModelError: an option that does not exist. StudyError: options for a model that is loaded already.
    """
    if not given:
        return None
    if not isinstance(model, str):
        raise StudyError("model options are for a model that is still to be loaded; give them to load_model")
    from headscope.models.placement import Options

    return Options.of(given)


def recorded_options(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Model options as ``study.json`` holds them: the image backend stands there by itself."""
    return {k: v for k, v in (options or {}).items() if k != "image_backend"} or None


def image_backend_for(folder: Path, options: Mapping[str, Any] | None) -> str:
    """What a study's model is to read pictures with: what was asked for, else what the study began with.

    Args:
        folder: of the study, which may not be there yet.
        options: model options as :func:`checked_options` returns them.

    Raises:
        StudyError: another than the study began with, or one that is not here.
    """
    asked = str((options or {}).get("image_backend", "auto"))
    path = folder / "study.json"
    if not path.exists():
        return asked
    began = str(read_json(path).get("image_backend", _FIRST_IMAGE_BACKEND))
    if asked == "auto":
        from transformers.utils import is_torchvision_available

        if began == "torchvision" and not is_torchvision_available():
            raise StudyError(
                f"{folder}: holds a study that reads its pictures with torchvision; here there is only pil, "
                "whose pixels differ: pip install torchvision, or name another folder"
            )
        return began
    refuse_other_image_backend(folder, began, asked)
    return asked


def refuse_other_image_backend(folder: Path, began: str | None, asked: str) -> None:
    """A study reads all its pictures in one way.

    Raises:
        StudyError: it began with another image backend.
    """
    began = began or _FIRST_IMAGE_BACKEND
    if asked != began:
        raise StudyError(
            f"{folder}: holds a study that reads its pictures with {began}, asked for {asked}, whose pixels "
            f"differ; say image backend {began} (--image-backend, load_model's image_backend), or name "
            "another folder"
        )


def checked_probe_device(name: str | None) -> None:
    """Refuse a device for the probes before anything is computed for them.

    Raises:
        StudyError: it is not there, or cannot compute with 64-bit numbers.
    """
    from headscope.probing.settings import ProbeSettings

    ProbeSettings(device=name or "cpu")


def settings_of(
    vlm: VLM, model: str | VLM, cases: Cases, splits: dict[str, str], taxonomy: Taxonomy, file: Any
) -> dict[str, Any]:
    """What ``study.json`` records."""
    import transformers
    from torch import __version__ as torch_version

    from headscope import __version__
    from headscope.models.embedded import TRAINED_THINGS

    counts = Counter(splits.values())
    geometry = vlm.geometry
    trained = {"trained_things": list(TRAINED_THINGS)} if model == "embedded" else {}
    return {
        **trained,
        "schema": SCHEMA,
        "load": model if isinstance(model, str) else str(vlm.folder or vlm.name),
        "image_backend": vlm.image_backend,
        "model": {
            "name": vlm.name,
            "revision": vlm.revision,
            "parameters": vlm.parameters,
            "layers": geometry.n_layers,
            "heads": len(geometry.heads),
        },
        "data": {"path": str(cases.folder), "fingerprint": cases.fingerprint},
        "cases": {s: counts[s] for s in ("fit", "select", "test")},
        "steps": sum(len(c.steps) for c in cases),
        "taxonomy": {
            "name": taxonomy.name,
            "functions": list(taxonomy.functions),
            "titles": taxonomy.titles,
            "spatial": sorted(taxonomy.spatial),
            "chain_only": sorted(taxonomy.chain_only),
            "from_picture": sorted(taxonomy.from_picture),
        },
        "taxonomy_file": str(file) if file else None,
        "versions": {
            "headscope": __version__,
            "torch": str(torch_version),
            "transformers": transformers.__version__,
        },
    }


def refuse_others(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A study is one set of settings."""
    if "image_backend" in wanted:
        refuse_other_image_backend(folder, found.get("image_backend"), wanted["image_backend"])
    for key, value in wanted.items():
        there = found.get(key)
        if key in ("versions", "load", "taxonomy_file", "probe_device", "image_backend") or there == value:
            continue
        if key == "data" and there and there["fingerprint"] == value["fingerprint"]:
            continue
        raise StudyError(
            f"{folder}: holds a study with {key} {there!r}, asked for {value!r}; name another folder"
        )
