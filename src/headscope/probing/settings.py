"""Settings of the probe stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProbeSettings:
    """Defaults of :func:`headscope.probing.stage.probe`.

    Attributes:
        readout: which positions' z is probed.
        contexts: which contexts' steps are used.
        seed: of everything random.
        max_steps: most steps per function taken from ``fit``; a third as many each from ``select`` and
            ``test``.
        folds, alpha: of the ridge probes, which see ``fit`` and ``select`` only.
        permutations: label sets of each null.
        controls: label sets of the control task.
        draws: of the bootstraps by image.
        min_class: answers rarer than this are left out of the answer probes.
        shared, hidden, epochs: of the joint probe.
        level: false discovery rate at which a head counts as functional.
        default_ranking: which ranking ``atlas.top`` follows; None: causal if there is one, else independent.
        logistic_heads: for how many heads (the best, middle and worst) a logistic classifier checks the
            ridge's.
        device: where the control tasks and permutations of the independent probes are scored: "cpu" (numpy in
            threads over heads), or torch's name of a device with 64-bit numbers ("cuda", "cuda:1", "auto").
            Results agree to rounding, so that finished units of work serve either.

    Raises:
        StudyError: the device is not there, or cannot compute with 64-bit numbers.
    """

    readout: str = "answer_mean"
    contexts: tuple[str, ...] = ("gold",)
    seed: int = 0
    max_steps: int = 400
    folds: int = 5
    alpha: float = 1.0
    permutations: int = 200
    controls: int = 10
    draws: int = 1000
    min_class: int = 10
    shared: int = 64
    hidden: int = 512
    epochs: int = 60
    level: float = 0.05
    default_ranking: str | None = None
    logistic_heads: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.device != "cpu":
            from headscope.probing.batched import ridge_device

            ridge_device(self.device)
