"""The README's table is the one that its summary gives, and its links lead somewhere."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def test_the_table_of_results_is_made_from_the_summary_beside_it() -> None:
    from readme import SUMMARY, filled

    text = (ROOT / "README.md").read_text("utf-8")
    assert filled(text, json.loads(SUMMARY.read_text("utf-8"))) == text


def test_every_link_of_the_docs_leads_to_a_file() -> None:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
