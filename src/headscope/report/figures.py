"""The report's charts as SVG and PNG files for papers."""

from __future__ import annotations

from pathlib import Path

from headscope.report.svg import to_png
from headscope.storage import write_atomic


def write_figures(folder: str | Path, documents: dict[str, str], scale: float = 3.0) -> list[Path]:
    """Write each SVG document, and its PNG at ``scale`` pixels a unit, under its name.

    Raises:
        StoreError: the folder cannot be written.
    """
    written = []
    for name, svg in documents.items():
        for suffix, content in ((".svg", svg.encode()), (".png", to_png(svg, scale))):
            path = Path(folder) / f"{name}{suffix}"
            write_atomic(path, content)
            written.append(path)
    return written
