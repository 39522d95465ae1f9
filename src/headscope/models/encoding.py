"""From prompts to a left-padded batch with the spans of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headscope.errors import ModelError
from headscope.models.grids import image_grids
from headscope.models.prompts import Template
from headscope.models.types import Encoded, Prompt


def encode_prompts(
    processor: Any, template: Template, family: str, image_token_id: int, prompts: Sequence[Prompt]
) -> Encoded:
    """Encode prompts as one left-padded batch: see :meth:`headscope.models.vlm.VLM.encode`.

    Raises:
        ModelError: no prompts, or something in them that the model's processor cannot take.
    """
    if not prompts:
        raise ModelError("asked to encode no prompts; give at least one")
    texts = [template.render(p) for p in prompts]
    tokenizer = processor.tokenizer
    begin = getattr(tokenizer, "bos_token", None)
    images = [p.image if p.image.mode == "RGB" else p.image.convert("RGB") for p in prompts]
    try:
        batch = processor(
            images=images,
            text=list(texts),
            padding=True,
            padding_side="left",
            return_tensors="pt",
            return_offsets_mapping=True,
            # Chat templates often write the begin token themselves; it must not come twice.
            add_special_tokens=not (begin and texts[0].startswith(begin)),
        )
    except (ValueError, TypeError, NotImplementedError) as exc:
        raise ModelError(
            f"the model's processor ({type(processor).__name__}) refused the prompts: {exc}"
        ) from exc
    inputs: dict[str, Tensor] = {k: v for k, v in batch.items() if isinstance(v, Tensor)}
    offsets = inputs.pop("offset_mapping")
    image = inputs["input_ids"] == image_token_id
    question = torch.stack(
        [
            _question(
                template, text, p.question, offsets[i], int(image[i].sum()), inputs["attention_mask"][i]
            )
            for i, (text, p) in enumerate(zip(texts, prompts, strict=True))
        ]
    )
    grids = image_grids(processor, family, [p.image.size for p in prompts], inputs)
    for i, grid in enumerate(grids):
        if grid.boxes is not None and len(grid.boxes) != int(image[i].sum()):
            raise ModelError(
                f"prompt {i}: {int(image[i].sum())} image tokens but {len(grid.boxes)} places in the "
                "picture; the processor's settings (patch size, feature strategy) do not fit each other"
            )
    return Encoded(inputs, image, question, int(image.shape[1]), grids)


def _question(
    template: Template, text: str, question: str, offsets: Tensor, n_image: int, attended: Tensor
) -> Tensor:
    """(position,) bool: tokens that hold characters of the question."""
    start, end = template.question_span(text, question)
    # Offsets count in the text whose one image token was written out n_image times.
    place = text.find(template.image_token)
    if 0 <= place < start:
        shift = (n_image - 1) * len(template.image_token)
        start, end = start + shift, end + shift
    return (offsets[:, 0] < end) & (offsets[:, 1] > start) & attended.bool()
