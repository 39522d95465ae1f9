"""A study: one folder that holds a run's settings and all its artefacts; every stage resumes from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope import stages
from headscope.data.cases import Cases, load_cases
from headscope.data.splits import assign_splits
from headscope.errors import StudyError
from headscope.functions import Taxonomy
from headscope.sizes import Size, size_named
from headscope.storage import read_json, write_json
from headscope.study_record import (
    SCHEMA,
    checked_options,
    checked_probe_device,
    image_backend_for,
    load,
    recorded_options,
    refuse_others,
    settings_of,
    taxonomy_of,
)

if TYPE_CHECKING:
    from headscope.models.vlm import VLM
    from headscope.probing.atlas import Atlas

STAGES = ("capture", "probe", "ablate", "emphasize", "wake", "report")


class Study:
    """All stages on one model and one data set, in one folder.

    Settings are fixed when the study is created; opening it again with others is refused. Each stage runs
    those that it rests on, does nothing where it is complete, and goes on where it was stopped.

    Example::

        study = Study.create("runs/mine", model="embedded", data=load_cases("my-data"))
        atlas = study.probe()
        study.ablate()
        study.report()
    """

    def __init__(self, folder: str | Path, *, announce: Callable[[str], None] | None = None) -> None:
        self.folder = Path(folder)
        self.announce = announce or (lambda _: None)
        if not (self.folder / "study.json").exists():
            raise StudyError(
                f"{self.folder}: holds no study (study.json is not there); start one with "
                "`headscope run --model MODEL --data FOLDER --study FOLDER`"
            )
        self.settings: dict[str, Any] = read_json(self.folder / "study.json")
        if self.settings.get("schema") != SCHEMA:
            raise StudyError(
                f"{self.folder}/study.json: schema {self.settings.get('schema')!r}, expected {SCHEMA!r}"
            )
        self.probe_device: str = self.settings.get("probe_device") or "cpu"
        self._vlm: VLM | None = None
        self._cases: Cases | None = None

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        model: str | VLM = "embedded",
        data: str | Path | Cases,
        size: str = "demo",
        seed: int = 0,
        taxonomy: str | Path | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        model_options: Mapping[str, Any] | None = None,
        batch_size: int = 64,
        probe_device: str | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> Study:
        """Start a study, or open the one in ``folder`` if it has the same settings.

        Args:
            model: ``embedded``, a checkpoint folder, a hub id, or a loaded model.
            data: a folder of cases, or loaded cases.
            size: ``quick``, ``demo`` or ``full``; see :mod:`headscope.sizes`.
            seed: of the splits and of everything drawn at random.
            taxonomy: a JSON file with other functions than the default nine.
            device, dtype, batch_size: how the model is run.
            model_options: ``device_map``, ``max_memory``, ``quantization``, ``image_backend`` of
                :func:`headscope.models.vlm.load_model`, in plain values. By default the image backend is
                what the study in the folder began with, in a new one "auto".
            probe_device: ``device`` of :class:`headscope.probing.settings.ProbeSettings`; None: what the
                study in the folder began with, "cpu" in a new one. It may change from run to run.

        Raises:
            DataError: the cases cannot be read. ModelError: the model cannot be loaded.
            StudyError: the folder holds a study with other settings.
        """
        folder = Path(folder)
        chosen = taxonomy_of(taxonomy)
        cases = data if isinstance(data, Cases) else load_cases(data, chosen)
        size_named(size)
        checked_probe_device(probe_device)
        options = checked_options(model, model_options)
        vlm = model if not isinstance(model, str) else _loaded(folder, model, device, dtype, options)
        splits = {str(k): str(v) for k, v in assign_splits(cases, seed).items()}
        wanted = settings_of(vlm, model, cases, splits, chosen, taxonomy)
        wanted |= {"size": size, "seed": seed, "device": device, "dtype": dtype, "batch_size": batch_size}
        wanted |= {"model_options": recorded_options(options), "probe_device": probe_device or "cpu"}
        path = folder / "study.json"
        if path.exists():
            refuse_others(folder, read_json(path), wanted)
        else:
            write_json(folder / "splits.json", splits)
            write_json(path, wanted)
        study = cls(folder, announce=announce)
        study.probe_device = probe_device or study.probe_device
        study._vlm, study._cases = vlm, cases
        return study

    @cached_property
    def size(self) -> Size:
        """How much is read."""
        return size_named(self.settings["size"])

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The functions of this study."""
        return taxonomy_of(self.settings.get("taxonomy_file"))

    @cached_property
    def splits(self) -> dict[str, str]:
        """Case id -> fit, select or test."""
        found: dict[str, str] = read_json(self.folder / "splits.json")
        return found

    @property
    def cases(self) -> Cases:
        """The data; refused where it changed since the study began.

        Raises:
            StudyError: another fingerprint.
        """
        if self._cases is None:
            self._cases = load_cases(self.settings["data"]["path"], self.taxonomy)
        found, wanted = self._cases.fingerprint, self.settings["data"]["fingerprint"]
        if found != wanted:
            raise StudyError(
                f"{self.settings['data']['path']}: the cases changed since the study in {self.folder} began "
                f"(fingerprint {found}, then {wanted}); start a new study"
            )
        return self._cases

    @property
    def vlm(self) -> VLM:
        """The model, loaded when first needed; refused where its weights changed."""
        if self._vlm is None:
            how = self.settings["device"], self.settings["dtype"], self.settings.get("model_options")
            loaded = _loaded(self.folder, self.settings["load"], *how)
            if loaded.revision != self.settings["model"]["revision"]:
                raise StudyError(
                    f"{self.settings['load']}: the model changed since the study in {self.folder} began "
                    f"(revision {loaded.revision}, then {self.settings['model']['revision']}); "
                    "start a new study"
                )
            self._vlm = loaded
        return self._vlm

    @property
    def seed(self) -> int:
        """Seed of everything drawn at random."""
        return int(self.settings["seed"])

    def done(self, stage: str) -> bool:
        """Whether a stage is complete."""
        return (self.folder / "done" / f"{stage}.json").exists()

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        """Times a stage, over restarts, and marks it complete."""
        self.announce(f"{stage} ...")
        start = time.perf_counter()
        try:
            yield
        finally:
            path = self.folder / "timings.json"
            seconds = read_json(path) if path.exists() else {}
            seconds[stage] = round(seconds.get(stage, 0.0) + time.perf_counter() - start, 2)
            write_json(path, seconds)
        write_json(self.folder / "done" / f"{stage}.json", {"stage": stage})

    def capture(self) -> Path:
        """Ask every question in every context and keep answers and head outputs in ``capture/``."""
        if not self.done("capture"):
            with self._stage("capture"):
                stages.capture(self)
        return self.folder / "capture"

    def probe(self) -> Atlas:
        """Joint, independent and causal rankings of all heads: ``probe/atlas.json``."""
        from headscope.probing.atlas import Atlas

        if self.done("probe"):
            return Atlas.load(self.folder / "probe" / "atlas.json")
        self.capture()
        with self._stage("probe"):
            return stages.probe(self)

    def ablate(self) -> dict[str, Any]:
        """Mute each function's heads against fair random controls: ``ablation.json``."""
        from headscope.interventions.ablation import ablate

        return self._experiment("ablate", "ablation.json", ablate, self.size.ablate)

    def emphasize(self) -> dict[str, Any]:
        """Turn each function's heads up, or steer them: ``emphasis.json``."""
        from headscope.interventions.emphasis import emphasize

        if not self.done("ablate"):
            self.ablate()
        return self._experiment("emphasize", "emphasis.json", emphasize, self.size.emphasize)

    def wake(self) -> dict[str, Any]:
        """Point at the objects that questions name, and see which heads wake: ``wake.json``."""
        if self.done("wake"):
            found: dict[str, Any] = read_json(self.folder / "wake.json")
            return found
        atlas = self.probe()
        with self._stage("wake"):
            return stages.wake(self, atlas)

    def report(self) -> Path:
        """``summary.json``, ``report.html`` and ``figures/`` from whatever stages are there."""
        from headscope.report.page import write_report
        from headscope.report.summary import write_summary

        with self._stage("report"):
            write_summary(self.folder, cases=self.cases)
            page = write_report(self.folder, cases=self.cases)
        write_summary(self.folder, cases=self.cases)  # with the report's own seconds
        return page

    def run(self) -> Path:
        """Every stage, in order; the report comes back."""
        self.capture()
        self.probe()
        self.ablate()
        self.emphasize()
        self.wake()
        return self.report()

    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``."""
        found: dict[str, Any] = read_json(self.folder / "summary.json")
        return found

    @property
    def common(self) -> dict[str, Any]:
        """What every experiment is told."""
        return {"seed": self.seed, "batch_size": self.settings["batch_size"]}

    def _experiment(
        self, stage: str, artefact: str, run: Callable[..., dict[str, Any]], options: dict[str, Any]
    ) -> dict[str, Any]:
        if self.done(stage):
            found: dict[str, Any] = read_json(self.folder / artefact)
            return found
        atlas = self.probe()
        with self._stage(stage):
            return run(
                self.vlm,
                self.cases,
                self.splits,
                atlas,
                self.folder,
                taxonomy=self.taxonomy,
                **self.common,
                **options,
            )


def _loaded(folder: Path, name: str, device: str, dtype: str, options: Mapping[str, Any] | None) -> VLM:
    """The model of the study in a folder, reading pictures as the study does."""
    backend = image_backend_for(folder, options)
    return load(name, device, dtype, {**(options or {}), "image_backend": backend})
