"""The stages whose rooms know nothing of studies: asking all questions, and ranking all heads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from headscope.capturing.captured import CapturePlan
from headscope.experiments.causal import CausalScores
from headscope.experiments.context import ExperimentContext
from headscope.probing.atlas import Atlas
from headscope.probing.settings import ProbeSettings
from headscope.storage import write_table

READOUTS = ("prompt_last", "answer_mean")
PROBED = "prompt_last"  # before any token of the answer is there to be read
CONTEXTS = ("gold", "alone", "own")
MAIN_CONTEXTS = (*CONTEXTS, "wrong", "other")  # whether true steps help is seen against these two


@dataclass(frozen=True)
class CaptureSettings:
    """How a study asks.

    Attributes:
        max_new_tokens: bound on an answer's length.
        shard_items: questions a shard, about: work at risk in a kill, and memory.
    """

    max_new_tokens: int = 8
    shard_items: int = 512


def capture(context: ExperimentContext, settings: CaptureSettings) -> CapturePlan:
    """Every question in its contexts, and the steps again on a blank picture."""
    from headscope.capturing.run import capture as ask_all
    from headscope.pointing.blank import blank_picture

    folder = context.folder / "capture"
    ask = partial(
        ask_all,
        context.vlm,
        context.cases,
        context.splits,
        batch_size=context.batch_size,
        taxonomy=context.taxonomy,
        announce=context.announce,
        **asdict(settings),
    )
    ask(folder=folder, contexts=CONTEXTS, main_contexts=MAIN_CONTEXTS, readouts=READOUTS)
    ask(
        folder=context.folder / "capture-blank",
        contexts=("gold",),
        main_contexts=(),
        readouts=(PROBED,),
        pictures=blank_picture,
        pictures_name="blank",
    )
    return CapturePlan.load(folder / "plan.json")


def probe(
    context: ExperimentContext, captured: CapturePlan, causal: CausalScores, settings: ProbeSettings
) -> Atlas:
    """The probes on what was captured; beside them the causal scores, and what heads carry where pairs were
    patched before."""
    from headscope.capturing.store import iter_answers, open_activations
    from headscope.models.text_embeddings import mean_embeddings
    from headscope.probing.stage import probe as rank
    from headscope.probing.steps import probed_answers

    settings = replace(settings, seed=context.seed, readout=PROBED)
    folder, blank = context.folder / "capture", context.folder / "capture-blank"
    functions, images = context.taxonomy.functions, dict(context.groups)
    answers = probed_answers(lambda: iter_answers(folder), functions, settings, images)
    items = {str(row["item"]) for row in answers}
    found = rank(
        open_activations(folder, PROBED, items=items),
        answers,
        context.folder / "probe",
        taxonomy=context.taxonomy,
        causal=causal.content(),
        blank=open_activations(blank, PROBED, items=items),
        images=images,
        provenance={
            "model": captured.model_name,
            "revision": captured.model,
            "data": captured.cases,
        },
        settings=settings,
        chosen=True,
        embed=lambda questions: mean_embeddings(context.vlm, questions),
    )
    return _beside_patching(found, context.folder)


def _beside_patching(found: Atlas, folder: Path) -> Atlas:
    """The atlas, written again with the ranking by patching where the study has patched pairs."""
    from headscope.experiments.patching.experiment import FILE
    from headscope.experiments.patching.result import PatchResult
    from headscope.probing.summary import with_patching

    if not (folder / FILE).exists():
        return found
    patched = PatchResult.load(folder / FILE)
    place = {label: i for i, label in enumerate(patched.heads)}
    order = [place.get(head.label) for head in found.heads]
    tested = {f: p.groups["all"] for f, p in patched.functions.items() if p.groups and f in found.functions}
    shares = {f: [None if i is None else g.recovered[i] for i in order] for f, g in tested.items()}
    none = (None, None)
    intervals = {f: [none if i is None else g.ci[i] for i in order] for f, g in tested.items()}
    made = with_patching(found, shares, intervals)
    write_table(folder / "probe" / "atlas.parquet", made.table())
    made.save(folder / "probe" / "atlas.json")
    return made
