"""One question about one picture or several, with heads muted or objects pointed at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.errors import DataError, StudyError

if TYPE_CHECKING:
    from PIL import Image

    from headscope.models.geometry import Head
    from headscope.models.vlm import VLM

_IN_PICTURE = re.compile(r"^\s*(\d+)\s*:(.*)$", re.DOTALL)


@dataclass(frozen=True)
class AskOptions:
    """What the user said; see ``headscope ask --help``. A box of several pictures is "2:x0,y0,x1,y1"."""

    images: tuple[Path, ...]
    question: str
    model: str = "embedded"
    choices: str = ""
    mute: str = ""
    heads: int = 4
    atlas: Path | None = None
    boxes: tuple[str, ...] = ()
    style: str = "both"
    save: Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    attention: str | None = None


def ask_once(asked: AskOptions) -> str:
    """The answer, and the weighed choices below it where there are any.

    Raises:
        DataError: a picture or a box cannot be used. ModelError: the model cannot be loaded, or takes fewer
            pictures.
        StudyError: heads are to be muted and no atlas of this model is known.
    """
    if not asked.question.strip():
        raise DataError('asked no question; say one in quotes, such as "Where is the dog?"')
    shown = _pictures(asked)  # before torch is loaded, which takes seconds
    from headscope.asking.form import warning_of
    from headscope.edits.edits import edit, mute
    from headscope.models.vlm import load_model

    vlm = load_model(asked.model, device=asked.device, dtype=asked.dtype, attention=asked.attention)
    choices = tuple(c.strip() for c in asked.choices.split(",") if c.strip())
    chosen = _heads(asked, vlm) if asked.mute else ()
    with edit(vlm, chosen, mute()) if chosen else nullcontext():
        answer = vlm.answer(shown if len(shown) > 1 else shown[0], asked.question, choices=choices)
    lines = [answer.text.strip()]
    if choices:
        lines += [f"  {c}: {p:.3f}" for c, p in sorted(answer.logprobs.items(), key=lambda x: -x[1])]
    if answer.total is not None:
        lines.append(f"  (all of them together: {100 * answer.total:.3g} %)")
        lines += [f"  warning: {said}" for said in [warning_of(answer.total)] if said]
    if chosen:
        lines.append(f"  (muted: {', '.join(str(h) for h in chosen)})")
    return "\n".join(lines)


def _pictures(asked: AskOptions) -> list[Image.Image]:
    """The pictures as they are shown, with what is pointed at in them; saved if that is asked for."""
    from headscope.data.pictures import read_rgb
    from headscope.pointing.boxes import GivenBoxes
    from headscope.pointing.styles import point

    shown = [read_rgb(path) for path in asked.images]
    for number, boxes in enumerate(_by_picture(asked.boxes, len(shown))):
        if boxes:
            given = GivenBoxes.parse(boxes, shown[number].size).given
            shown[number] = point(asked.style, shown[number], given).image
    if asked.save:
        for picture, path in zip(shown, _save_to(asked.save, asked.images), strict=True):
            _save(picture, path)
    return shown


def _by_picture(boxes: Sequence[str], count: int) -> list[list[str]]:
    """The boxes of each picture: ``2:10,20,30,40`` lies in the second one.

    Raises:
        DataError: a box names no picture where there are several, or one that is not there.

    Example:
        >>> _by_picture(["2:1,1,9,9;1:3,3,5,5"], 2)
        [['3,3,5,5'], ['1,1,9,9']]
    """
    found: list[list[str]] = [[] for _ in range(count)]
    for text in (part for given in boxes for part in given.split(";") if part.strip()):
        said = _IN_PICTURE.match(text)
        if said is None and count > 1:
            raise DataError(
                f'--boxes "{text.strip()}": asked to point in one of {count} pictures, found none named; '
                f'expected its number in front, as in "2:{text.strip()}"'
            )
        number = int(said[1]) if said else 1
        if not 1 <= number <= count:
            raise DataError(
                f'--boxes "{text.strip()}": asked to point in picture {number}, found {count} by --image; '
                f"expected a number from 1 to {count}"
            )
        found[number - 1].append(said[2] if said else text)
    return found


def _save_to(path: Path, images: Sequence[Path]) -> list[Path]:
    """Where to save: the file itself, or one for each of several pictures (``seen-1.png`` ...).

    Raises:
        DataError: one of them is a picture that is asked about.
    """
    several = len(images) > 1
    numbered = [path.with_name(f"{path.stem}-{n}{path.suffix}") for n in range(1, len(images) + 1)]
    out = numbered if several else [path]
    for one in out:
        if one.exists() and any(one.samefile(image) for image in images):
            raise DataError(f"--save {one}: is the picture that is asked about; name another file")
    return out


def _save(image: Image.Image, path: Path) -> None:
    from headscope.storage import disk_error

    try:
        image.save(path)
    except ValueError as exc:  # a suffix that names no format
        raise DataError(f"--save {path}: {exc}; name a file such as seen.png") from exc
    except OSError as exc:
        raise disk_error(path, exc) from exc


def _heads(asked: AskOptions, vlm: VLM) -> tuple[Head, ...]:
    from headscope.models.embedded import atlas_file
    from headscope.models.geometry import heads_of, names_heads
    from headscope.probing.atlas import Atlas

    if names_heads(asked.mute):
        return heads_of(asked.mute)
    path = asked.atlas or atlas_file()
    if asked.atlas is None and (asked.model != "embedded" or not path.exists()):
        raise StudyError(
            f"--mute {asked.mute}: the heads of {asked.model} are not known here; run a study on it and say "
            "--atlas STUDY/probe/atlas.json"
        )
    atlas = Atlas.load(path)
    if atlas.provenance.revision != vlm.revision:
        raise StudyError(
            f"{path}: made on model revision {atlas.provenance.revision}, this one is {vlm.revision}; "
            "run `headscope probe` on this model"
        )
    return tuple(atlas.top(asked.mute, asked.heads))
