"""The dataset card: what is in a folder of cases, how its answers are balanced, what questions give away."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscope.data.blind import CAP, FLAG_POINTS, BlindRow, blind_table, by_choices
from headscope.data.cases import Cases
from headscope.data.markdown import escaped, markdown_table
from headscope.data.schema import SCHEMA, SPLITS, Case, Step
from headscope.data.splits import assign_splits
from headscope.functions import DEFAULT, MAIN, Taxonomy
from headscope.storage import write_atomic

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**9, "100K<n<1M"))
_FLAGS = {(True, True): "LEAK", (True, False): "unclear", (False, True): "", (False, False): ""}


def write_card(
    cases: Sequence[Case],
    folder: str | Path,
    *,
    taxonomy: Taxonomy = DEFAULT,
    name: str = "CogVSR cases",
    licence: str | None = None,
    notes: str = "",
) -> Path:
    """Write ``README.md``, a dataset card with counts, answer balance and the blind table.

    The same cases give the same card, byte for byte.

    Args:
        cases: the cases.
        folder: where the card goes.
        taxonomy: order of the functions, and which need the picture.
        name: title of the card.
        licence: a licence id of the Hub (``cc-by-4.0``), where there is one.
        notes: Markdown put after the first paragraph, as it is: where the cases come from.

    Returns:
        The path of the card.

    Raises:
        DataError: one picture is asked for in two splits.
        StoreError: the disk is full or the folder cannot be written.
    """
    path = Path(folder) / "README.md"
    steps = sum(len(c.steps) for c in cases)
    parts = [
        _header(cases, name, licence),
        f"# {escaped(name)}",
        f"{len(cases)} cases with {steps} steps: each case is one picture with a main question about space, "
        "and the step-by-step questions that lead to its answer, each marked with the cognitive function "
        f"that it needs. Schema `{SCHEMA}`: `cases.jsonl`, one case per line, pictures beside it.",
        _without_pictures(cases),
        notes.strip(),
        "Check it with `headscope data validate FOLDER`; load it with `headscope.load_cases(FOLDER)`.",
        "## What is in it",
        _counts(cases, taxonomy),
        "## Balance of answers",
        "Questions of one function that share a set of choices stand together; rare sets, and sets that "
        "change from question to question, are taken together.",
        _balance(cases, taxonomy),
        "## What the questions give away",
        _blind(blind_table(cases, taxonomy)),
    ]
    write_atomic(path, "\n\n".join(p for p in parts if p) + "\n")
    return path


def _header(cases: Sequence[Case], name: str, licence: str | None) -> str:
    size = next(label for limit, label in _SIZES if len(cases) < limit or limit == _SIZES[-1][0])
    lines = [f"pretty_name: {json.dumps(name)}"]  # a JSON string is a YAML string
    if licence:
        lines.append(f"license: {json.dumps(licence)}")
    lines += ["language:", "- en", "task_categories:", "- visual-question-answering", "tags:"]
    lines += ["- spatial-reasoning", "- interpretability", "- cogvsr", "size_categories:", f"- {size}"]
    lines += ["configs:", "- config_name: default", "  data_files: cases.jsonl"]
    return "\n".join(["---", *lines, "---"])


def _without_pictures(cases: Sequence[Case]) -> str:
    missing = sum(not c.width for c in cases)
    return (
        f"{missing} cases have no picture here: they can be read and decomposed, not asked; import them "
        "again with `--images`."
        if missing
        else ""
    )


def _counts(cases: Sequence[Case], taxonomy: Taxonomy) -> str:
    given = cases.splits if isinstance(cases, Cases) else assign_splits(cases)
    splits = Counter(given.values())
    functions = Counter(s.function for c in cases for s in c.steps)
    order = {f: i for i, f in enumerate(taxonomy.functions)}
    wordings: dict[str, set[str]] = {}
    for case in cases:
        for step in case.steps:
            wordings.setdefault(step.function, set()).add(step.wording)
    tables: list[tuple[str, list[tuple[Any, int]]]] = [
        ("Split (by picture, seed 0)", [(s, splits[s]) for s in SPLITS]),
        ("Kind of main question", sorted(Counter(c.kind or "(none)" for c in cases).items())),
        ("Things in the picture", sorted(Counter(c.things for c in cases).items())),
        ("Held out", sorted(Counter(t for c in cases for t in c.held_out or ("(nothing)",)).items())),
    ]
    named = sorted(functions, key=lambda f: (order.get(f, len(order)), f))
    rows: list[list[Any]] = [[f, functions[f], len(wordings[f] - {""}) or "-"] for f in named]
    origins = Counter(s.origin for c in cases for s in c.steps)
    sources = [[origin or "(the source)", count] for origin, count in sorted(origins.items())]
    return "\n\n".join(
        [markdown_table(["Function", "Steps", "Wordings"], rows)]
        + [markdown_table(["Answers from", "Steps"], sources)] * any(origins)
        + [markdown_table([title, "Cases"], [list(row) for row in counts]) for title, counts in tables]
    )


def _balance(cases: Sequence[Case], taxonomy: Taxonomy) -> str:
    asked: dict[str, list[Step]] = {}
    for case in cases:
        for step in (*(s for s in case.steps if s.answered), case.main_step()):
            ordered = step.model_copy(update={"choices": tuple(sorted(step.choices))})
            asked.setdefault(step.function, []).append(ordered)
    order = {f: i for i, f in enumerate((*taxonomy.functions, MAIN))}
    rows: list[list[Any]] = []
    for function in sorted(asked, key=lambda f: (order.get(f, len(order)), f)):
        for changing, steps in by_choices(asked[function]):
            answers = Counter(s.answer for s in steps)
            best = sorted(answers.items(), key=lambda pair: (-pair[1], pair[0]))
            shares = ", ".join(f"{a} {100 * n / len(steps):.1f} %" for a, n in best[:8])
            more = f", {len(best) - 8} more" if len(best) > 8 else ""
            rows.append([function, _domain(steps[0], changing), len(steps), shares + more])
    return markdown_table(["Function", "Choices", "Questions", "Answers"], rows)


def _domain(step: Step, changing: bool) -> str:
    if changing:
        return "others, rare or changing"
    if not step.choices:
        return "open"
    words = " / ".join(step.choices[:6])
    return words if len(step.choices) <= 6 else f"{words} / ... ({len(step.choices)})"


def _blind(rows: list[BlindRow]) -> str:
    flagged = [r.function for r in rows if r.flag]
    verdict = "None is." if not flagged else f"**{len(flagged)} are: {', '.join(map(escaped, flagged))}.**"
    text = (
        "A classifier that reads only the question, never the picture (ridge regression over words and pairs "
        "of words, five folds by picture, each question alone), against the best answer that needs no "
        "reading: the most frequent one for the question's choices, or the choice named first. Functions "
        "whose answers come from the picture, and main questions, are flagged where the classifier gains "
        f"over {FLAG_POINTS:g} points. {verdict} At most {CAP} questions per function are used. ± is two "
        "standard errors, by picture; a gain within them is flagged as unclear: more cases would tell."
    )
    table = []
    for row in rows:
        shares = [_percent(share) for share in (row.chance, row.majority, row.blind)]
        gain = "-" if row.difference is None else f"{row.difference:+.1f} ± {2 * (row.error or 0.0):.1f}"
        picture = "yes" if row.from_picture else "no"
        table.append([row.function, row.used, *shares, gain, picture, _FLAGS[row.flag, row.clear]])
    head = [
        "Function",
        "Questions",
        "Chance",
        "Majority",
        "Blind",
        "Gain, points",
        "Needs the picture",
        "Flag",
    ]
    return f"{text}\n\n{markdown_table(head, table)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
