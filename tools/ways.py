"""Which quick ways each family's models take, by trials on the tiny models of the survey: docs/ways.json, and
the table in docs/scan.md.

python tools/ways.py                  try all families, write both files
python tools/ways.py llava idefics3   try these again, keep the other rows
python tools/ways.py --docs           write the table alone from the results there are
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from headscope.models.base import OwnLock
from headscope.models.types import Encoded, ImageGrid, Prompt
from headscope.models.vlm import VLM

DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS, PAGE = DOCS / "ways.json", DOCS / "scan.md"
BEGIN, END = "<!-- ways: begin -->", "<!-- ways: end -->"
SCOPES = ("all", "last", "answer")
WORDS = {"left": [21], "top left": [22, 21, 23], "bottom right": [24, 25]}
WINDOW = 512  # positions, longer than any prompt here


class TinyVLM(VLM):
    """A model of the survey as a VLM: it has no processor, so that prompts are the survey's own inputs."""

    def __init__(self, family: str, model: nn.Module, geometry: Any) -> None:
        """What asking and editing need, and nothing of a checkpoint's folder."""
        self.model, self.geometry, self.name = model, geometry, family
        self.processor = SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=0))
        self.proof = self.frame = None
        self._answers, self._turn = {}, OwnLock()

    def encode(self, prompts: Sequence[Prompt]) -> Encoded:
        """As many inputs of the survey as there are prompts, item i the same whatever stands beside it."""
        from family_survey.plans import tiny_inputs
        from headscope.models.proofs.batch_proof import numbered

        inputs = tiny_inputs(self.name, self.model, items=len(prompts))
        if self.proof is not None and len(prompts) > 1:
            self.proof.require("batch", "a batch")
        if self.proof is not None and self.proof.numbered:
            inputs = numbered(inputs)
        ids = inputs.get("input_ids")
        shape = tuple(ids.shape) if ids is not None else (len(prompts), 1)
        nothing = torch.zeros(shape, dtype=torch.bool)
        length = inputs["decoder_input_ids"].shape[1] if "decoder_input_ids" in inputs else shape[1]
        return Encoded(inputs, nothing, nothing, length, [ImageGrid(None)] * len(prompts))

    def encode_answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Fixed tokens for each of :data:`WORDS`, others by their letters."""
        return [list(WORDS.get(a, [26 + ord(c) % 6 for c in a])) for a in answers]

    def decode(self, ids: Sequence[int]) -> str:
        """The tokens' numbers."""
        return " ".join(map(str, ids))

    @property
    def end_ids(self) -> tuple[int, ...]:
        """One token, such that the end of an answer can be scored."""
        return (2,)


def tiny_vlm(family: str) -> TinyVLM:
    """The survey's model of a family, proved; GeometryError or Unbuildable where there is none."""
    from family_survey.plans import tiny_inputs, tiny_model
    from headscope.models.finding import find_geometry
    from headscope.models.proofs.full import prove

    model = tiny_model(family)
    geometry = find_geometry(model)
    vlm = TinyVLM(family, model, geometry)
    vlm.proof = prove(model, tiny_inputs(family, model), geometry)
    return vlm


def long_windows(model: nn.Module) -> bool:
    """Let sliding windows reach beyond the prompt, as they mostly do in use; whether there were any."""
    found = False
    config: Any = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for owner in (text, *model.modules()):
        if isinstance(getattr(owner, "sliding_window", None), int):
            owner.sliding_window = WINDOW
            found = True
    return found


def item() -> Any:
    """A question with choices of one and of several tokens."""
    from headscope.asking.items import Item
    from headscope.data.schema import Case, Step

    step = Step(id="s", question="Where?", answer="left", function="spatial_perception", choices=tuple(WORDS))
    case = Case(id="c", image="c.png", width=8, height=8, question="Where?", answer="left", steps=(step,))
    return Item("c/s/alone", case, step, "alone")


def tried(vlm: VLM) -> dict[str, str]:
    """Way -> why it is not taken, empty where it is, after each was tried once."""
    from headscope.asking.ask import ask
    from headscope.asking.picture_features import shared_features
    from headscope.edits.edits import Edit, mute
    from headscope.engine.replay_trial import replay_of
    from headscope.engine.shared_prefix import shared_prefix_of
    from headscope.models.ways import ways_of

    one, asked = vlm.encode([None]), item()  # type: ignore[list-item]
    with shared_features(vlm):
        for _ in range(2):
            ask(vlm, one, [asked], max_new_tokens=2)
    heads = [h for h in vlm.geometry.heads if h.tower == "decoder"]
    shared_prefix_of(vlm, one, asked, [Edit((h,), mute()) for h in (*heads[:2], *heads[-4:])], 2)
    for scope in SCOPES:
        replay_of(vlm, one, scope)
    return ways_of(vlm)


def row_of(family: str) -> dict[str, Any]:
    """``ways`` of a family and, where it has sliding windows, ``long``: its ways while the prompt fits them.

    ``refused``: why there are none, where nothing can be asked.
    """
    from headscope.models.survey import load
    from headscope.models.ways import MODEL_ERRORS, failure

    surveyed = {r.family: r for r in load()}.get(family)
    if surveyed is not None and not surveyed.captured:
        return {"refused": "no capture and no edits over a prompt ([families](families.md))"}
    try:
        vlm = tiny_vlm(family)
        row: dict[str, Any] = {"ways": _plain(tried(vlm))}
        again = tiny_vlm(family)
        if long_windows(again.model):
            found = _plain(tried(again))
            if found != row["ways"]:
                row["long"] = found
    except MODEL_ERRORS as exc:
        return {"refused": _without_figures(failure(exc))}
    return row


def _plain(ways: Mapping[str, str]) -> dict[str, str]:
    """Reasons without figures, which differ from machine to machine."""
    return {way: _without_figures(why) for way, why in ways.items()}


def _without_figures(why: str) -> str:
    return re.sub(r" by [0-9.e+-]+(?: of the largest)?|: [0-9.a-z+-]+ relative, limit [0-9.e+-]+", "", why)


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Families with the same ways in one line, then the reasons."""
    from headscope.models.ways import FAN, PICTURES, REPLAY, SHARED, TREE

    columns = {
        TREE: "choices in one row",
        f"{FAN}, scope all": "edits in one forward",
        **{f"{REPLAY}, scope {s}": f"scan `{s}`" for s in SCOPES},
        SHARED: "shared clean runs",
        PICTURES: "pictures once",
    }
    tried = {family: row for family, row in rows.items() if "refused" not in row}
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for family, row in tried.items():
        groups[tuple(_cell(row, way) for way in columns)].append(family)
    lines = [f"| families | {' | '.join(columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for cells, families in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0])):
        lines.append(f"| {', '.join(families)} | {' | '.join(cells)} |")
    refused = ", ".join(family for family in rows if family not in tried)
    lines += ["", f"Not tried, since no capture over a prompt, or no answer, can be had: {refused}.", ""]
    lines += ["| not | because | families |", "|---|---|---|"]
    return lines + _reasons(tried, columns)


def _cell(row: Mapping[str, Any], way: str) -> str:
    why = row["ways"].get(way)
    if why:
        return "while the prompt fits" if row.get("long", {}).get(way) == "" else "no"
    return "-" if why is None else "yes"


def _reasons(tried: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]) -> list[str]:
    """Ways that the same families do not take for the same reason in one line."""
    families: dict[tuple[str, str], list[str]] = defaultdict(list)
    for way in columns:
        for family, row in tried.items():
            if _cell(row, way) == "no":
                families[row["ways"][way], way].append(family)
    ways: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (reason, way), names in families.items():
        ways[reason, tuple(names)].append(columns[way])
    return [
        f"| {', '.join(held)} | {reason.replace('|', '/').replace('<', '&lt;')} | {', '.join(names)} |"
        for (reason, names), held in ways.items()
    ]


def filled(text: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with its table made from the results."""
    head, _, rest = text.partition(BEGIN)
    return "\n".join([head + BEGIN, *table(rows), END]) + rest.partition(END)[2]


def main(arguments: list[str] | None = None) -> None:
    """Try what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*")
    parser.add_argument("--docs", action="store_true")
    asked = parser.parse_args(arguments)
    rows: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    if not asked.docs:
        import transformers

        from family_survey.build import family_names

        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        warnings.filterwarnings("ignore")
        for family in asked.families or family_names():
            start = time.perf_counter()
            rows[family] = row_of(family)
            print(f"{family:24} {time.perf_counter() - start:5.1f} s  {json.dumps(rows[family])}", flush=True)
            rows = {name: rows[name] for name in family_names() if name in rows}
            RESULTS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    PAGE.write_text(filled(PAGE.read_text("utf-8"), rows), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
