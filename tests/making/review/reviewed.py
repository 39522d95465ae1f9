"""A folder of two cases to review: the design's example, and one that is hostile and half unanswered."""

from __future__ import annotations

from pathlib import Path

from made_cases import record, write

HOSTILE = (
    '<b>"bold"</b><img src=x onerror="document.title=1">&amp;\'</script><script>document.title=2</script>'
)


def folder_of_cases(folder: Path) -> Path:
    """``a`` is the design's example; in ``b`` everything is hostile, and its third step is unanswered."""
    evil = record("b", question=f"Is {HOSTILE} there?", kind=HOSTILE)
    evil["objects"][0]["name"] = HOSTILE
    evil["steps"][0]["question"] = evil["steps"][0]["answer"] = HOSTILE
    evil["steps"][1]["choices"] = ["left", "right", HOSTILE]
    evil["steps"][2] |= {"answer": "", "origin": "unanswered"}
    return write(folder, record("a"), evil)
