"""Decomposition by a model on a server: cached, checked, resumable; its answers are marked as guesses."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from headscope.data.cases import Cases
from headscope.data.schema import Case
from headscope.errors import DataError
from headscope.functions import DEFAULT, Taxonomy
from headscope.making.decompose.chat_server import ChatServer, Message, PicturePart, ServerError, TextPart
from headscope.making.decompose.prompt_files import Prompts, load_prompts
from headscope.making.decompose.reply import read_reply, reply_schema
from headscope.making.decompose.responses import Completion
from headscope.progress import track
from headscope.records import JsonObject
from headscope.storage import fingerprint, read_json, write_json

CACHE, REFUSED = "decompose/replies", "decompose/refused"
REPORT = "decompose/report.json"


@dataclass(frozen=True)
class DecomposeSettings:
    """How a model is asked.

    Attributes:
        attempts: replies asked for per case; each after the first is told what was wrong.
        pictures: whether the picture is sent, at most ``side`` pixels long.
        at_once: requests under way together.
        give_up: cases in a row that the server failed, after which the run stops.
        price_in, price_out: money per million tokens, for the cost in the report.
    """

    attempts: int = 3
    pictures: bool = True
    side: int = 1024
    max_tokens: int = 2000
    at_once: int = 4
    give_up: int = 5
    price_in: float = 0.0
    price_out: float = 0.0


@dataclass
class ReplyCounts:
    """Replies asked for, found in the store and refused by the checks, and the tokens of those asked for."""

    asked: int = 0
    cached: int = 0
    invalid: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass
class DecomposedByModel:
    """What came of a run.

    Attributes:
        cases: all of them, in order; those that failed as they were.
        todo, made: how many cases were to be decomposed, and how many were.
        failed: case id -> why it was not.
        stopped: why the run ended before its time; empty where it did not.
        counts, cost: of replies and tokens, and what these cost.
        report: what ``decompose/report.json`` holds.
    """

    cases: list[Case] = field(default_factory=list)
    todo: int = 0
    made: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    counts: ReplyCounts = field(default_factory=ReplyCounts)
    cost: float = 0.0
    report: JsonObject = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Cases that were not asked about."""
        return self.todo - self.made - len(self.failed)


class Decomposer:
    """Asks a server for the steps of cases.

    Args:
        server: where to ask.
        cases: whose pictures are sent.
        store: folder that gets the replies and the report.
        taxonomy: the functions that steps may have; its first chain-only one is the verdict.
    """

    def __init__(
        self,
        server: ChatServer,
        cases: Cases,
        store: str | Path,
        settings: DecomposeSettings = DecomposeSettings(),  # frozen
        prompts: Prompts | None = None,
        taxonomy: Taxonomy = DEFAULT,
    ) -> None:
        if not taxonomy.chain_only:
            raise DataError(f"taxonomy {taxonomy.name}: no function is chain_only; the last step needs one")
        self.server, self.cases, self.store, self.settings = server, cases, Path(store), settings
        self.prompts, self.taxonomy = prompts or load_prompts(), taxonomy
        self.verdict = next(f for f in taxonomy.functions if f in taxonomy.chain_only)
        self.schema = reply_schema(taxonomy)
        self._lock = threading.Lock()
        self._counts = ReplyCounts()

    def run(self, again: bool = False) -> DecomposedByModel:
        """Steps for every case that has none; the others are kept as they are.

        Usable replies are stored as they come, by a hash of all that was sent: a run that is killed, or
        repeated, asks only for what has none. A case that fails never stops the run, but so many in a row at
        the server do. The report is written either way.

        Args:
            again: ask about cases that have steps, too.

        Raises:
            StoreError: the disk is full.
        """
        todo = [c for c in self.cases if again or not c.steps]
        done: dict[str, Case] = {}
        out = DecomposedByModel(todo=len(todo), counts=self._counts)
        try:
            self._all(todo, done, out)
        finally:
            out.cases, out.made = [done.get(c.id, c) for c in self.cases], len(done)
            out.cost = self._cost()
            out.report = self._report(done, out)
            write_json(self.store / REPORT, out.report)
        return out

    def _all(self, todo: Sequence[Case], done: dict[str, Case], out: DecomposedByModel) -> None:
        in_a_row = 0
        waiting: dict[Future[Case], Case] = {}
        line = iter(track(todo, "decompose", unit="cases"))
        with ThreadPoolExecutor(self.settings.at_once) as pool:
            try:
                more = True
                while more or waiting:
                    while more and len(waiting) < self.settings.at_once:
                        case = next(line, None)
                        more = case is not None
                        if case is not None:
                            waiting[pool.submit(self.one, case)] = case
                    finished, _ = wait(waiting, return_when=FIRST_COMPLETED) if waiting else (set(), None)
                    for future in finished:
                        case = waiting.pop(future)
                        try:
                            done[case.id] = future.result()
                            in_a_row = 0
                        except _Invalid as exc:
                            out.failed[case.id] = str(exc)
                            in_a_row = 0
                        except ServerError as exc:
                            out.failed[case.id] = str(exc)
                            in_a_row += 1
                    if in_a_row >= self.settings.give_up:
                        more = False
                        out.stopped = f"{in_a_row} cases in a row failed at the server"
            except BaseException:
                self.server.stop()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def one(self, case: Case) -> Case:
        """One case with its steps, from the store where a usable reply is there.

        Only replies that pass the checks are stored as such; the others lie in ``decompose/refused`` for
        people to read, and are asked for again.

        Raises:
            ServerError: the server failed. _Invalid: no reply passed the checks.
        """
        messages: list[Message] = [
            {"role": "system", "content": self.prompts.opening(self.taxonomy, self.verdict)},
            {"role": "user", "content": self.prompts.about(case)},
        ]
        place = self.store / CACHE / f"{self._key(case, messages)}.json"
        known = self._stored(place, case)
        if known is not None:
            return known
        faults: list[str] = []
        for attempt in range(self.settings.attempts):
            said = self._asked(case, messages)
            if said.refusal:
                raise _Invalid(f"the model declined: {said.refusal[:300]}")
            whole = said.finish != "length"
            made, faults = read_reply(said.text, case, self.taxonomy, self.verdict, whole)
            if made is not None:
                write_json(place, {"case": case.id, "model": self.server.model, **vars(said)})
                return made
            if not whole:
                faults = [f"cut off after {self.settings.max_tokens} tokens: use fewer and shorter steps"]
            refused = self.store / REFUSED / f"{place.stem}-{attempt}.json"
            write_json(refused, {"case": case.id, "model": self.server.model, "faults": faults, **vars(said)})
            with self._lock:
                self._counts.invalid += 1
            shown = "\n".join(f"- {f}" for f in faults[:10])
            messages += [
                {"role": "assistant", "content": said.text[:4000]},
                {"role": "user", "content": self.prompts.retry.substitute(faults=shown)},
            ]
        raise _Invalid(
            f"no reply of {self.settings.attempts} passed the checks; the last: {'; '.join(faults[:3])}"
        )

    def _stored(self, place: Path, case: Case) -> Case | None:
        """The case with the steps of a stored reply; None where none is stored or it no longer passes."""
        if not place.exists():
            return None
        made, _ = read_reply(str(read_json(place)["text"]), case, self.taxonomy, self.verdict)
        with self._lock:
            self._counts.cached += made is not None
        return made

    def _asked(self, case: Case, messages: list[Message]) -> Completion:
        """A new reply to this dialogue and the case's pictures."""
        sent = list(messages)
        if self.settings.pictures:
            words: TextPart = {"type": "text", "text": str(sent[1]["content"])}
            pictures: list[PicturePart] = [
                {"type": "image_url", "image_url": {"url": url}} for url in self._pictures(case)
            ]
            sent[1] = {**sent[1], "content": [words, *pictures]}
        said = self.server.ask(sent, self.schema, self.settings.max_tokens)
        with self._lock:
            self._counts.asked += 1
            self._counts.tokens_in += said.tokens_in
            self._counts.tokens_out += said.tokens_out
        return said

    def _key(self, case: Case, messages: list[Message]) -> str:
        picture = ""
        if self.settings.pictures:
            contents = [self.cases.image_path(case, n).read_bytes() for n in range(len(case.pictures))]
            picture = f"{' '.join(hashlib.sha256(c).hexdigest() for c in contents)} {self.settings.side}"
        said = [self.server.url, self.server.model, self.settings.max_tokens, messages, picture, self.schema]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def _pictures(self, case: Case) -> list[str]:
        """The pictures as data addresses, made smaller where they are longer than ``side``."""
        out = []
        for image in self.cases.images(case):
            image.thumbnail((self.settings.side, self.settings.side))
            sink = io.BytesIO()
            image.save(sink, "JPEG", quality=90)
            out.append(f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}")
        return out

    def _cost(self) -> float:
        counts, settings = self._counts, self.settings
        return (counts.tokens_in * settings.price_in + counts.tokens_out * settings.price_out) / 1e6

    def _report(self, done: dict[str, Case], out: DecomposedByModel) -> JsonObject:
        counts, settings = self._counts, self.settings
        steps = [s for c in done.values() for s in c.steps]
        return {
            "schema": "headscope/decompose/1",
            "server": self.server.url,
            "model": self.server.model,
            "prompts": fingerprint([t.template for t in vars(self.prompts).values()]),
            "settings": dict(vars(settings)),
            "cases": {
                "all": len(self.cases),
                "without steps": out.todo,
                "made": out.made,
                "failed": len(out.failed),
            },
            "left": out.left,
            "steps": {"guessed": sum(s.origin == "guessed" for s in steps), "all": len(steps)},
            "replies": {"asked": counts.asked, "cached": counts.cached, "invalid": counts.invalid},
            "requests": {"sent": self.server.requests, "failed": self.server.failures},
            "tokens": {"in": counts.tokens_in, "out": counts.tokens_out},
            "cost": out.cost,
            "structured": self.server.structured,
            "asked_for": self.server.asks._asdict(),
            "stopped": out.stopped,
            "failed": {**out.failed},
        }


class _Invalid(DataError):
    """No reply about a case passed the checks."""
