"""A folder of two cases to review: the design's example, and one that is hostile and half unanswered."""

from __future__ import annotations

from pathlib import Path

from made_cases import picture, record, write

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


def folder_of_two_pictures(folder: Path) -> Path:
    """One case of two pictures of different sizes: dog and horse in the first, a cup in the second."""
    picture(folder, "images/b.png", "white", (60, 20))
    raw = record("a", more=[{"image": "images/b.png", "width": 60, "height": 20}])
    raw["objects"].append({"id": "cup", "name": "cup", "box": [10, 4, 30, 16], "picture": 1})
    raw["objects"].append({"id": "spoon", "name": "spoon"})
    raw["steps"][2]["objects"] = ["cup"]
    return write(folder, raw)
