"""Turns Visual Spatial Reasoning rows with photographs into CogVSR cases with three steps each.

    python examples/photographs.py VSR_PHOTOS OUT

VSR_PHOTOS holds dev_half.jsonl (the rows of VSR's zero-shot dev split) and images/. The VSR importer makes
a main question of every statement; this script adds three steps: is the one thing there, is the other, and
the verdict. VSR's annotators chose both things from those labelled in the photograph, so both are there;
nothing else is made up. The rows say nothing about places or boxes, so the cases have none.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from headscope.data.cases import Cases, load_cases, save_cases
from headscope.data.importers.registry import import_cases
from headscope.data.schema import Case, Step
from headscope.errors import HeadscopeError


def article(noun: str) -> str:
    """``a dog``, ``an apple``."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def with_steps(case: Case) -> Case:
    """The case with its presence steps and its verdict."""
    row = case.original or {}
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
        question=f"So {case.question[0].lower()}{case.question[1:]}",
        answer=case.answer,
        choices=case.choices,
        function="decision_making",
        depends_on=("s1", "s2"),
        wording="verdict/0",
    )
    return case.model_copy(update={"steps": (*steps, last), "source": "vsr/zeroshot/dev"})


def main() -> None:
    """Import the rows, add the steps, write the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            import_cases("vsr", folder, place=asked.source / "dev_half.jsonl")
            plain = load_cases(folder)
            cases = save_cases(Cases(folder, map(with_steps, plain)), asked.out)
    except HeadscopeError as exc:
        raise SystemExit(f"error: {exc}") from exc
    except KeyError as exc:
        raise SystemExit(
            f"error: {asked.source}: expected zero-shot rows with subj and obj, no {exc}"
        ) from exc
    print(f"{asked.out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
