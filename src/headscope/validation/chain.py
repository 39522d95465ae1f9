"""The whole chain on one planted model: pictures, capture, causal scan, probes; what the method would say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscope.capturing.run import capture
from headscope.capturing.store import open_activations, open_answers
from headscope.data.cases import Cases, load_cases
from headscope.data.splits import picture_groups
from headscope.experiments.causal import CausalScores, causal_scores
from headscope.experiments.context import ExperimentContext
from headscope.experiments.named_attention import AttentionScores, attention_scores
from headscope.experiments.settings import CausalSettings
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM, load_model
from headscope.pointing.blank import blank_picture
from headscope.probing.atlas import Atlas
from headscope.probing.settings import ProbeSettings
from headscope.probing.stage import probe
from headscope.storage import read_json
from headscope.validation.planted.build import build_planted, build_random
from headscope.validation.planted.harder_build import build_harder, level_cases
from headscope.validation.planted.plan import LEVELS
from headscope.validation.settings import READOUTS, ValidateSettings

READOUT = "prompt_last"  # the one that studies probe


@dataclass
class PlantedStudy:
    """One planted model with its pictures, in one folder; every part is made once and resumes.

    Attributes:
        folder: holds ``data``, ``model``, ``capture``, ``capture-blank``, ``causal`` and ``probe``.
        level: one of ``LEVELS`` or ``NEW_LEVELS``, or ``random`` for random weights.
        seed: of weights, places and pictures.
        settings: sizes.
    """

    folder: Path
    level: str
    seed: int
    settings: ValidateSettings

    def __post_init__(self) -> None:
        data, model = self.folder / "data", self.folder / "model"
        if not (data / "cases.jsonl").exists():
            level_cases(data, self.level, self.settings.cases, self.seed)
        if not (model / "done").exists():
            if self.level == "random":
                build_random(model, self.seed)
            else:
                build = build_planted if self.level in LEVELS else build_harder
                build(model, self.level, self.seed)
            (model / "done").touch()
        self.cases: Cases = load_cases(data)
        self.splits: dict[str, str] = dict(self.cases.splits)
        self._vlm: VLM | None = None

    @property
    def vlm(self) -> VLM:
        """The model; ``truth.json`` says where its heads are.

        It is not proved here: its weights are sparse, so that sums in another order round alike, and what the
        proof then takes for the model's own rounding is too little for some of them on some processors. That
        planted models pass the proof is a test of the constructor.
        """
        if self._vlm is None:
            self._vlm = load_model(self.folder / "model", prove=False)
        return self._vlm

    @property
    def truth(self) -> dict[str, Any]:
        """What was planted."""
        found: dict[str, Any] = read_json(self.folder / "model" / "truth.json")
        return found

    def capture(self) -> None:
        """Every question after the true answers to those before it, on its picture and on a blank one."""
        common: dict[str, Any] = {
            "contexts": ("gold",),
            "main_contexts": (),
            "readouts": READOUTS,
            "batch_size": self.settings.batch_size,
            "max_new_tokens": 4,
        }
        capture(self.vlm, self.cases, self.splits, self.folder / "capture", **common)
        common |= {"pictures": blank_picture, "pictures_name": "blank"}
        capture(self.vlm, self.cases, self.splits, self.folder / "capture-blank", **common)

    def causal(self, scope: str = "all") -> CausalScores:
        """Every head muted alone, on ``select``."""
        folder = self.folder if scope == "all" else self.folder / f"scope-{scope}"
        context = ExperimentContext(
            self.vlm,
            self.cases,
            self.splits,
            folder,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
        )
        asked = CausalSettings(max_items=self.settings.causal_items, scope=scope, max_new_tokens=4)
        return causal_scores(context, asked)

    def attention(self) -> AttentionScores:
        """How much of each head's attention falls on what questions name, on ``select``."""
        s = self.settings
        context = ExperimentContext(
            self.vlm, self.cases, self.splits, self.folder, seed=s.seed, batch_size=s.batch_size
        )
        return attention_scores(context)

    def probe(self, causal: CausalScores | None, readout: str = READOUT, seed: int = 0) -> Atlas:
        """The atlas of this model."""
        s = self.settings
        return probe(
            open_activations(self.folder / "capture", readout, context="gold"),
            open_answers(self.folder / "capture"),
            self.folder / f"probe-{readout}-{seed}",
            taxonomy=DEFAULT,
            causal=None if causal is None else causal.content(),
            blank=open_activations(self.folder / "capture-blank", readout),
            images=picture_groups(self.cases),
            provenance={"model": self.vlm.name, "revision": self.vlm.revision},
            settings=ProbeSettings(
                readout=readout,
                seed=seed,
                permutations=s.permutations,
                draws=s.draws,
                epochs=s.epochs,
                level=s.level,
            ),
        )

    def accuracy(self) -> dict[str, float]:
        """Function -> share of its questions that the unedited model answers right."""
        right: dict[str, list[bool]] = {}
        for row in open_answers(self.folder / "capture"):
            right.setdefault(row["function"], []).append(bool(row["correct"]))
        return {f: sum(v) / len(v) for f, v in right.items()}
