"""Writes docs/proof-margins.json and its table in docs/models.md: sound and broken models of three depths.

``python tools/proof_margins.py``
``python tools/proof_margins.py --table`` only writes the table anew from the file.

Sound: every family, depth and format of ``tests/models/deep.py``, with each kind of weights, two seeds.
Broken: every fault of ``tests/models/depth_faults.py``, in the first and in the last layer, in every family.
A share is a figure divided by its limit; what is compared bit for bit has none.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
FILE, PAGE = ROOT / "docs" / "proof-margins.json", ROOT / "docs" / "models.md"
BEGIN, END = "<!-- proof margins -->\n", "<!-- end -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", action="store_true", help="write the table from the file")
    if not parser.parse_args().table:
        warnings.filterwarnings("ignore")
        logging.disable(logging.WARNING)
        torch.set_num_threads(1)
        with torch.no_grad():
            FILE.write_text(json.dumps({"sound": sound(), "broken": broken()}, indent=1) + "\n", "utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(
        before + BEGIN + table(json.loads(FILE.read_text("utf-8"))) + END + rest.partition(END)[2]
    )


def sound() -> list[dict[str, Any]]:
    """A row for each depth and format: how many models, how many refused, the largest share of any step."""
    from headscope.models.proofs.full import prove
    from models.deep import DEPTHS, FAMILIES, FORMATS, WEIGHTS, deep_model

    rows = []
    for depth, name in itertools.product(DEPTHS, FORMATS):
        largest, refused, tried = (0.0, "", "", "", 0), [], 0
        for family, weights, seed in itertools.product(FAMILIES, WEIGHTS, (0, 1)):
            model, inputs = deep_model(family, depth, FORMATS[name], weights, seed)
            proof = prove(model, inputs)
            tried += 1
            refused += [f"{family}, {weights}, seed {seed}: {proof.reason}"] * any(
                s.status == "refused" for s in proof.steps
            )
            shares = [(s.figure / s.limit, s.name) for s in proof.steps if s.limit == s.limit]
            largest = max(largest, (*max(shares), family, weights, seed))
        share, *what = largest
        row = {
            "depth": depth,
            "format": name,
            "tried": tried,
            "refused": refused,
            "largest": share,
            "at": what,
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def broken() -> list[dict[str, Any]]:
    """A row for each fault, depth and format: how many models, in how many it was missed, smallest share."""
    from headscope.models.finding import find_geometry
    from models.deep import DEPTHS, FAMILIES, FORMATS, deep_model
    from models.depth_faults import FAULTS

    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for depth, name, family in itertools.product(DEPTHS, FORMATS, FAMILIES):
        model, inputs = deep_model(family, depth, FORMATS[name])
        geometry = find_geometry(model)
        for fault, layer in itertools.product(FAULTS, (0, depth - 1)):
            start: dict[str, Any] = {"fault": fault, "depth": depth, "format": name}
            row = rows.setdefault(
                (fault, depth, name), {**start, "tried": 0, "missed": [], "steps": [], "smallest": None}
            )
            step, share = FAULTS[fault](model, inputs, geometry, layer)
            row["tried"] += 1
            row["missed"] += [] if step else [f"{family}, layer {layer}"]
            row["steps"] = sorted({*row["steps"], step} - {""})
            if share is not None:
                row["smallest"] = share if row["smallest"] is None else min(row["smallest"], share)
        print(depth, name, family, flush=True)
    return list(rows.values())


def table(found: dict[str, Any]) -> str:
    """The table of docs/models.md."""
    from models.depth_faults import BELOW_ROUNDING

    lines = [
        "| layers | format | sound: refused | largest share of a limit | broken: missed | smallest share |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["sound"]:
        cell = [
            r
            for r in found["broken"]
            if (r["depth"], r["format"]) == (row["depth"], row["format"]) and r["fault"] not in BELOW_ROUNDING
        ]
        missed, tried = sum(len(r["missed"]) for r in cell), sum(r["tried"] for r in cell)
        smallest = min(r["smallest"] for r in cell if r["smallest"] is not None)
        lines.append(
            f"| {row['depth']} | {row['format']} | {len(row['refused'])} of {row['tried']} | "
            f"{row['largest']:.2g} | {missed} of {tried} | {smallest:.2g} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
