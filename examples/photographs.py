"""Turns Visual Spatial Reasoning rows with photographs into CogVSR cases.

    python examples/photographs.py VSR_PHOTOS OUT

VSR_PHOTOS holds dev_half.jsonl (the rows of VSR's zero-shot dev split) and images/. Every statement becomes a
main question, with three steps: is the one thing there, is the other, and the verdict. VSR's annotators chose
both things from those labelled in the photograph, so both are there; nothing else is made up. The rows say
nothing about places or boxes, so the cases have none.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from headscope.data.cases import save_cases
from headscope.data.pictures import read_size
from headscope.data.schema import Case, Step
from headscope.errors import DataError, HeadscopeError


def article(noun: str) -> str:
    """``a dog``, ``an apple``."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def case_of(row: dict, number: int, folder: Path) -> Case:
    """One row of VSR as a case."""
    width, height = read_size(folder / "images" / row["image"])
    claim = row["caption"].strip().rstrip(".")
    claim = claim[0].lower() + claim[1:]
    verdict = "true" if row["label"] else "false"
    steps = [
        Step(
            id=f"s{i}",
            question=f"Is there {article(noun)}?",
            answer="yes",
            choices=("yes", "no"),
            function="object_recognition",
            wording="present/0",
        )
        for i, noun in enumerate((row["subj"], row["obj"]), 1)
    ]
    last = Step(
        id="s3",
        question=f"So is it true that {claim}?",
        answer=verdict,
        choices=("true", "false"),
        function="decision_making",
        depends_on=("s1", "s2"),
        wording="verdict/0",
    )
    return Case(
        id=f"vsr-{number:04d}",
        image=f"images/{row['image']}",
        width=width,
        height=height,
        question=f"Is it true that {claim}?",
        answer=verdict,
        choices=("true", "false"),
        kind=row["relation"],
        wording="statement/0",
        steps=(*steps, last),
        source="vsr/zeroshot/dev",
        original=row,
    )


def main() -> None:
    """Read the rows, copy the photographs, write the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    try:
        lines = (asked.source / "dev_half.jsonl").read_text("utf-8").splitlines()
        cases = [case_of(json.loads(line), i, asked.source) for i, line in enumerate(lines, 1)]
        (asked.out / "images").mkdir(parents=True, exist_ok=True)
        for image in {c.image for c in cases}:
            shutil.copyfile(asked.source / image, asked.out / image)
        save_cases(cases, asked.out)
    except (OSError, ValueError, KeyError) as exc:
        raise SystemExit(
            f"error: {asked.source}: expected dev_half.jsonl and images/ of VSR, found {exc!r}"
        ) from exc
    except (HeadscopeError, DataError) as exc:
        raise SystemExit(f"error: {exc}") from exc
    print(f"{asked.out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
