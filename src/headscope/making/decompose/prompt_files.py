"""The prompts of the decomposition: plain files that a user can read, copy and change."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from headscope.data.schema import Case
from headscope.errors import DataError, command_line
from headscope.functions import Taxonomy

FILES = ("system.md", "user.md", "retry.md")
LEAST, MOST = 3, 12
_OWN = Path(__file__).parent / "prompts"
_FIELDS = {
    "system.md": {"functions", "least", "most", "verdict"},
    "user.md": {"question", "answer", "choices", "width", "height", "objects"},
    "retry.md": {"faults"},
}


@dataclass(frozen=True)
class Prompts:
    """The three templates, ``$name`` where something is filled in."""

    system: Template
    user: Template
    retry: Template

    def opening(self, taxonomy: Taxonomy, verdict: str) -> str:
        """The system message."""
        functions = "\n".join(f"  {name}: {title}" for name, title in taxonomy.titles.items())
        return self.system.substitute(functions=functions, least=LEAST, most=MOST, verdict=verdict)

    def about(self, case: Case) -> str:
        """The message about one case."""
        things = [f"{o.id}, {o.name}, {_box(o.box)}" for o in case.objects]
        return self.user.substitute(
            question=case.question,
            answer=case.answer,
            choices=", ".join(case.choices) or "open",
            width=case.width,
            height=case.height,
            objects="\n".join(things) or "none listed",
        )


def _box(box: tuple[float, ...] | None) -> str:
    return "no box" if box is None else " ".join(f"{v:.0f}" for v in box)


def load_prompts(folder: str | Path | None = None) -> Prompts:
    """The prompts of a folder (``system.md``, ``user.md``, ``retry.md``), or those that come along.

    Raises:
        DataError: a file is missing, or has a ``$name`` that nothing fills in.
    """
    folder = Path(folder) if folder is not None else _OWN
    found = []
    for name in FILES:
        path = folder / name
        try:
            template = Template(path.read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError) as exc:
            advice = command_line("data", "decompose", "FOLDER", "--write-prompts", folder)
            raise DataError(
                f"{path}: asked for a prompt, found {type(exc).__name__}; "
                f"{advice} writes the three files to start from"
            ) from exc
        unknown = set(template.get_identifiers()) - _FIELDS[name]
        if unknown or not template.is_valid():
            odd = ", ".join(f"${u}" for u in sorted(unknown)) or "a single $ (write $$)"
            known = ", ".join(f"${f}" for f in sorted(_FIELDS[name]))
            raise DataError(f"{path}: found {odd}; what is filled in there: {known}")
        found.append(template)
    return Prompts(*found)


def write_prompts(folder: str | Path) -> Path:
    """Copy the prompts into a folder for changing; files that are there are kept."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if not (folder / name).exists():
            shutil.copyfile(_OWN / name, folder / name)
    return folder
