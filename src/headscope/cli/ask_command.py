"""One question about one picture, with heads muted or objects pointed at."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.errors import DataError, StudyError

if TYPE_CHECKING:
    from PIL import Image

    from headscope.models.geometry import Head
    from headscope.models.vlm import VLM


@dataclass(frozen=True)
class AskOptions:
    """What the user said; see ``headscope ask --help``."""

    image: Path
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
        DataError: the picture or the boxes cannot be used. ModelError: the model cannot be loaded.
        StudyError: heads are to be muted and no atlas of this model is known.
    """
    if not asked.question.strip():
        raise DataError('asked no question; say one in quotes, such as "Where is the dog?"')
    image = _picture(asked)  # before torch is loaded, which takes seconds
    from headscope.asking.form import warning_of
    from headscope.edits.edits import edit, mute
    from headscope.models.vlm import load_model

    vlm = load_model(asked.model, device=asked.device, dtype=asked.dtype, attention=asked.attention)
    choices = tuple(c.strip() for c in asked.choices.split(",") if c.strip())
    chosen = _heads(asked, vlm) if asked.mute else ()
    with edit(vlm, chosen, mute()) if chosen else nullcontext():
        answer = vlm.answer(image, asked.question, choices=choices)
    lines = [answer.text.strip()]
    if choices:
        lines += [f"  {c}: {p:.3f}" for c, p in sorted(answer.logprobs.items(), key=lambda x: -x[1])]
    if answer.total is not None:
        lines.append(f"  (all of them together: {100 * answer.total:.3g} %)")
        lines += [f"  warning: {said}" for said in [warning_of(answer.total)] if said]
    if chosen:
        lines.append(f"  (muted: {', '.join(str(h) for h in chosen)})")
    return "\n".join(lines)


def _picture(asked: AskOptions) -> Image.Image:
    """The picture as it is shown, with what is pointed at in it; saved if that is asked for."""
    from headscope.data.pictures import read_rgb
    from headscope.pointing.boxes import GivenBoxes
    from headscope.pointing.styles import point

    image = read_rgb(asked.image)
    if asked.boxes:
        image = point(asked.style, image, GivenBoxes.parse(asked.boxes, image.size).given).image
    if asked.save:
        if asked.save.exists() and asked.save.samefile(asked.image):
            raise DataError(f"--save {asked.save}: is the picture that is asked about; name another file")
        _save(image, asked.save)
    return image


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
