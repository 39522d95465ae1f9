"""Where in the residual stream everything lies: one reserved block of dimensions for each thing said."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from headscope.validation.planted.glyphs import CELLS, COLOURS, FACINGS, KINDS
from headscope.validation.planted.questions import (
    ANSWERS,
    COLOUR,
    COUNT,
    FACING,
    FUNCTIONS,
    KNOWLEDGE,
    OBJECT,
    PLACE,
    RELATION,
    answer_words,
)

CONSTANT = 64.0  # what every token carries in ``const``: it keeps the norm of all tokens nearly equal
WORDS, IDLE = 16, 40  # dimensions of the words' random vectors, and of what nothing reads


def _blocks() -> dict[str, int]:
    """Name -> width, in order."""
    found = {"const": 1, "sink": 1, "text": 1, "end": 1, "function": len(FUNCTIONS)}
    found |= {f"asked {f}": len(KINDS) for f in (PLACE, FACING, COLOUR, KNOWLEDGE)}
    found |= {f"asked {OBJECT}": CELLS, "first": len(KINDS), "second": len(KINDS), "word": WORDS}
    found |= {"image": 1, "kind": len(KINDS), "facing": len(FACINGS), "colour": len(COLOURS)}
    found |= {"present": 1, "cell": CELLS}
    found |= {f"work {f}": n for f, n in work_widths().items()}
    return found | {"answer": len(answer_words()), "idle": IDLE}


def work_widths() -> dict[str, int]:
    """Function -> width of the workspace that its heads write to and the last layer reads."""
    wide = {f: len(ANSWERS[f]) for f in (PLACE, FACING, COLOUR, OBJECT)}
    return wide | {RELATION: len(KINDS), COUNT: 1}


@dataclass(frozen=True)
class Stream:
    """The blocks; ``at(name)`` are a block's dimensions, ``at(name, i)`` its i-th one."""

    blocks: dict[str, int] = field(default_factory=_blocks)

    @cached_property
    def _starts(self) -> dict[str, int]:
        starts, place = {}, 0
        for name, width in self.blocks.items():
            starts[name] = place
            place += width
        return starts

    @property
    def width(self) -> int:
        """Dimensions in use, made up to a multiple of 8."""
        return -(-sum(self.blocks.values()) // 8) * 8

    def at(self, name: str) -> list[int]:
        """Dimensions of a block."""
        start = self._starts[name]
        return list(range(start, start + self.blocks[name]))

    def of_function(self, function: str) -> int:
        """The dimension that says that this function is asked for."""
        return self.at("function")[FUNCTIONS.index(function)]

    def of_answer(self, answer: str) -> int:
        """The dimension that speaks for this answer."""
        return self.at("answer")[answer_words().index(answer)]

    def content(self, *names: str) -> list[int]:
        """Dimensions of several blocks; a name may be the beginning of many."""
        return [d for block in self.blocks if block.startswith(names) for d in self.at(block)]
