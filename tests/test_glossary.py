"""The glossary: every word of the project and of its field, once, in order, in a sentence or two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli_page import page

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "glossary.md").read_text("utf-8")
ENTRIES = dict(re.findall(r"^## (.+)\n\n(.+)$", TEXT, re.MULTILINE))
# The words that the project uses for its own things, and no others.
OWN = (
    *("case", "step", "pair", "function", "context", "gold", "own", "alone", "wrong", "other", "head", "z"),
    *(
        "readout",
        "scope",
        "margin",
        "forced choice",
        "free answer",
        "unreadable",
        "edit",
        "mute",
        "scale",
        "add",
    ),
    *(
        "clamp",
        "patch",
        "resample",
        "bake",
        "control",
        "claim",
        "general damage",
        "atlas",
        "study",
        "taxonomy",
    ),
)
# Words of the field that a reader of a report, or of a command's help, may not know.
FIELD = (
    *(
        "ablation",
        "AUROC",
        "Benjamini and Hochberg",
        "bfloat16",
        "bootstrap",
        "checkpoint",
        "circuit",
        "chance",
    ),
    *("emphasis", "false discovery rate", "greedy", "held out", "interval", "KL divergence", "leak", "nat"),
    *("not testable", "probe", "q", "quantization", "replay", "ridge regression", "Spearman correlation"),
    *(
        "sign-flip test",
        "split",
        "steering",
        "token",
        "tower",
        "Wilson interval",
        "window",
        "headroom",
        "pointing",
    ),
)


def entries() -> set[str]:
    """Words that have an entry, without what tells two meanings apart."""
    return {re.sub(r" \(.+\)$", "", word).lower() for word in ENTRIES}


def shown_to_people() -> str:
    """The texts of commands' help and of the report's code and templates."""
    report = ROOT / "src" / "headscope" / "report"
    files = [p for p in sorted(report.rglob("*")) if p.suffix in (".py", ".j2")]
    return page() + "".join(p.read_text("utf-8") for p in files)


def test_entries_are_in_order_and_of_one_or_two_sentences() -> None:
    words = [re.sub(r"[^a-z0-9 ]", "", word.lower()) for word in ENTRIES]
    assert words == sorted(words)
    assert len(ENTRIES) == TEXT.count("\n## ")
    for word, said in ENTRIES.items():
        sentences = re.split(r"(?<=[.?!])\"? (?=[A-Z])", re.sub(r"`[^`]*`|\([^)]*\)", "x", said))
        assert 1 <= len(sentences) <= 3, f"{word}: {sentences}"
        assert len(said.split()) <= 45, word
        assert said.rstrip('"').endswith("."), word


def test_every_word_of_the_project_has_an_entry() -> None:
    assert {word.lower() for word in OWN} <= entries()


@pytest.mark.parametrize("word", [*OWN, *FIELD])
def test_a_word_that_the_report_or_help_uses_has_an_entry(word: str) -> None:
    used = re.search(rf"\b{re.escape(word.lower())}(s|es|d|ed|ing)?\b", shown_to_people().lower())
    assert used is None or word.lower() in entries()


def test_links_within_the_glossary_lead_to_entries() -> None:
    anchors = {re.sub(r"[^\w -]", "", word.lower()).replace(" ", "-") for word in ENTRIES}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
