"""How far places read off boxes agree with what people said, on data where both are there.

    python examples/box_agreement.py --vsr PATH/TO/vsr --coco PATH/TO/instances.json
    python examples/box_agreement.py --nlvr PATH/TO/nlvr/dev/dev.json

VSR: rows about left, right, above, below whose photograph has labelled boxes. NLVR: statements of the form
"there is a tower with a blue block over a yellow block", true if some pair of boxes is so; a case of people's
use of "over" on drawn blocks, not on photographs. Intervals are Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

from headscope.making.photographs.box_geometry import height_of
from headscope.making.photographs.error_budget import compare
from headscope.making.photographs.instances import read_instances

_STATED = re.compile(
    r"^(?:there is|one tower has)\b.*?\b(yellow|black|blue) (?:block|object)s? (?:over|above|on top of) a "
    r"(yellow|black|blue) (?:block|object)$"
)
_COLOUR = {"yellow": "Yellow", "black": "Black", "blue": "#0099ff"}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    z = 1.959963984540054
    middle, width = hits / n + z * z / (2 * n), z * math.sqrt(hits * (n - hits) / n**3 + (z / (2 * n)) ** 2)
    return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)


def of_vsr(folder: Path, instances: Path) -> Iterator[tuple[bool, bool]]:
    """(what people said, what the boxes say) of every row with both, each row once."""
    photos = {p.image.rpartition("/")[2]: p for p in read_instances(instances).photos}
    lines = {x for path in sorted(folder.rglob("*.jsonl")) for x in path.read_text("utf-8").splitlines()}
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for line in sorted(lines):
        row = json.loads(line)
        held[row["image"], row["caption"]] = row
    for found in compare(held.values(), photos):
        if found.boxes is not None:
            yield found.label, found.boxes


def of_nlvr(path: Path, next_to: bool) -> Iterator[tuple[bool, bool]]:
    """The same of NLVR; ``next_to``: only blocks that touch count as over each other."""
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        text = " ".join(row["sentence"].lower().split()).rstrip(".")
        found = _STATED.match(text)
        if not found or re.search(r"\b(?:no|exactly)\b", text):
            continue
        upper, lower = (_COLOUR[name] for name in found.groups())
        pairs = [p for panel in row["structured_rep"] for p in permutations(panel, 2)]
        said = any(
            a["color"] == upper and b["color"] == lower and _over(_box(a), _box(b), next_to) for a, b in pairs
        )
        yield row["label"] == "true", said


def _box(thing: dict[str, Any]) -> tuple[float, float, float, float]:
    x, y, size = thing["x_loc"], thing["y_loc"], thing["size"]
    return x, y, x + size, y + size


def _over(a: tuple[float, ...], b: tuple[float, ...], next_to: bool) -> bool:
    return height_of(a, b) == "above" and (not next_to or b[1] - a[3] < 2)  # type: ignore[arg-type]


def report(title: str, pairs: Iterable[tuple[bool, bool]]) -> str:
    """One line: how many agree, of how many, with the interval."""
    found = list(pairs)
    hits = sum(said == boxes for said, boxes in found)
    if not found:
        return f"{title}: no row with both"
    low, high = wilson(hits, len(found))
    return f"{title}: {hits} of {len(found)} agree ({100 * low:.0f} to {100 * high:.0f} %)"


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("--vsr", "--coco", "--nlvr"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    if asked.vsr and asked.coco:
        print(report("VSR, left right above below", of_vsr(asked.vsr, asked.coco)))
    if asked.nlvr:
        print(report("NLVR, over: higher", of_nlvr(asked.nlvr, next_to=False)))
        print(report("NLVR, over: higher, and nothing between", of_nlvr(asked.nlvr, next_to=True)))


if __name__ == "__main__":
    main()
