"""A study: one folder that holds a run's settings and all its artefacts; every stage resumes from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headscope.data.cases import Cases, load_cases
from headscope.data.splits import assign_splits
from headscope.errors import StudyError
from headscope.functions import Taxonomy
from headscope.models.ways import kept_ways
from headscope.storage import read_json, write_json
from headscope.study import stages
from headscope.study.given import Given, loaded, refuse_others
from headscope.study.lock import FolderLock
from headscope.study.record import (
    SCHEMA,
    checked_probe_device,
    load,
    options_of,
    same_taxonomy,
    settings_of,
    taxonomy_of,
    taxonomy_record,
)
from headscope.study.sizes import Size, size_named

if TYPE_CHECKING:
    from headscope.models.vlm import VLM
    from headscope.probing.atlas import Atlas

STAGES = ("capture", "probe", "ablate", "emphasize", "wake", "report")


class Study:
    """All stages on one model and one data set, in one folder.

    Settings are fixed when the study is created; opening it again with others is refused. Each stage runs
    those that it rests on, does nothing where it is complete, and goes on where it was stopped. One process
    works on a folder at a time (``lock``); another is refused, or waits.

    Args:
        folder: of the study.
        announce: gets a line when a stage begins, or somebody is waited for.
        wait: whether to wait while another process works on the folder.

    Example:
        >>> import headscope as hs
        >>> cases = hs.draw_scenes("data", 12)
        >>> study = hs.Study.create("runs/mine", model="embedded", data=cases, size="smoke")
        >>> study.capture()  # then atlas = study.probe(), study.ablate() ...; or all: study.run()
        PosixPath('runs/mine/capture')
    """

    def __init__(
        self, folder: str | Path, *, announce: Callable[[str], None] | None = None, wait: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.announce = announce or (lambda _: None)
        self.lock = FolderLock(self.folder, wait, self.announce)
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
        model: str | VLM | None = None,
        data: str | Path | Cases,
        size: str | None = None,
        seed: int | None = None,
        taxonomy: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        model_options: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        probe_device: str | None = None,
        announce: Callable[[str], None] | None = None,
        wait: bool = False,
    ) -> Study:
        """Start a study, or open the one in ``folder`` if nothing that is given differs from it.

        What is left out is as the study in the folder has it; in a new one the default stands in its place.

        Args:
            model: ``embedded`` (default), a checkpoint folder, a hub id, or a loaded or wrapped model; one
                that was wrapped has to be given again whenever the study is opened.
            data: a folder of cases, or loaded cases.
            size: ``quick``, ``demo`` (default) or ``full``; see :mod:`headscope.study.sizes`.
            seed: of the splits and of everything drawn at random; default 0.
            taxonomy: a JSON file with other functions than the default nine.
            device, dtype: how the model is loaded; default "cpu" and "float32". A model in memory is
                recorded, and loaded again, as it is.
            model_options: ``device_map``, ``max_memory``, ``quantization``, ``attention``,
                ``image_backend`` of :func:`headscope.models.vlm.load_model`, in plain values.
            batch_size: questions in one forward; default 64.
            probe_device: ``device`` of :class:`headscope.probing.settings.ProbeSettings`; None: what the
                study in the folder began with, "cpu" in a new one. It may change from run to run.
            announce, wait: as in :class:`Study`.

        Raises:
            DataError: the cases cannot be read. ModelError: the model cannot be loaded.
            StudyError: the folder holds a study with another setting than one that is given, or another
                process works on it.
        """
        given = Given(model, size, seed, taxonomy, device, dtype, model_options, batch_size)
        folder = Path(folder)
        opening: dict[str, Any] = {"probe_device": probe_device, "announce": announce, "wait": wait}
        if (folder / "study.json").exists():
            return cls.open(folder, given, data, **opening)
        checked_probe_device(probe_device)
        given = given.checked().filled()
        chosen = taxonomy_of(taxonomy)
        cases = data if isinstance(data, Cases) else load_cases(data, chosen)
        vlm = loaded(given)
        splits = {str(k): str(v) for k, v in assign_splits(cases, given.seed or 0).items()}
        record = {**settings_of(vlm, given, cases, splits), "probe_device": probe_device or "cpu"}
        with FolderLock(folder, wait, announce):
            if (folder / "study.json").exists():  # another process was faster
                return cls.open(folder, given, cases, **opening)
            write_json(folder / "splits.json", splits)
            write_json(folder / "study.json", record)
        study = cls(folder, announce=announce, wait=wait)
        study._vlm, study._cases = vlm, cases
        return study

    @classmethod
    def open(
        cls,
        folder: str | Path,
        given: Given | None = None,
        data: str | Path | Cases | None = None,
        *,
        probe_device: str | None = None,
        announce: Callable[[str], None] | None = None,
        wait: bool = False,
    ) -> Study:
        """The study in ``folder``; settings that are given, and data, must be what it began with.

        Raises:
            StudyError: there is none, or something that is given differs.
        """
        study = cls(folder, announce=announce, wait=wait)
        given = (given or Given()).checked()
        refuse_others(study.folder, study.settings, given)
        checked_probe_device(probe_device)
        if data is not None:
            study._cases = data if isinstance(data, Cases) else load_cases(data, study.taxonomy)
            _ = study.cases  # refused where they are others
        if given.model is not None and not isinstance(given.model, str):
            study._vlm = given.model
        study.probe_device = probe_device or study.probe_device
        return study

    @cached_property
    def size(self) -> Size:
        """How much is read."""
        return size_named(self.settings["size"])

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The functions of this study; refused where their file changed since it began."""
        file = self.settings.get("taxonomy_file")
        found = taxonomy_of(file)
        if file and not same_taxonomy(self.settings["taxonomy"], taxonomy_record(found)):
            raise StudyError(
                f"{file}: the taxonomy changed since the study in {self.folder} began; put it back, or start "
                "a new study"
            )
        return found

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
                f"{self._cases.folder}: the cases changed, or are others, since the study in {self.folder} "
                f"began with those of {self.settings['data']['path']} (fingerprint {found}, then {wanted}); "
                "start a new study"
            )
        return self._cases

    @property
    def vlm(self) -> VLM:
        """The model, loaded when first needed; refused where its weights changed."""
        if self._vlm is None:
            if self.settings["load"] is None:
                raise StudyError(
                    f"{self.folder}: was begun on a model in memory, {self.settings['model']['name']} "
                    f"(revision {self.settings['model']['revision']}); open it with that model: "
                    "Study.create(folder, model=hs.wrap(model, processor, name), data=...)"
                )
            how = self.settings["device"], self.settings["dtype"], options_of(self.settings)
            vlm = load(self.settings["load"], *how)
            if vlm.revision != self.settings["model"]["revision"]:
                raise StudyError(
                    f"{self.settings['load']}: the model changed since the study in {self.folder} began "
                    f"(revision {vlm.revision}, then {self.settings['model']['revision']}); "
                    "start a new study"
                )
            self._vlm = vlm
        return self._vlm

    @property
    def seed(self) -> int:
        """Seed of everything drawn at random."""
        return int(self.settings["seed"])

    def done(self, stage: str) -> bool:
        """Whether a stage is complete."""
        return (self.folder / "done" / f"{stage}.json").exists()

    def _once(
        self, stage: str, work: Callable[[], object], needs: Callable[[], object] | None = None
    ) -> None:
        """Do a stage, and first what it rests on, unless it is complete; nobody else writes meanwhile."""
        if self.done(stage):
            return
        with self.lock:
            if needs is not None:
                needs()
            if not self.done(stage):  # it may have been completed while this process waited
                with self._timed(stage), kept_ways(self.vlm, self.folder):
                    work()
                write_json(self.folder / "done" / f"{stage}.json", {"stage": stage})

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Adds up a stage's seconds over restarts; refused where the model was changed."""
        from headscope.models.library_messages import quiet

        if self._vlm is not None:
            self._vlm.confirmed_revision()
        self.announce(f"{stage} ...")
        start = time.perf_counter()
        try:
            with quiet():
                yield
        finally:
            path = self.folder / "timings.json"
            seconds = read_json(path) if path.exists() else {}
            seconds[stage] = round(seconds.get(stage, 0.0) + time.perf_counter() - start, 2)
            write_json(path, seconds)

    def capture(self) -> Path:
        """Ask every question in every context and keep answers and head outputs in ``capture/``."""
        self._once("capture", lambda: stages.capture(self))
        return self.folder / "capture"

    def probe(self) -> Atlas:
        """Joint, independent and causal rankings of all heads: ``probe/atlas.json``."""
        from headscope.probing.atlas import Atlas

        self._once("probe", lambda: stages.probe(self), needs=self.capture)
        return Atlas.load(self.folder / "probe" / "atlas.json")

    def ablate(self) -> dict[str, Any]:
        """Mute each function's heads against fair random controls: ``ablation.json``."""
        from headscope.experiments.ablation import ablate

        self._once("ablate", lambda: self._experiment(ablate, self.size.ablate), needs=self.probe)
        return self._artefact("ablation.json")

    def emphasize(self) -> dict[str, Any]:
        """Turn each function's heads up, or steer them: ``emphasis.json``."""
        from headscope.experiments.emphasis import emphasize

        self._once("emphasize", lambda: self._experiment(emphasize, self.size.emphasize), needs=self.ablate)
        return self._artefact("emphasis.json")

    def wake(self) -> dict[str, Any]:
        """Point at the objects that questions name, and see which heads wake: ``wake.json``."""
        self._once("wake", lambda: stages.wake(self, self.probe()), needs=self.probe)
        return self._artefact("wake.json")

    def report(self) -> Path:
        """``summary.json``, ``report.html`` and ``figures/`` from whatever stages are there.

        Raises:
            StudyError: pictures straddle splits, or something was chosen on ``test``.
        """
        from headscope.report.page import write_report
        from headscope.report.summary import write_summary
        from headscope.validation.leaks import check_leaks

        check_leaks(self.folder, self.cases)

        with self.lock:
            with self._timed("report"):
                write_summary(self.folder, cases=self.cases)
                page = write_report(self.folder, cases=self.cases)
            write_summary(self.folder, cases=self.cases)  # with the report's own seconds
            write_json(self.folder / "done" / "report.json", {"stage": "report"})
        return page

    def run(self) -> Path:
        """Every stage, in order; the report comes back."""
        with self.lock:
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

    def _experiment(self, run: Callable[..., object], options: dict[str, Any]) -> None:
        run(
            self.vlm,
            self.cases,
            self.splits,
            self.probe(),
            self.folder,
            taxonomy=self.taxonomy,
            **self.common,
            **options,
        )

    def _artefact(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / name)
        return found
