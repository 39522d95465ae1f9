"""What the first and last stages of a study hand to their rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headscope.probing.atlas import Atlas
    from headscope.study.study import Study

READOUTS = ("prompt_last", "answer_mean")
PROBED = "prompt_last"  # before any token of the answer is there to be read
CONTEXTS = ("gold", "alone", "own")


def capture(study: Study) -> None:
    """Every question in every context, and the steps again on a blank picture."""
    from headscope.capturing.run import capture
    from headscope.pointing.blank import blank_picture

    common: dict[str, Any] = {
        "batch_size": study.settings["batch_size"],
        "taxonomy": study.taxonomy,
        "announce": study.announce,
        **study.size.capture,
    }
    asked = (study.vlm, study.cases, study.splits)
    capture(*asked, study.folder / "capture", contexts=CONTEXTS, readouts=READOUTS, **common)
    capture(
        *asked,
        study.folder / "capture-blank",
        contexts=("gold",),
        main_contexts=(),
        readouts=(PROBED,),
        pictures=blank_picture,
        pictures_name="blank",
        **common,
    )


def probe(study: Study) -> Atlas:
    """The causal score of every head on ``select``, then the probes."""
    from headscope.capturing.store import iter_answers, open_activations
    from headscope.data.splits import picture_groups
    from headscope.experiments.causal import causal_scores
    from headscope.probing.settings import ProbeSettings
    from headscope.probing.stage import probe
    from headscope.probing.steps import probed_answers

    # made before the causal scores, which take longest: a device that is not there is refused here
    settings = ProbeSettings(seed=study.seed, readout=PROBED, device=study.probe_device, **study.size.probe)
    causal = causal_scores(
        study.vlm,
        study.cases,
        study.splits,
        study.folder,
        taxonomy=study.taxonomy,
        **study.common,
        **study.size.causal,
    )
    captured, blank = study.folder / "capture", study.folder / "capture-blank"
    images = picture_groups(study.cases)
    answers = probed_answers(lambda: iter_answers(captured), study.taxonomy.functions, settings, images)
    items = {str(row["item"]) for row in answers}
    return probe(
        open_activations(captured, PROBED, items=items),
        answers,
        study.folder / "probe",
        taxonomy=study.taxonomy,
        causal=causal.to_json(),
        blank=open_activations(blank, PROBED, items=items),
        images=images,
        provenance={
            "model": study.vlm.name,
            "revision": study.vlm.revision,
            "data": study.cases.fingerprint,
        },
        settings=settings,
        chosen=True,
    )


def wake(study: Study, atlas: Atlas) -> dict[str, Any]:
    """Pointing at the named objects, against its controls."""
    from headscope.experiments.waking.experiment import wake
    from headscope.experiments.waking.questions import WakeSettings

    settings = WakeSettings(batch_size=study.settings["batch_size"], **study.size.wake)
    return wake(
        study.vlm,
        study.cases,
        study.splits,
        atlas,
        study.folder,
        taxonomy=study.taxonomy,
        seed=study.seed,
        settings=settings,
    )
