"""The capture stage: plan, say the size, ask batch by batch, write shard by shard, resume after a kill."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscope.asking.answers import AnswerRow
from headscope.asking.ask import Outcome, ask
from headscope.asking.batches import Pictures, refuse_untaken_pictures
from headscope.asking.form import form_of, warnings_of
from headscope.asking.histories import like_cases
from headscope.asking.items import Item, count_unanswered, make_items
from headscope.asking.picture_cache import picture_cache
from headscope.asking.picture_features import shared_features
from headscope.asking.preparing import prepared
from headscope.asking.readouts import check_readouts
from headscope.capturing.captured import CapturedSettings, CapturePlan, Shard, write_plan
from headscope.capturing.shard_plan import make_plan
from headscope.capturing.store import (
    attributes,
    broken_shards,
    clear_unfinished,
    iter_answers,
    missing_shards,
    shard_path,
    write_shard,
)
from headscope.capturing.writer import ShardWriter
from headscope.data.cases import Cases
from headscope.errors import DataError, StoreError
from headscope.functions import DEFAULT, Taxonomy
from headscope.models.vlm import VLM
from headscope.models.ways import kept_ways
from headscope.progress import track
from headscope.storage import fingerprint
from headscope.workers import several, share_out

log = logging.getLogger(__name__)
SHARD_ITEMS = 512


def capture(
    vlm: VLM,
    cases: Cases,
    splits: Mapping[str, str],
    folder: str | Path,
    *,
    contexts: Iterable[str] = ("gold",),
    main_contexts: Iterable[str] | None = None,
    readouts: Iterable[str] = ("prompt_last",),
    batch_size: int = 32,
    max_new_tokens: int = 8,
    shard_items: int = SHARD_ITEMS,
    score: bool = True,
    taxonomy: Taxonomy = DEFAULT,
    pictures: Pictures | None = None,
    pictures_name: str = "plain",
    announce: Callable[[str], None] | None = None,
) -> None:
    """Ask every question of the cases once and keep answers and activations in ``folder``.

    The plan (which item in which batch in which shard) is fixed and stored before anything is asked. A run
    that is killed, interrupted or out of disk leaves complete shards only; the same call again makes the
    missing ones and ends with the same bytes. Nothing is random. All questions of a case are in one shard,
    so that its picture is read and processed once; ``own`` steps are asked after the answers before them.
    A thread writes a shard while the next one is asked: up to three shards' readouts are in memory. Inside
    :func:`headscope.workers.sharing_work` several processes ask and write a shard each.

    Args:
        vlm: a :class:`headscope.models.vlm.VLM`.
        cases: a :class:`headscope.data.cases.Cases`.
        splits: case id -> ``fit``, ``select`` or ``test``.
        folder: gets plan.json and shards/00000/{answers.parquet, z.zarr}.
        contexts: any of ``gold``, ``own``, ``alone``, ``wrong``, ``other``, for steps.
        main_contexts: the same for main questions; by default ``contexts``.
        readouts: any of ``prompt_last``, ``answer_mean``, ``answer_content``; none keeps answers alone.
        shard_items: items a shard, about: work at risk in a kill, and host memory.
        score: whether to score choices; otherwise ``margin`` and ``logprob`` are NaN.
        pictures: item -> picture; by default the case's own. Give it a ``pictures_name`` then, since a
            folder is refused to captures with other settings.
        announce: gets one line that says how much will be written, before the start; by default it is logged.

    Raises:
        StoreError: the folder holds another capture, or the disk is full or would be.
        StudyError: unknown contexts or readouts.
        DataError: no cases, or a case without a split.
        ModelError: the model cannot take a prompt.
    """
    folder = Path(folder)
    names = check_readouts(readouts)
    asked = tuple(dict.fromkeys(contexts))
    mains = asked if main_contexts is None else tuple(dict.fromkeys(main_contexts))
    others = like_cases(cases, taxonomy) if "other" in (*asked, *mains) else {}
    items = make_items(cases, taxonomy, asked, mains, others)
    _check(items, splits)
    refuse_untaken_pictures(vlm, cases)
    settings = CapturedSettings(
        contexts=asked,
        main_contexts=mains,
        readouts=names,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        shard_items=shard_items,
        score=score,
        taxonomy=f"{taxonomy.name} {fingerprint([taxonomy.functions, sorted(taxonomy.chain_only)])}",
        pictures=pictures_name,
        splits=fingerprint(sorted({(i.case.id, splits[i.case.id]) for i in items})),
    )
    plan = make_plan(vlm, items, settings, cases.fingerprint)
    write_plan(folder, plan)
    clear_unfinished(folder)
    for name, why in broken_shards(folder, plan).items():
        (announce or log.warning)(f"capture: shard {name} is made again: {why}")
        shutil.rmtree(shard_path(folder, name))
    todo = set(missing_shards(folder, plan))
    _announce(folder, plan, todo, announce or log.info)
    _announce_unanswered(cases, announce or log.warning)
    shards = [s for s in plan.shards if s.name in todo]
    del items  # those of a shard are made again when it is asked: memory does not grow with the cases

    def items_of(shard: Shard) -> dict[str, Item]:
        here = [cases.by_id[c] for c in shard.cases]
        return {i.id: i for i in make_items(here, taxonomy, asked, mains, others)}

    work = _Work(cases, items_of, pictures, names, max_new_tokens, score)

    def asked_shard(shard: Shard, done: Callable[[], None]) -> tuple[Any, ...]:
        outcome = _ask_shard(vlm, shard, work, done)
        for row in outcome.rows:
            row["split"] = splits[row["case"]]
        return folder, shard.name, outcome.rows, outcome.z, plan.heads, attributes(plan), plan.identity

    with kept_ways(vlm, folder):
        if several():
            share_out(
                shards,
                lambda shard: write_shard(*asked_shard(shard, lambda: None)),
                lambda shard: shard_path(folder, shard.name).is_dir(),
                "capture",
                "shards",
            )
        else:
            _write_behind(shards, asked_shard)
    for said in warnings_of(form_of(iter_answers(folder))) if shards and score else ():
        (announce or log.warning)(f"capture: {said}")


def _write_behind(
    shards: Sequence[Shard], asked_shard: Callable[[Shard, Callable[[], None]], tuple[Any, ...]]
) -> None:
    """Shard by shard, each written by a thread while the next one is asked."""
    ticks = closing(_ticks(sum(len(s.batches) for s in shards)))
    with ShardWriter() as writer, ticks as tick:

        def done() -> None:
            writer.check()
            next(tick, None)

        for shard in shards:
            writer.write(*asked_shard(shard, done))


def _check(items: Sequence[Item], splits: Mapping[str, str]) -> None:
    if not items:
        raise DataError("asked to capture no questions; give cases with steps or main questions")
    lost = next((i.case.id for i in items if i.case.id not in splits), None)
    if lost is not None:
        raise DataError(f"case {lost}: has no split; assign splits to all cases first")


def _ticks(total: int) -> Generator[int]:
    """A progress bar that is moved on by hand."""
    yield from track(range(total), "capture", unit="batches")


def _announce(folder: Path, plan: CapturePlan, todo: set[str], say: Callable[[str], None]) -> None:
    """Say the size; refuse at once what the disk cannot hold."""
    shards = len(plan.shards)
    left = sum(len(b) for s in plan.shards if s.name in todo for b in s.batches)
    needed = int(plan.bytes * left / max(1, plan.items))
    free = shutil.disk_usage(folder).free
    done = f", {shards - len(todo)} of them there already" if len(todo) < shards else ""
    say(
        f"capture: {plan.items} questions in {shards} shards{done}; at most {_size(needed)} to write, "
        f"{_size(free)} free"
    )
    if needed > free:
        raise StoreError(
            f"{folder}: this capture may need {_size(needed)} and {_size(free)} are free; free space, name a "
            "folder on another disk, or keep fewer readouts or cases"
        )


def _announce_unanswered(cases: Cases, say: Callable[[str], None]) -> None:
    """Say how many steps are not asked because nobody has answered them."""
    unanswered, resting = count_unanswered(cases)
    if unanswered:
        say(
            f"capture: {unanswered} steps without an answer are left out (`headscope data review` fills them "
            f"in); {resting} steps that rest on them are asked without those turns"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@dataclass(frozen=True)
class _Work:
    """What all shards of a capture have in common; ``pictures`` None: the cases' own."""

    cases: Cases
    items_of: Callable[[Shard], Mapping[str, Item]]
    pictures: Pictures | None
    readouts: tuple[str, ...]
    max_new_tokens: int
    score: bool


def _ask_shard(vlm: VLM, shard: Shard, work: _Work, done: Callable[[], None]) -> Outcome:
    """Ask the batches of a shard in plan order; what the model said earlier in it feeds ``own`` chains."""
    own: dict[str, str] = {}
    rows: list[AnswerRow] = []
    parts: dict[str, list[Any]] = {name: [] for name in work.readouts}
    items = work.items_of(shard)
    batches = [[items[i] for i in ids] for ids in shard.batches]
    with ExitStack() as stack:
        warm = None
        pictures = work.pictures
        if pictures is None:
            # Held for this shard only: all steps of a case are in it.
            cache = stack.enter_context(picture_cache(vlm, work.cases))
            pictures, warm = cache.picture, cache.warm
        else:
            stack.enter_context(shared_features(vlm))
        ready = stack.enter_context(closing(prepared(vlm, batches, pictures, own, warm)))
        for encoded, batch in ready:
            outcome = ask(
                vlm,
                encoded,
                batch,
                readouts=work.readouts,
                max_new_tokens=work.max_new_tokens,
                score=work.score,
            )
            rows += outcome.rows
            own.update({r["item"]: r["text"] for r in outcome.rows if r["context"] == "own"})
            for name in work.readouts:
                parts[name].append(outcome.z[name])
            done()
    return Outcome(rows, {name: np.concatenate(parts.pop(name)) for name in work.readouts})
