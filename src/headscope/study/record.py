"""What a study records of its model, data and settings when it is created, and how its model is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from headscope.data.cases import Cases
from headscope.errors import StudyError
from headscope.functions import DEFAULT, Taxonomy, load_taxonomy
from headscope.models.training_facts import TrainingFacts
from headscope.records import Artefact, JsonObject, Record
from headscope.storage import fingerprint

if TYPE_CHECKING:
    from headscope.models.placement import LoadOptions, ModelOptions
    from headscope.models.vlm import VLM
    from headscope.study.requested_settings import RequestedSettings

FILE = "study.json"
FIRST_IMAGE_BACKEND = "pil"  # what studies read pictures with before they recorded it


class StudyModel(Record):
    """The model of a study.

    Attributes:
        name, revision: hub id or folder, and commit or fingerprint.
        parameters, layers, heads: how many.
        local: whether it is a folder that lies somewhere on this machine.
        beside: the way to that folder from the study's, where it lies outside.
    """

    name: str
    revision: str
    parameters: int | None = None
    layers: int | None = None
    heads: int | None = None
    local: bool = False
    beside: str | None = None


class StudyData(Record):
    """The cases of a study.

    Attributes:
        path, fingerprint: their folder, from the study's where they lie inside it, else absolute; and what
            tells whether they changed.
        beside: the way from the study's folder, where they lie outside.
    """

    path: str
    fingerprint: str
    beside: str | None = None


class TaxonomyRecord(Record):
    """The functions of a study, and their groups.

    Attributes:
        name, functions, titles: as in the taxonomy's file.
        spatial, chain_only, from_picture: groups of functions.
        stands_for: functions of other taxonomies -> the own one that takes them in.
    """

    name: str
    functions: tuple[str, ...]
    titles: dict[str, str] = Field(default_factory=dict)
    spatial: tuple[str, ...] = ()
    chain_only: tuple[str, ...] = ()
    from_picture: tuple[str, ...] = ()
    stands_for: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> TaxonomyRecord:
        """A taxonomy in plain values."""
        return cls(
            name=taxonomy.name,
            functions=taxonomy.functions,
            titles=taxonomy.titles,
            spatial=tuple(sorted(taxonomy.spatial)),
            chain_only=tuple(sorted(taxonomy.chain_only)),
            from_picture=tuple(sorted(taxonomy.from_picture)),
            stands_for=dict(taxonomy.stands_for),
        )

    @property
    def taxonomy(self) -> Taxonomy:
        """The taxonomy itself."""
        return Taxonomy(
            self.name,
            self.functions,
            spatial=frozenset(self.spatial),
            chain_only=frozenset(self.chain_only),
            from_picture=frozenset(self.from_picture),
            titles=self.titles,
            stands_for=self.stands_for,
        )

    def same_as(self, other: TaxonomyRecord) -> bool:
        """Whether both have the same functions in the same groups."""
        names = ("functions", "spatial", "chain_only", "from_picture", "stands_for")
        return all(getattr(self, n) == getattr(other, n) for n in names)


class TrainingRecord(Record):
    """What the model states of its training.

    Attributes:
        things: fewest and most things in the pictures that it was trained on; null: not known.
        held_out: in which ways cases may be new to it; empty: not known.
    """

    things: tuple[int, int] | None = None
    held_out: tuple[str, ...] = ()

    @property
    def facts(self) -> TrainingFacts:
        """The same as the model's room knows it."""
        return TrainingFacts(self.things, self.held_out)


class SplitCounts(Record):
    """Cases of each split.

    Attributes:
        fit, select, test: how many.
    """

    fit: int = 0
    select: int = 0
    test: int = 0


class StudyRecord(Artefact):
    """The settings of a study, fixed when it is created.

    Attributes:
        load, model_options: what loads the model again: a name and options (device map, memory, quantisation,
            attention), or null.
        model: the model.
        image_backend: what pictures are read with, ``pil`` or ``torchvision``; ``pil`` if absent.
        training: what the model states of its training.
        data: the cases.
        splits: fingerprint of ``splits.json``; what is lost of it is made again from cases and seed.
        cases, steps: how many, by split.
        taxonomy, taxonomy_file: the functions, and the user's file of them, or the name of shipped ones.
        versions: of the packages that the study began with.
        size, seed, batch_size: as given.
        stage_settings: stage -> settings that were given for it, beside those of the size.
        device, dtype, placement: as found in the loaded model.
        asked: the words that asked for them, where they differ, such as ``auto``.
        probe_device: where permutations of the probes are scored; may change between runs.
    """

    schema_: Literal["headscope/study/1"] = Field(default="headscope/study/1", alias="schema")
    load_: str | None = Field(alias="load")
    model: StudyModel
    image_backend: str | None = None
    training: TrainingRecord = Field(default_factory=TrainingRecord)
    data: StudyData
    splits: str | None = None
    cases: SplitCounts
    steps: int
    taxonomy: TaxonomyRecord
    taxonomy_file: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    size: str
    seed: int
    batch_size: int
    stage_settings: dict[str, JsonObject] = Field(default_factory=dict)
    device: str
    dtype: str
    placement: dict[str, str] | None = None
    asked: dict[str, str] = Field(default_factory=dict)
    model_options: JsonObject | None = None
    probe_device: str | None = None

    @property
    def backend(self) -> str:
        """What pictures are read with."""
        return self.image_backend or FIRST_IMAGE_BACKEND

    def options(self) -> LoadOptions:
        """The options that the model is loaded with again, its image backend among them.

        Raises:
            StudyError: the study reads its pictures with torchvision, which is not here.
        """
        if self.backend == "torchvision":
            from transformers.utils import is_torchvision_available

            if not is_torchvision_available():
                raise StudyError(
                    "the study reads its pictures with torchvision; here there is only pil, whose pixels "
                    "differ: pip install torchvision, or start another study"
                )
        return cast("LoadOptions", {**(self.model_options or {}), "image_backend": self.backend})


def taxonomy_of(given: str | Path | Taxonomy | None) -> Taxonomy:
    """A taxonomy itself, a shipped one by name, the user's file, or the default nine."""
    if isinstance(given, Taxonomy):
        return given
    return load_taxonomy(given) if given else DEFAULT


def load(name: str, device: str, dtype: str, options: LoadOptions | None = None) -> VLM:
    """The model of a study."""
    from headscope.models.vlm import load_model

    mapped = bool(options and "device_map" in options)  # a map places all parts
    return load_model(name, "cpu" if mapped else device, dtype, **(options or {}))


def checked_options(given: ModelOptions | None) -> ModelOptions | None:
    """Model options as a study records them: plain values, None where there are none.

    Raises:
        ModelError: an option that does not exist.
    """
    if not given:
        return None
    from headscope.models.placement import RecordedOptions

    return RecordedOptions.of(given)


def recorded_options(options: LoadOptions | None) -> JsonObject | None:
    """Model options as ``study.json`` holds them: the image backend stands there by itself."""
    kept = {k: v for k, v in (options or {}).items() if k != "image_backend"}
    return cast(JsonObject, kept) or None


def checked_probe_device(name: str | None) -> None:
    """Refuse a device for the probes before anything is computed for them.

    Raises:
        StudyError: it is not there, or cannot compute with 64-bit numbers.
    """
    from headscope.probing.settings import ProbeSettings

    ProbeSettings(device=name or "cpu")


def record_of(
    vlm: VLM, given: RequestedSettings, cases: Cases, splits: Mapping[str, str], probe_device: str
) -> StudyRecord:
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
    geometry, found, facts = vlm.geometry, loaded_as(vlm), training_facts(vlm.folder)
    named = isinstance(given.model, str)
    asked = {"device": given.device, "dtype": given.dtype}
    more = {"stage_settings": given.settings} if given.settings else {}
    return StudyRecord.model_validate(
        {
            "load": given.model if named else _name_to_load(vlm),
            "model": StudyModel(
                name=vlm.name,
                revision=vlm.confirmed_revision(),
                parameters=vlm.parameters,
                layers=geometry.n_layers,
                heads=len(geometry.heads),
            ),
            "image_backend": vlm.image_backend,
            "training": TrainingRecord(things=facts.things, held_out=facts.held_out),
            "data": StudyData(path=str(cases.folder), fingerprint=cases.fingerprint),
            "splits": fingerprint(dict(splits)),
            "cases": SplitCounts(**{s: counts[s] for s in ("fit", "select", "test")}),
            "steps": sum(len(c.steps) for c in cases),
            "taxonomy": TaxonomyRecord.of(taxonomy_of(given.taxonomy)),
            "taxonomy_file": str(given.taxonomy) if isinstance(given.taxonomy, str | Path) else None,
            "versions": {
                "headscope": __version__,
                "torch": str(torch_version),
                "transformers": transformers.__version__,
            },
            "size": given.size,
            "seed": given.seed,
            "batch_size": given.batch_size,
            **more,
            "device": found.device,
            "dtype": found.dtype,
            "placement": found.placement,
            "asked": {k: v for k, v in asked.items() if v not in (None, getattr(found, k))},
            "model_options": recorded_options(given.model_options) if named else _options_in_memory(vlm),
            "probe_device": probe_device,
        }
    )


def _options_in_memory(vlm: VLM) -> LoadOptions | None:
    """Model options of a model that was handed over: its places as found, its kernel as it was asked for."""
    from headscope.models.loaded import loaded_as

    found: LoadOptions = {**(loaded_as(vlm).options or {})}
    if vlm.loading is not None and vlm.loading.attention is not None:
        found["attention"] = vlm.loading.attention
    return found or None


def _name_to_load(vlm: VLM) -> str | None:
    """What ``load_model`` is told to get a model that was handed over; None: it was wrapped in memory."""
    from headscope.models.embedded import weights_folder

    if vlm.folder is None:
        return None
    known = "/" in vlm.name or Path(vlm.folder) == weights_folder()
    return vlm.name if known else str(vlm.folder)
