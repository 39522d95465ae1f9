"""What the site adds to docs/: README.md as its front page, pages beside it, source files as plain names.

mkdocs.yml names this file; `make docs` builds the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md")
# Links out of docs/: the site holds no source, so that only the words are kept.
_OUTSIDE = re.compile(r"\[([^\]]*)\]\((?:(?:\.\./)?(?:src|notebooks|tools|tests)[^)]*|schemas/)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside docs/."""
    from mkdocs.structure.files import File

    for name in ("README.md", *BESIDE):
        page = "index.md" if name == "README.md" else name
        files.append(File.generated(config, page, content=seen_from_docs(name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page without links to files that are not on the site."""
    return _OUTSIDE.sub(r"\1", markdown)


def seen_from_docs(name: str) -> str:
    """A page that lies beside docs/, its links as seen from there."""
    return (ROOT / name).read_text("utf-8").replace("](docs/", "](").replace("](README.md", "](index.md")
