"""What a caller says of a study's settings, and how a study refuses what it did not begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.errors import StudyError
from headscope.storage import plain
from headscope.study.record import (
    StudyRecord,
    TaxonomyRecord,
    checked_options,
    load,
    taxonomy_of,
)
from headscope.study.sizes import size_named
from headscope.study.stages import stage_settings

if TYPE_CHECKING:
    from headscope.functions import Taxonomy
    from headscope.models.placement import ModelOptions
    from headscope.models.vlm import VLM


@dataclass(frozen=True)
class RequestedSettings:
    """What a caller said of a study's settings; None: nothing, so what the study has (or a default) holds.

    Attributes:
        model: ``embedded``, a checkpoint folder, a hub id, or a loaded model.
        size, seed, taxonomy, batch_size: as in :meth:`headscope.study.study.Study.create`.
        device, dtype, model_options: how the model is loaded; of a loaded model they must be what it is.
        settings: stage -> settings by name, beside those of the size.
    """

    model: str | VLM | None = None
    size: str | None = None
    seed: int | None = None
    taxonomy: str | Path | Taxonomy | None = None
    device: str | None = None
    dtype: str | None = None
    model_options: ModelOptions | None = None
    batch_size: int | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None

    def checked(self) -> RequestedSettings:
        """The same with plain model options, refused where it cannot hold of any study.

        Raises:
            ModelError: a model option that does not exist.
            StudyError: a size, a stage or a setting that does not exist, or another device, number format
                or options than those of a model that is loaded already.
        """
        size = size_named(self.size or "demo")
        for stage, settings in (self.settings or {}).items():
            stage_settings(stage, size, settings)
        if self.model is not None and not isinstance(self.model, str):
            self._check_loaded(self.model)
        return replace(self, model_options=checked_options(self.model_options))

    def filled(self) -> RequestedSettings:
        """The same with the defaults of a new study where nothing was said."""
        named = self.model is None or isinstance(self.model, str)
        return replace(
            self,
            model="embedded" if self.model is None else self.model,
            size=self.size or "demo",
            seed=self.seed or 0,
            batch_size=64 if self.batch_size is None else self.batch_size,
            device=self.device or ("cpu" if named else None),
            dtype=self.dtype or ("float32" if named else None),
        )

    def _check_loaded(self, vlm: VLM) -> None:
        from headscope.models.loaded import full_device, loaded_as
        from headscope.models.vlm import need_vlm

        need_vlm(vlm, "study")
        if self.model_options:
            raise StudyError(
                "model options are for a model that is still to be loaded; give them to load_model"
            )
        found = loaded_as(vlm)
        for name, asked, there in (
            ("device", self.device and full_device(self.device), found.device),
            ("dtype", self.dtype, found.dtype),
        ):
            if asked is not None and asked != there:
                raise StudyError(
                    f"asked for {name} {asked!r} with a model that is loaded already, with {there!r}; load "
                    f"it so, or leave {name} out"
                )


def loaded(given: RequestedSettings) -> VLM:
    """The model that a new study names, or was handed."""
    if given.model is not None and not isinstance(given.model, str):
        return given.model
    return load(str(given.model), str(given.device), str(given.dtype), given.model_options)


def refuse_others(folder: Path, record: StudyRecord, given: RequestedSettings) -> None:
    """A study is one set of settings: what is given must be what it began with.

    Raises:
        StudyError: the first setting that differs, with both values.
    """
    for name, there, asked in _differences(record, given):
        raise StudyError(
            f"{folder}: holds a study with {name} {there!r}, asked for {asked!r}; leave it out to go on with "
            "this study, or name another folder"
        )


Difference = tuple[str, Any, Any]


def _differences(record: StudyRecord, given: RequestedSettings) -> Iterator[Difference]:
    """(setting, recorded, given) of whatever differs."""
    for name in ("size", "seed", "batch_size"):
        if getattr(given, name) not in (None, getattr(record, name)):
            yield name, getattr(record, name), getattr(given, name)
    for stage, settings in (given.settings or {}).items():
        there = record.stage_settings.get(stage, {})
        for name, value in settings.items():
            if name in there and plain(value) != there[name]:
                yield f"{stage}.{name}", there[name], value
    if given.taxonomy is not None:
        asked = TaxonomyRecord.of(taxonomy_of(given.taxonomy))
        if not record.taxonomy.same_as(asked):
            yield "taxonomy", _named(record.taxonomy), _named(asked)
    if given.model is not None and not isinstance(given.model, str):
        yield from _other_loaded(record, given.model)
        return
    if given.model is not None:
        yield from _other_named(record, given.model)
    yield from _other_loading(record, given)


def _named(taxonomy: TaxonomyRecord) -> str:
    return f"{taxonomy.name} ({', '.join(taxonomy.functions)})"


def _other_loading(record: StudyRecord, given: RequestedSettings) -> Iterator[Difference]:
    """Device, number format and options that a model is to be loaded with."""
    from headscope.models.loaded import full_device

    for name, there, value in (
        ("device", record.device, given.device),
        ("dtype", record.dtype, given.dtype),
    ):
        same = value in (None, there, record.asked.get(name))
        if not same and not (name == "device" and full_device(str(value)) == full_device(there)):
            yield name, there, value
    options = dict(given.model_options or {})
    backend = options.pop("image_backend", None)
    if options and options != (record.model_options or {}):
        yield "model_options", record.model_options, options
    if backend not in (None, record.backend):
        yield _BACKEND, record.backend, backend


_BACKEND = "image backend (--image-backend; their pixels differ)"


def _other_loaded(record: StudyRecord, vlm: VLM) -> Iterator[Difference]:
    """A model in memory that is not the study's."""
    from headscope.models.loaded import full_device, loaded_as

    found, there = loaded_as(vlm), record.model
    if vlm.revision != there.revision:
        yield "model", _revised(there.name, there.revision), _revised(vlm.name, vlm.revision)
    if found.dtype != record.dtype:
        yield "dtype", record.dtype, found.dtype
    if vlm.image_backend != record.backend:
        yield _BACKEND, record.backend, vlm.image_backend
    recorded = record.placement or {"": record.device}
    places = {part: full_device(place) for part, place in recorded.items()}
    if len(set(places.values())) == 1:
        places = {"": next(iter(places.values()))}
    if places != found.placement:
        spread = found.spread or len(places) > 1
        yield ("placement", places, found.placement) if spread else ("device", places[""], found.device)


def _other_named(record: StudyRecord, model: str) -> Iterator[Difference]:
    """Another model's name; the one that the study began with is compared when it is loaded."""
    from headscope.models.checkpoints import folder_revision, local_folder

    if model == record.load_:
        return
    folder = local_folder(model)
    if folder is not None and record.load_ and Path(record.load_).is_dir() and folder.samefile(record.load_):
        return
    asked = f"{folder_revision(folder)}{_quantized(record)}" if folder is not None else ""
    if asked != record.model.revision:
        yield "model", _revised(record.model.name, record.model.revision), _revised(model, asked)


def _quantized(record: StudyRecord) -> str:
    """What a revision ends in where the study's model was quantised at load."""
    kind = (record.model_options or {}).get("quantization")
    return f"-{kind}" if kind else ""


def _revised(name: str, revision: str) -> str:
    return f"{name}, revision {revision}" if revision else name
