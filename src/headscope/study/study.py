"""A study: one folder that holds a run's settings and all its artefacts; every stage resumes from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from headscope.data.cases import Cases, load_cases, refuse_several_pictures
from headscope.data.splits import assign_splits
from headscope.errors import DamagedError, DataError, HeadscopeError, StudyError, command_line
from headscope.functions import SHIPPED, Taxonomy
from headscope.progress import telling
from headscope.storage import fingerprint, write_json, write_sealed
from headscope.study.health import check, damaged_results, made, mark_done, mark_path
from headscope.study.kept_record import (
    SECONDS,
    SPLITS,
    has_study,
    read_record,
    read_seconds,
    read_splits,
    save_record,
)
from headscope.study.lock import FolderLock
from headscope.study.places import find_cases, find_model, placed, refuse_changed
from headscope.study.record import (
    TaxonomyRecord,
    checked_probe_device,
    load,
    record_of,
    taxonomy_of,
)
from headscope.study.requested_settings import RequestedSettings, loaded, refuse_others
from headscope.study.sizes import Size, size_named
from headscope.study.stages import STAGES, Stage, stage_named, stage_settings
from headscope.workers import default_workers, sharing_work

if TYPE_CHECKING:
    from headscope.capturing.captured import CapturePlan
    from headscope.experiments.ablation_result import AblationResult
    from headscope.experiments.context import ExperimentContext
    from headscope.experiments.emphasis_result import EmphasisResult
    from headscope.experiments.waking.wake_result import WakeResult
    from headscope.models.placement import ModelOptions
    from headscope.models.vlm import VLM
    from headscope.probing.atlas import Atlas
    from headscope.records import Artefact


class OpenOptions(TypedDict, total=False):
    """How a study is opened, beside its settings."""

    probe_device: str | None
    announce: Callable[[str], None] | None
    wait: bool
    workers: int | None


class Study:
    """All stages on one model and one data set, in one folder.

    Settings are fixed when the study is created; opening it again with others is refused. Each stage runs
    those that it rests on, does nothing where it is complete, and goes on where it was stopped. One process
    works on a folder at a time (``lock``); another is refused, or waits.

    Args:
        folder: of the study.
        announce: gets a line when a stage begins, or somebody is waited for.
        wait: whether to wait while another process works on the folder.
        workers: processes that share the work of a stage, for a model on the CPU (:mod:`headscope.workers`);
            None: :func:`headscope.workers.default_workers`.

    Example:
        >>> import headscope as hs
        >>> cases = hs.draw_scenes("data", 12)
        >>> study = hs.Study.create("runs/mine", model="embedded", data=cases, size="smoke")
        >>> study.capture().items  # then atlas = study.probe(), study.ablate() ...; or all: study.run()
        236
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        announce: Callable[[str], None] | None = None,
        wait: bool = False,
        workers: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.announce, self.workers = announce or (lambda _: None), workers
        self.lock = FolderLock(self.folder, wait, self.announce)
        self.record = read_record(self.folder)
        self.probe_device = self.record.probe_device or "cpu"
        self._vlm: VLM | None = None
        self._cases: Cases | None = None
        self._whole: set[str] = set()  # stages whose every file was read, or written, by this very object

    def __repr__(self) -> str:
        done = [row.name for row in STAGES if mark_path(self.folder, row.name).exists()]
        name, size = self.record.model.name, self.record.size
        return f"Study({str(self.folder)!r}, {name}, size {size}, done: {', '.join(done) or 'nothing'})"

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        model: str | Path | VLM | None = None,
        data: str | Path | Cases,
        size: str | None = None,
        seed: int | None = None,
        taxonomy: str | Path | Taxonomy | None = None,
        device: str | None = None,
        dtype: str | None = None,
        model_options: ModelOptions | None = None,
        batch_size: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        probe_device: str | None = None,
        announce: Callable[[str], None] | None = None,
        wait: bool = False,
        workers: int | None = None,
    ) -> Study:
        """Start a study, or open the one in ``folder`` if nothing that is given differs from it.

        What is left out is as the study in the folder has it; in a new one the default stands in its place.

        Args:
            model: ``embedded`` (default), a checkpoint folder, a hub id, or a loaded or wrapped model; one
                that was wrapped has to be given again whenever the study is opened.
            data: a folder of cases, or loaded cases.
            size: ``quick``, ``demo`` (default) or ``full``; see :mod:`headscope.study.sizes`.
            seed: of the splits and of everything drawn at random; default 0.
            taxonomy: ``cogvsr``, the paper's eight functions, a JSON file, or a
                :class:`headscope.functions.Taxonomy`; default our nine.
            device, dtype: how the model is loaded; default "cpu" and "float32". A model in memory is
                recorded, and loaded again, as it is.
            model_options: ``device_map``, ``max_memory``, ``quantization``, ``attention``,
                ``image_backend`` of :func:`headscope.models.vlm.load_model`, in plain values.
            batch_size: questions in one forward; default 64.
            settings: stage -> settings by name, beside those of the size: ``{"ablate": {"draws": 1000}}``.
                Those of a stage that is not complete may be given when the study is opened again.
            probe_device: ``device`` of :class:`headscope.probing.settings.ProbeSettings`; None: what the
                study in the folder began with, "cpu" in a new one. It may change from run to run.
            announce, wait, workers: as in :class:`Study`.

        Raises:
            DataError: the cases cannot be read. ModelError: the model cannot be loaded.
            StudyError: the folder holds a study with another setting than one that is given, or another
                process works on it.
        """
        named = str(model) if isinstance(model, Path) else model
        given = RequestedSettings(
            named, size, seed, taxonomy, device, dtype, model_options, batch_size, settings
        )
        folder = Path(folder)
        opening: OpenOptions = {
            "probe_device": probe_device,
            "announce": announce,
            "wait": wait,
            "workers": workers,
        }
        if has_study(folder):
            return cls.open(folder, given, data, **opening)
        checked_probe_device(probe_device)
        given = given.checked().filled()
        cases = _read(data, taxonomy_of(taxonomy))
        vlm = loaded(given)
        splits = {str(k): str(v) for k, v in assign_splits(cases, given.seed or 0).items()}
        record = placed(record_of(vlm, given, cases, splits, probe_device or "cpu"), folder)
        with FolderLock(folder, wait, announce):
            if has_study(folder):  # another process was faster
                return cls.open(folder, given, cases, **opening)
            write_json(folder / SPLITS, splits)
            save_record(record, folder)
        study = cls(folder, announce=announce, wait=wait, workers=workers)
        study._vlm, study._cases = vlm, cases
        return study

    @classmethod
    def open(
        cls,
        folder: str | Path,
        given: RequestedSettings | None = None,
        data: str | Path | Cases | None = None,
        *,
        probe_device: str | None = None,
        announce: Callable[[str], None] | None = None,
        wait: bool = False,
        workers: int | None = None,
    ) -> Study:
        """The study in ``folder``; settings that are given, and data, must be what it began with.

        Raises:
            StudyError: there is none, or something that is given differs.
        """
        study = cls(folder, announce=announce, wait=wait, workers=workers)
        given = (given or RequestedSettings()).checked()
        refuse_others(study.folder, study.record, given)
        checked_probe_device(probe_device)
        if data is not None:
            study._cases = _read(data, study.taxonomy)
            _ = study.cases  # refused where they are others
        if given.model is not None and not isinstance(given.model, str):
            study._vlm = given.model
        study._add_settings(given.settings or {})
        study.probe_device = probe_device or study.probe_device
        return study

    def _add_settings(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Record settings that the study did not begin with; refused of a stage that is complete."""
        held = {stage: dict(settings) for stage, settings in self.record.stage_settings.items()}
        for stage, settings in given.items():
            new = {k: v for k, v in settings.items() if k not in held.get(stage, {})}
            if new and self.done(stage) and not stage_named(stage).again:
                name, value = next(iter(new.items()))
                raise StudyError(
                    f"{self.folder}: asked for {stage}.{name} {value!r}, but {stage} is complete; leave it "
                    "out, or name another folder"
                )
            held.setdefault(stage, {}).update(new)
        if held != self.record.stage_settings:
            self.record = self.record.model_copy(update={"stage_settings": held})
            with self.lock:
                save_record(self.record, self.folder)

    @cached_property
    def size(self) -> Size:
        """How much is read."""
        return size_named(self.record.size)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The functions of this study; refused where their file changed since it began."""
        file, began = self.record.taxonomy_file, self.record.taxonomy
        if not file:
            return began.taxonomy
        if file not in SHIPPED:
            file = str(self.folder / file)
            if not Path(file).exists():  # the study was moved; it holds all that the file said
                return began.taxonomy
        found = taxonomy_of(file)
        if not began.same_as(TaxonomyRecord.of(found)):
            raise StudyError(
                f"{file}: the taxonomy changed since the study in {self.folder} began; put it back, or start "
                "a new study"
            )
        return found

    @cached_property
    def splits(self) -> dict[str, str]:
        """Case id -> fit, select or test; made again from the cases where their file is lost or damaged.

        Raises:
            StudyError: they are not those that the study began with.
        """
        path, began = self.folder / SPLITS, self.record.splits
        try:
            found = read_splits(path)
        except DamagedError as exc:
            if began is None:
                raise
            found, said = {}, str(exc)
        else:
            said = f"{path}: are other splits than those that the study began with"
        if began is None or fingerprint(found) == began:
            return found
        found = {str(k): str(v) for k, v in assign_splits(self.cases, self.seed).items()}
        if fingerprint(found) != began:
            raise StudyError(f"{said}, and those that its cases give are others too; start a new study")
        self.announce(f"{said}; made again from the cases")
        with self.lock:
            write_json(path, found)
        return found

    @property
    def cases(self) -> Cases:
        """The data; refused where it changed since the study began.

        Raises:
            StudyError: another fingerprint.
        """
        if self._cases is None:
            _ = self.taxonomy  # refused where its file changed
            self._cases = find_cases(self.record, self.folder)
        if self._cases.fingerprint != self.record.data.fingerprint:
            refuse_changed(self._cases, self.record, self.folder)
        return self._cases

    @property
    def vlm(self) -> VLM:
        """The model, loaded when first needed; refused where its weights changed."""
        if self._vlm is None:
            record, began = self.record, self.record.model
            name = find_model(record, self.folder)
            vlm = load(name, record.device, record.dtype, record.options())
            if vlm.revision != began.revision:
                raise StudyError(
                    f"{name}: the model changed since the study in {self.folder} began "
                    f"(revision {vlm.revision}, then {began.revision}); start a new study"
                )
            self._vlm = vlm
        return self._vlm

    @property
    def seed(self) -> int:
        """Seed of everything drawn at random."""
        return self.record.seed

    @cached_property
    def context(self) -> ExperimentContext:
        """What every stage is given."""
        from headscope.experiments.context import ExperimentContext

        return ExperimentContext(
            lambda: self.vlm,
            self.cases,
            self.splits,
            self.folder,
            taxonomy=self.taxonomy,
            seed=self.seed,
            batch_size=self.record.batch_size,
            announce=self.announce,
        )

    def done(self, stage: str) -> bool:
        """Whether a stage is complete, its result whole."""
        try:
            return made(self.folder, stage_named(stage)) is not None
        except DamagedError:
            return False

    def settings(self, stage: str) -> Any:
        """Settings of a stage: its defaults, what the size says, what was given.

        Raises:
            StudyError: there is no such stage.
        """
        given = dict(self.record.stage_settings.get(stage, {}))
        if stage == "probe":
            given["device"] = self.probe_device
        return stage_settings(stage, self.size, given)

    def stage(self, name: str) -> Artefact:
        """A stage's result; it is run first unless it is complete, and before it what it rests on.

        The first time that a complete stage is asked for, every file that it left is read; where one was
        changed or is gone, the stage is made again from what is whole.

        Raises:
            StudyError: there is no such stage, or it asks for a setting that was not given.
        """
        row = stage_named(name)
        settings = self.settings(name)
        if row.asks and not getattr(settings, row.asks):
            raise StudyError(
                f"{name}: {row.asks} is not given; say --set {name}.{row.asks}=VALUE, from Python "
                f"Study.create(..., settings={{{name!r}: {{{row.asks!r}: ...}}}})"
            )
        found = None if row.again else self._made(row)
        if found is None:
            with self.lock:
                needs = [self.stage(need) for need in row.needs]
                found = None if row.again else self._made(row)  # another process may have completed it
                if found is None:
                    self._make(row, needs, settings)
                    found = (row.load(self.folder),)
        return found[0]

    def _made(self, row: Stage) -> tuple[Artefact] | None:
        """A stage's result in a tuple; None where it is not done, or what it left is damaged."""
        try:
            if row.name in self._whole:
                return made(self.folder, row)
            found = check(self.folder, row)
        except DamagedError as exc:
            self.announce(f"{row.name}: is made again: {exc}")
            return None
        if found is not None:
            self._whole.add(row.name)
        return found

    def _make(self, row: Stage, needs: list[Artefact], settings: Any) -> None:
        spread = self.record.options().get("device_map") is not None
        device = "several devices" if spread else self.record.device.split(":")[0]
        count = default_workers(device) if self.workers is None else self.workers
        with self._timed(row), sharing_work(count, device):
            row.work(self.context, *needs, settings)
        row.finished()(self.context)
        mark_done(self.folder, row)
        self._whole.add(row.name)

    @contextmanager
    def _timed(self, row: Stage) -> Iterator[None]:
        """Adds up a stage's seconds over restarts, if it resumes; refused where the model was changed."""
        from headscope.models.library_messages import quiet

        if self._vlm is not None:
            self._vlm.confirmed_revision()
        self.announce(f"{row.name} ...")
        start = time.perf_counter()
        try:
            with quiet(), telling(row.name):
                yield
        finally:
            seconds = read_seconds(self.folder)
            before = 0.0 if row.again else seconds.get(row.name, 0.0)
            seconds[row.name] = round(before + time.perf_counter() - start, 2)
            write_sealed(self.folder / SECONDS, seconds)

    def capture(self) -> CapturePlan:
        """Ask every question in every context and keep answers and head outputs in ``capture/``."""
        return cast("CapturePlan", self.stage("capture"))

    def probe(self) -> Atlas:
        """Joint, independent and causal rankings of all heads: ``probe/atlas.json``."""
        return cast("Atlas", self.stage("probe"))

    def ablate(self) -> AblationResult:
        """Mute each function's heads against fair random controls: ``ablation.json``."""
        return cast("AblationResult", self.stage("ablate"))

    def emphasize(self) -> EmphasisResult:
        """Turn each function's heads up, or steer them: ``emphasis.json``."""
        return cast("EmphasisResult", self.stage("emphasize"))

    def wake(self) -> WakeResult:
        """Point at the objects that questions name, and see which heads wake: ``wake.json``."""
        return cast("WakeResult", self.stage("wake"))

    def report(self) -> Path:
        """``summary.json``, ``report.html`` and ``figures/`` from whatever stages are there; the page.

        Raises:
            DamagedError: a stage that was done cannot be read; the page is written without it.
        """
        faults = damaged_results(self.folder)
        try:
            self.stage("report")
        except HeadscopeError:
            if not faults:
                raise
        if faults:
            raise DamagedError(
                f"{self.folder}: stages that were done are damaged ({'; '.join(faults)}), and the report "
                f"lacks them; {command_line('study', 'repair', self.folder)} makes them again"
            )
        return self.folder / "report.html"

    def run(self) -> Path:
        """Every stage, in order, but those that ask for a setting which was not given; the page.

        A stage that takes one picture a case is left out, and announced, where cases have several.
        """
        with self.lock:
            for row in STAGES:
                if row.asks and not getattr(self.settings(row.name), row.asks):
                    continue
                if row.one_picture and (why := self._several_pictures()):
                    self.announce(f"{row.name}: left out: {why}")
                    continue
                self.stage(row.name)
        return self.folder / "report.html"

    def _several_pictures(self) -> str:
        """What stages for one picture say of the cases; empty where each has one."""
        try:
            refuse_several_pictures(self.cases, self.cases.folder)
        except DataError as exc:
            return str(exc)
        return ""


def _read(data: str | Path | Cases, taxonomy: Taxonomy) -> Cases:
    """The cases, labelled with the taxonomy's own functions."""
    cases = data if isinstance(data, Cases) else load_cases(data, taxonomy)
    return cases.in_taxonomy(taxonomy)
