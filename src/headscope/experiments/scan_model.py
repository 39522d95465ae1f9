"""The scan of a model on a data set, without a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headscope.data.cases import Cases
from headscope.experiments.context import ExperimentContext
from headscope.experiments.scan import ScanSettings, scan_heads
from headscope.experiments.scan_results import ScanResult
from headscope.functions import DEFAULT, Taxonomy
from headscope.models.geometry import Heads, heads_of
from headscope.models.vlm import VLM, need_vlm


def scan(
    vlm: VLM,
    cases: Cases,
    folder: str | Path,
    *,
    heads: Heads = (),
    functions: str | Sequence[str] = (),
    scope: str = "all",
    split: str = "select",
    max_items: int = 24,
    estimate: bool = False,
    seed: int = 0,
    taxonomy: Taxonomy = DEFAULT,
) -> ScanResult:
    """Mute every head alone and say what that costs each function: the drop of the margin, nats per token.

    A ranking, not a finding: a claim needs matched controls (``Study.ablate``).

    Args:
        cases: pictures, questions, answers, with their splits.
        folder: gets ``scan.json`` and ``scan.parquet``; a scan that was stopped goes on from there.
        heads: as :func:`headscope.edit` takes them; by default all of the decoder.
        functions: one or several; by default all that the split holds.
        scope: positions that are muted: ``all``, ``last`` or ``answer``.
        split: ``select`` or ``fit``; ``test`` only where it is named, which makes it no test any more.
        max_items: questions of each function.
        estimate: estimate all heads from one gradient a question, which is quicker and less exact.
        seed: of the questions drawn, and of the intervals.
        taxonomy: the functions.

    Returns:
        Effects by function and head with 95 % intervals, resampled by picture.

    Raises:
        EditError: an unknown scope or function, or heads that the model does not have.
        StoreError: ``folder`` holds a scan with other settings.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 40)
        >>> heads = [hs.Head(3, 5), hs.Head(4, 0)]
        >>> result = hs.scan(vlm, cases, "scan", heads=heads, functions=["counting"], max_items=4)
        >>> table = result.to_dataframe()
        >>> sorted(set(table["head"]))
        ['L3H5', 'L4H0']
    """
    need_vlm(vlm, "scan")
    settings = ScanSettings(
        scope=scope,
        split=split,
        functions=(functions,) if isinstance(functions, str) else tuple(functions),
        max_items=max_items,
        estimate=estimate,
    )
    context = ExperimentContext(vlm, cases, cases.splits, Path(folder), taxonomy, seed)
    return scan_heads(context, settings, heads=heads_of(heads))
