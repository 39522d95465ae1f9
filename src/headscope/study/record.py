"""What a study records of its model, data and settings when it is created, and how its model is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.data.cases import Cases
from headscope.errors import StudyError
from headscope.functions import DEFAULT, Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from headscope.models.vlm import VLM
    from headscope.study.given import Given

SCHEMA = "headscope/study/1"
FIRST_IMAGE_BACKEND = "pil"  # what studies read pictures with before they recorded it


def taxonomy_of(path: str | Path | None) -> Taxonomy:
    """The user's taxonomy, or the default nine."""
    return load_taxonomy(path) if path else DEFAULT


def load(name: str, device: str, dtype: str, options: Mapping[str, Any] | None = None) -> VLM:
    """The model of a study."""
    from headscope.models.vlm import load_model

    mapped = bool(options and "device_map" in options)  # a map places all parts
    return load_model(name, "cpu" if mapped else device, dtype, **(options or {}))


def checked_options(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Model options as a study records them: plain values, None where there are none.

    Raises:
        ModelError: an option that does not exist.
    """
    if not given:
        return None
    from headscope.models.placement import Options

    return Options.of(given)


def recorded_options(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Model options as ``study.json`` holds them: the image backend stands there by itself."""
    return {k: v for k, v in (options or {}).items() if k != "image_backend"} or None


def options_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a study's model is loaded with again, its image backend among them.

    Raises:
        StudyError: the study reads its pictures with torchvision, which is not here.
    """
    backend = str(record.get("image_backend") or FIRST_IMAGE_BACKEND)
    if backend == "torchvision":
        from transformers.utils import is_torchvision_available

        if not is_torchvision_available():
            raise StudyError(
                "the study reads its pictures with torchvision; here there is only pil, whose pixels differ: "
                "pip install torchvision, or start another study"
            )
    return {**(record.get("model_options") or {}), "image_backend": backend}


def checked_probe_device(name: str | None) -> None:
    """Refuse a device for the probes before anything is computed for them.

    Raises:
        StudyError: it is not there, or cannot compute with 64-bit numbers.
    """
    from headscope.probing.settings import ProbeSettings

    ProbeSettings(device=name or "cpu")


def settings_of(vlm: VLM, given: Given, cases: Cases, splits: dict[str, str]) -> dict[str, Any]:
    """What ``study.json`` records: what was given; device, number format and places as found in the model.

    Args:
        vlm: the model that ``given.model`` names, or is.
        given: with every setting that a new study needs.
    """
    import transformers
    from torch import __version__ as torch_version

    from headscope.models.loaded import loaded_as
    from headscope.models.training_facts import training_facts
    from headscope.version import __version__

    counts = Counter(splits.values())
    geometry, found = vlm.geometry, loaded_as(vlm)
    named = isinstance(given.model, str)
    asked = {"device": given.device, "dtype": given.dtype}
    return {
        "schema": SCHEMA,
        "load": given.model if named else _name_to_load(vlm),
        "model": {
            "name": vlm.name,
            "revision": vlm.confirmed_revision(),
            "parameters": vlm.parameters,
            "layers": geometry.n_layers,
            "heads": len(geometry.heads),
        },
        "image_backend": vlm.image_backend,
        "training": training_facts(vlm.folder).to_json(),
        "data": {"path": str(cases.folder), "fingerprint": cases.fingerprint},
        "cases": {s: counts[s] for s in ("fit", "select", "test")},
        "steps": sum(len(c.steps) for c in cases),
        "taxonomy": taxonomy_record(taxonomy_of(given.taxonomy)),
        "taxonomy_file": str(given.taxonomy) if given.taxonomy else None,
        "versions": {
            "headscope": __version__,
            "torch": str(torch_version),
            "transformers": transformers.__version__,
        },
        "size": given.size,
        "seed": given.seed,
        "batch_size": given.batch_size,
        "device": found.device,
        "dtype": found.dtype,
        "placement": found.placement,
        "asked": {k: v for k, v in asked.items() if v not in (None, getattr(found, k))},
        "model_options": recorded_options(given.model_options) if named else _options_in_memory(vlm),
    }


def _options_in_memory(vlm: VLM) -> dict[str, Any] | None:
    """Model options of a model that was handed over: its places as found, its kernel as it was asked for."""
    from headscope.models.loaded import loaded_as

    attention = vlm.loading.attention if vlm.loading is not None else None
    kernel = {"attention": attention} if attention is not None else {}
    return {**(loaded_as(vlm).options or {}), **kernel} or None


def _name_to_load(vlm: VLM) -> str | None:
    """What ``load_model`` is told to get a model that was handed over; None: it was wrapped in memory."""
    from headscope.models.embedded import weights_folder

    if vlm.folder is None:
        return None
    known = "/" in vlm.name or Path(vlm.folder) == weights_folder()
    return vlm.name if known else str(vlm.folder)


def taxonomy_record(taxonomy: Taxonomy) -> dict[str, Any]:
    """A taxonomy in plain values."""
    return {
        "name": taxonomy.name,
        "functions": list(taxonomy.functions),
        "titles": taxonomy.titles,
        "spatial": sorted(taxonomy.spatial),
        "chain_only": sorted(taxonomy.chain_only),
        "from_picture": sorted(taxonomy.from_picture),
    }


def same_taxonomy(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recorded taxonomies have the same functions in the same groups."""
    return all(one[k] == other[k] for k in ("functions", "spatial", "chain_only", "from_picture"))
