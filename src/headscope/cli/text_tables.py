"""Tables as text to paste into a paper: comma-separated, LaTeX or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from headscope.errors import StudyError

FORMATS = ("csv", "latex", "markdown")


def check_format(form: str) -> None:
    """Refuse a form that there is not.

    Raises:
        StudyError: it is none of :data:`FORMATS`.
    """
    if form not in FORMATS:
        raise StudyError(f"--format {form}: asked for what is not there; there are: {', '.join(FORMATS)}")


def text_table(rows: Sequence[Sequence[str]], form: str) -> str:
    """A table as text; its first row is the head, its first column stands left.

    Args:
        form: ``csv``, ``latex`` or ``markdown``.

    Example:
        >>> print(text_table([["head", "drop"], ["L3H5", "1.5"]], "markdown"))
        | head | drop |
        |---|---:|
        | L3H5 | 1.5 |
    """
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().rstrip("\n")
    if form == "markdown":
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([lines[0], f"|---|{'---:|' * (len(rows[0]) - 1)}", *lines[1:]])
    lines = [" & ".join(_in_latex(cell) for cell in row) + r" \\" for row in rows]
    head = rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}"
    return "\n".join([head, r"\hline", lines[0], r"\hline", *lines[1:], r"\hline", r"\end{tabular}"])


def _in_latex(text: str) -> str:
    for sign in "\\&%$#_{}":
        text = text.replace(sign, r"\textbackslash " if sign == "\\" else f"\\{sign}")
    return text.replace("–", "--")
