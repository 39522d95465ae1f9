"""From prompts to a left-padded batch with the spans of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from headscope.data.pictures import to_rgb
from headscope.data.schema import LONGEST_TEXT
from headscope.errors import ModelError, quoted
from headscope.models.families import family_named, image_grids
from headscope.models.prompts import Template
from headscope.models.question_span import question_mask
from headscope.models.several_pictures import joined_grid
from headscope.models.types import Encoded, ImageGrid, Prompt

# What some processors return for training only; a model that is given them computes a loss.
_TRAINING = frozenset({"labels"})


def encode_prompts(
    processor: Any,
    template: Template,
    family: str,
    image_token_id: int,
    prompts: Sequence[Prompt],
    start: Sequence[int] = (),
) -> Encoded:
    """Encode prompts as one left-padded batch: see :meth:`headscope.models.vlm.VLM.encode`.

    Args:
        start: of an encoder-decoder, the tokens that its decoder starts from; then the prompts are the
            encoder's, padded on the right, where learned positions count from the first word.

    Raises:
        ModelError: no prompts, or something in them that the model's processor cannot take.
    """
    if not prompts:
        raise ModelError("asked to encode no prompts; give at least one")
    for prompt in prompts:
        _check_texts(prompt)
        if not prompt.pictures:
            raise ModelError(f"asked {quoted(prompt.question)} about an empty list of pictures")
    pictures = [[to_rgb(picture) for picture in p.pictures] for p in prompts]
    texts = [template.render(p) for p in prompts]
    for prompt in prompts:
        template.control.refuse(prompt)
    inputs = _processed(processor, template, family, texts, pictures, "right" if start else "left")
    offsets = inputs.pop("offset_mapping")
    ids, attended = inputs["input_ids"], inputs["attention_mask"].bool()
    image = ids == image_token_id
    question = torch.stack(
        [
            question_mask(processor.tokenizer, template, text, p.question, (ids[i], offsets[i], attended[i]))
            for i, (text, p) in enumerate(zip(texts, prompts, strict=True))
        ]
    )
    if all(len(shown) == 1 for shown in pictures):
        grids = image_grids(processor, family, [shown[0].size for shown in pictures], inputs)
    else:
        alone = partial(_alone, processor, template, family, image_token_id)
        grids = [
            joined_grid(alone(p.question, shown), int(image[i].sum()))
            for i, (p, shown) in enumerate(zip(prompts, pictures, strict=True))
        ]
    for i, grid in enumerate(grids):
        if grid.boxes is not None and len(grid.boxes) != int(image[i].sum()):
            raise ModelError(
                f"prompt {i}: {int(image[i].sum())} image tokens but {len(grid.boxes)} places in the "
                "picture; the processor's settings (patch size, feature strategy) do not fit each other"
            )
    if start:
        inputs["decoder_input_ids"] = torch.tensor([list(start)] * len(prompts))
    return Encoded(inputs, image, question, len(start) or int(image.shape[1]), grids)


def _alone(
    processor: Any,
    template: Template,
    family: str,
    image_token_id: int,
    question: str,
    pictures: Sequence[Image.Image],
) -> list[tuple[int, ImageGrid]]:
    """For each picture, asked about by itself, the number of its tokens and its grid."""
    found = []
    for picture in pictures:
        text = template.render(Prompt(picture, question))
        inputs = _processed(processor, template, family, [text], [[picture]], "left")
        count = int((inputs["input_ids"] == image_token_id).sum())
        found.append((count, image_grids(processor, family, [picture.size], inputs)[0]))
    return found


def _check_texts(prompt: Prompt) -> None:
    """Refuse what no model can read in reasonable time.

    Raises:
        ModelError: a text is something else, or longer than what a case may hold.
    """
    for text in (prompt.question, *(part for turn in prompt.history for part in turn)):
        if not isinstance(text, str):
            raise ModelError(f"asked {text!r}; expected a question in words")
        if len(text) > LONGEST_TEXT:
            raise ModelError(
                f"asked {quoted(text)}; found {len(text):,} characters, expected at most {LONGEST_TEXT:,}: a "
                "model would need minutes, or all memory, to read it"
            )


def _processed(
    processor: Any,
    template: Template,
    family: str,
    texts: Sequence[str],
    pictures: Sequence[Sequence[Image.Image]],
    side: str,
) -> dict[str, Tensor]:
    """What the model takes, and ``offset_mapping`` (item, position, 2), characters of its text."""
    begin = getattr(processor.tokenizer, "bos_token", None)
    framed = template.framed  # the processor writes picture, begin and end around the text itself
    if framed:
        texts = [t.replace(template.image_token, "", 1) for t in texts]
    try:
        batch = processor(
            images=[list(shown) for shown in pictures],
            text=list(texts),
            padding=True,
            padding_side=side,
            return_tensors="pt",
            return_offsets_mapping=True,
            **({"return_mm_token_type_ids": True} if family_named(family).token_types else {}),
            # Chat templates often write the begin token themselves; it must not come twice.
            add_special_tokens=not framed and not (begin and texts[0].startswith(begin)),
        )
    except Exception as exc:  # processors raise many kinds; each means the same to the user
        said = f"{type(exc).__name__}: {exc}" if isinstance(exc, LookupError) else str(exc)
        alone = "; ask one item at a time (batch size 1)" if len(pictures) > 1 else ""
        raise ModelError(
            f"the model's processor ({type(processor).__name__}) refused the prompts: {said}{alone}"
        ) from exc
    batch.update({k: torch.tensor(batch[k]) for k in family_named(family).lists})
    return {k: v for k, v in batch.items() if isinstance(v, Tensor) and k not in _TRAINING}
