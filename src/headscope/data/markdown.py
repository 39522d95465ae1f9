"""Foreign text in Markdown: escaped, on one line, in its cell."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from headscope.errors import UNSEEN


def escaped(value: object) -> str:
    """Text as Markdown that stays in its cell or line, and is no markup.

    Example:
        >>> escaped("a|b\\n<script>")
        'a\\\\|b &lt;script&gt;'
    """
    text = UNSEEN.sub("", " ".join(str(value).split()))
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(text, quote=False))


def markdown_table(head: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are escaped; the head is the caller's own and stands as it is."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
