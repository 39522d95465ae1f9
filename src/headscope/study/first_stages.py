"""The stages whose rooms know nothing of studies: asking all questions, and ranking all heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from headscope.capturing.captured import CapturePlan
from headscope.experiments.causal import CausalScores
from headscope.experiments.context import ExperimentContext
from headscope.probing.atlas import Atlas
from headscope.probing.settings import ProbeSettings
from headscope.records import Interval, Number
from headscope.storage import write_table

ScoresAndEnds = tuple[Sequence[Number], Sequence[Interval]]
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
    return _beside_other_rankings(found, context.folder)


def _beside_other_rankings(found: Atlas, folder: Path) -> Atlas:
    """The atlas, written again with the rankings by attention and patching, as far as the study has them."""
    from headscope.experiments.named_attention import FILE as ATTENTION
    from headscope.experiments.named_attention import AttentionScores
    from headscope.experiments.patching.experiment import FILE as PATCHING
    from headscope.experiments.patching.result import PatchResult

    made = found
    if (folder / ATTENTION).exists():
        seen = AttentionScores.load(folder / ATTENTION)
        made = _ranked(made, "attention", seen.heads, {f: (a.share, a.ci) for f, a in seen.functions.items()})
    if (folder / PATCHING).exists():
        patched = PatchResult.load(folder / PATCHING)
        carried = {f: p.groups["all"] for f, p in patched.functions.items() if p.groups}
        made = _ranked(made, "patching", patched.heads, {f: (g.recovered, g.ci) for f, g in carried.items()})
    if made is not found:
        write_table(folder / "probe" / "atlas.parquet", made.table())
        made.save(folder / "probe" / "atlas.json")
    return made


def _ranked(atlas: Atlas, name: str, heads: Sequence[str], table: Mapping[str, ScoresAndEnds]) -> Atlas:
    """The atlas with one more ranking, whose heads may lie in another order; as it is without any score."""
    from headscope.probing.summary import with_ranking

    place = {label: i for i, label in enumerate(heads)}
    order = [place.get(head.label) for head in atlas.heads]
    tested = {f: cell for f, cell in table.items() if f in atlas.functions}
    if not tested:
        return atlas
    none = (None, None)
    shares = {f: [None if i is None else share[i] for i in order] for f, (share, _) in tested.items()}
    ends = {f: [none if i is None else ci[i] for i in order] for f, (_, ci) in tested.items()}
    return with_ranking(atlas, name, shares, ends)
