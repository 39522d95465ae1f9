"""One case of every importer on one page, with its boxes: docs/img/import-sheet.png.

    python tools/import_sheet.py

The rows are those of the tests (tests/benchmarks/importers/published.py), made up in the form in which each
source publishes its own; pictures of other people are not part of this project. ``headscope data sheet``
draws 20 random cases of whatever was imported.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from headscope.benchmarks.registry import import_cases
from headscope.data.cases import load_cases
from headscope.making.review.contact_sheet import contact_sheet

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/benchmarks/importers"))

import published  # noqa: E402

PAGE, COLUMNS = ROOT / "docs/img/import-sheet.png", 6


def sheet_of(name: str, folder: Path) -> Image.Image:
    """The sheet of one case of a source's made-up rows."""
    columns = published.COLUMNS if name == "table" else {}
    place, split = published.folder(folder / "in", name), published.SPLIT.get(name, "")
    import_cases(name, folder / "out", place=place, split=split, columns=columns)
    return contact_sheet(load_cases(folder / "out"), 1)[0]


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as made:
        sheets = [sheet_of(name, Path(made) / name) for name in published.NAMES]
    wide, high = sheets[0].size
    page = Image.new("RGB", (COLUMNS * wide, -(-len(sheets) // COLUMNS) * high), "white")
    for i, one in enumerate(sheets):
        page.paste(one, (i % COLUMNS * wide, i // COLUMNS * high))
    page.quantize(64).save(PAGE, optimize=True)
    print(f"{PAGE}: {len(sheets)} importers")


if __name__ == "__main__":
    main()
