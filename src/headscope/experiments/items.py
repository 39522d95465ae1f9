"""Which questions an experiment reads: a fixed, seeded choice of items per function, spread over images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headscope.asking.batches import encode_batches
from headscope.asking.items import Item, make_items
from headscope.data.cases import Cases
from headscope.data.splits import picture_groups
from headscope.edits.means import head_means
from headscope.engine.engine import SHARED_PREFIX
from headscope.engine.readings import Reader
from headscope.errors import StudyError
from headscope.functions import MAIN, Taxonomy
from headscope.models.vlm import VLM
from headscope.storage import Ledger


def choose_items(
    cases: Cases,
    splits: Mapping[str, str],
    split: str,
    taxonomy: Taxonomy,
    max_items: int,
    seed: int,
    main_contexts: Sequence[str] = ("alone", "gold"),
    held_out: bool = False,
    contexts: Sequence[str] = ("gold",),
) -> dict[str, list[Item]]:
    """At most ``max_items`` items per function of one split, as many different pictures as possible.

    Sub-questions are taken in context ``gold`` under their function's name, in other ``contexts`` as
    ``<function>@<context>``, main questions as ``main@alone``, ``main@gold``. The choice depends on ids and
    seed alone, never on answers.

    Args:
        held_out: whether cases that are new to the embedded model in some way come in; such results are shown
            apart, so by default they do not (unless the split holds no others).

    Returns:
        function (or ``<function>@<context>``) -> items; functions without items are left out.
    """
    here = [case for case in cases if splits[case.id] == split]
    wanted = here if held_out else ([case for case in here if not case.held_out] or here)
    found: dict[str, list[Item]] = defaultdict(list)
    for item in make_items(wanted, taxonomy, contexts, main_contexts):
        plain = item.context == "gold" and item.function != MAIN
        found[item.function if plain else f"{item.function}@{item.context}"].append(item)
    others = [f"{f}@{c}" for f in taxonomy.functions for c in contexts if c != "gold"]
    order = [*taxonomy.functions, *others, *(f"{MAIN}@{c}" for c in main_contexts)]
    groups = picture_groups(cases)
    return {name: _spread(found[name], max_items, f"{seed}", groups) for name in order if found[name]}


def _spread(items: list[Item], most: int, salt: str, groups: Mapping[str, str]) -> list[Item]:
    """Seeded order, one item of every picture before a second of any."""
    drawn = sorted(items, key=lambda item: hashlib.sha256(f"{salt} {item.id}".encode()).hexdigest())
    seen: dict[str, int] = defaultdict(int)
    ranked = []
    for place, item in enumerate(drawn):
        picture = groups[item.case.id]
        ranked.append((seen[picture], place, item))
        seen[picture] += 1
    return [item for _, _, item in sorted(ranked, key=lambda r: r[:2])[:most]]


def mean_on_fit(
    vlm: VLM,
    cases: Cases,
    splits: Mapping[str, str],
    taxonomy: Taxonomy,
    *,
    max_items: int,
    seed: int,
    batch_size: int,
) -> NDArray[np.float64]:
    """(head, width) mean of z over prompts of ``fit``, at most ``max_items`` of each function.

    Raises:
        StudyError: there are none.
    """
    items = choose_items(cases, splits, "fit", taxonomy, max_items, seed, ())
    every = [item for chosen in items.values() for item in chosen]
    if not every:
        raise StudyError("the mean of heads needs cases on fit; name edits that need none: zero or small")
    batches = encode_batches(vlm, every, lambda i: cases.shown(i.case), batch_size)
    return head_means(vlm, [encoded for encoded, _ in batches])


def open_readers(
    vlm: VLM,
    cases: Cases,
    items: Mapping[str, list[Item]],
    ledger: Ledger,
    *,
    batch_size: int = 64,
    rows: int = 128,
    max_new_tokens: int = 8,
    strategies: Collection[str] = (SHARED_PREFIX,),
) -> dict[str, Reader]:
    """One reader per function or ``main@<context>``; nothing is encoded or asked yet."""
    groups = picture_groups(cases)
    return {
        name: Reader(
            vlm,
            chosen,
            lambda item: cases.shown(item.case),
            ledger,
            batch_size=batch_size,
            rows=rows,
            max_new_tokens=max_new_tokens,
            groups=groups,
            strategies=strategies,
        )
        for name, chosen in items.items()
    }
