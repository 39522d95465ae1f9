"""How each question was answered, plain and with heads muted: ``ablation-answers.json`` and its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from headscope.errors import StudyError, command_line
from headscope.records import Artefact
from headscope.storage import Row

if TYPE_CHECKING:
    from headscope.asking.items import Item
    from headscope.engine.readings import Reader, Reading

FILE = "ablation-answers.json"
PLAIN = "none"  # the edit of a question asked as it is
COLUMNS = ("item", "case", "function", "context", "question", "truth", "edit", "muted", "scope")


class ItemAnswers(Artefact):
    """Every question of ``test`` that the muting experiment asked, one row for each edit of heads.

    Attributes:
        questions: how many there are.
        edits: how many edits were asked about, the plain reading among them.
    """

    TABLE: ClassVar[bool] = True
    schema_: Literal["headscope/ablation-answers/1"] = Field(
        default="headscope/ablation-answers/1", alias="schema"
    )
    questions: int
    edits: int


class AnswerLog:
    """Collects the answers of a run, each question and edit once, in the order read."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], Row] = {}

    def add(self, reader: Reader, edited: Reading, edit: str, muted: str, scope: str) -> None:
        """The questions of a reader, plain and under an edit of a function's heads."""
        self.add_items(reader.items, reader.clean, PLAIN, "", "")
        self.add_items(reader.items, edited, edit, muted, scope)

    def add_items(self, items: Sequence[Item], read: Reading, edit: str, muted: str, scope: str) -> None:
        """Questions under one edit; what is there already stays."""
        for i, item in enumerate(items):
            key = (item.id, edit, muted, scope)
            if key not in self._rows:
                about = (item.case.id, item.function, item.context, item.question, item.truth)
                margin = float(read.margin[i])
                values = (item.id, *about, edit, muted or None, scope or None)
                self._rows[key] = {
                    **dict(zip(COLUMNS, values, strict=True)),
                    "correct": bool(read.correct[i]),
                    "margin": margin if np.isfinite(margin) else None,
                    "readable": bool(read.readable[i]),
                }

    def save(self, folder: Path) -> None:
        """Write the file and its table."""
        questions, edits = ({key[part] for key in self._rows} for part in (slice(1), slice(1, None)))
        found = ItemAnswers(questions=len(questions), edits=len(edits))
        found.with_rows(list(self._rows.values())).save(folder / FILE)


def answers_beside(path: Path | None) -> ItemAnswers:
    """The answers that belong to a result.

    Args:
        path: file of the result; None: it was never saved or loaded.

    Raises:
        StudyError: there are none. DamagedError: they are not as they were written.
    """
    if path is None:
        raise StudyError("answers: this result is in memory alone; load it from its study: study.ablate()")
    file = path.with_name(FILE)
    if not file.exists() and not file.with_suffix(".parquet").exists():
        again = command_line("ablate", "--study", path.parent)
        raise StudyError(
            f"{file}: not found; the study was made before answers were kept: delete "
            f"{path.parent / 'done' / 'ablate.json'} and run {again}, which reads finished units and asks "
            "little anew"
        )
    return ItemAnswers.load(file)
