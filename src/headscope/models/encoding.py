"""From prompts to a left-padded batch with the spans of its tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headscope.errors import ModelError
from headscope.models.grids import image_grids
from headscope.models.loading import LISTS
from headscope.models.prompts import Template
from headscope.models.types import Encoded, Prompt

# What some processors return for training only; a model that is given them computes a loss.
_TRAINING = frozenset({"labels"})
# Families whose processor gives the token types that the model needs only when told to.
_TYPED = frozenset({"cosmos3_edge"})
# How many characters the processor's text may have after the template's, likeliest first.
_AFTER = (0, 1, 2)


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
    texts = [template.render(p) for p in prompts]
    inputs = _processed(processor, template, family, texts, prompts, "right" if start else "left")
    offsets = inputs.pop("offset_mapping")
    ids, attended = inputs["input_ids"], inputs["attention_mask"].bool()
    image = ids == image_token_id
    question = torch.stack(
        [
            _question(processor.tokenizer, template, text, p.question, ids[i], offsets[i], attended[i])
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
    if start:
        inputs["decoder_input_ids"] = torch.tensor([list(start)] * len(prompts))
    return Encoded(inputs, image, question, len(start) or int(image.shape[1]), grids)


def _processed(
    processor: Any,
    template: Template,
    family: str,
    texts: Sequence[str],
    prompts: Sequence[Prompt],
    side: str,
) -> dict[str, Tensor]:
    """What the model takes, and ``offset_mapping`` (item, position, 2), characters of its text."""
    begin = getattr(processor.tokenizer, "bos_token", None)
    framed = template.framed  # the processor writes picture, begin and end around the text itself
    if framed:
        texts = [t.replace(template.image_token, "", 1) for t in texts]
    images = [p.image if p.image.mode == "RGB" else p.image.convert("RGB") for p in prompts]
    try:
        batch = processor(
            images=[[image] for image in images],
            text=list(texts),
            padding=True,
            padding_side=side,
            return_tensors="pt",
            return_offsets_mapping=True,
            **({"return_mm_token_type_ids": True} if family in _TYPED else {}),
            # Chat templates often write the begin token themselves; it must not come twice.
            add_special_tokens=not framed and not (begin and texts[0].startswith(begin)),
        )
    except (ValueError, TypeError, RuntimeError) as exc:
        alone = "; ask one item at a time (batch size 1)" if len(prompts) > 1 else ""
        raise ModelError(
            f"the model's processor ({type(processor).__name__}) refused the prompts: {exc}{alone}"
        ) from exc
    batch.update({k: torch.tensor(batch[k]) for k in LISTS.get(family, ())})
    return {k: v for k, v in batch.items() if isinstance(v, Tensor) and k not in _TRAINING}


def _question(
    tokenizer: Any,
    template: Template,
    text: str,
    question: str,
    ids: Tensor,
    offsets: Tensor,
    attended: Tensor,
) -> Tensor:
    """(position,) bool: tokens that hold characters of the question.

    The processor writes the picture out before the question, in tokens of any text, and may add a line end
    after it; so the question is counted from the end, and what is found must read as the question.

    Raises:
        ModelError: no run of tokens there reads as the question.
    """
    start, end = template.question_span(text, question)
    reach = int(offsets[:, 1].max())
    found = []
    for after in dict.fromkeys((*_AFTER, len(template.added))):
        shift = reach - len(text) - after
        mask = (offsets[:, 0] < end + shift) & (offsets[:, 1] > start + shift) & attended
        read = tokenizer.decode(ids[mask])
        if _bare(question) in _bare(read):
            found.append((question not in read, int(mask.sum()), mask))
    if not found:
        raise ModelError(
            f"the tokens of the question {question!r} are not to be found in the encoded prompt; the model's "
            "tokenizer alters the text beyond recognition"
        )
    return min(found, key=lambda one: one[:2])[2]  # to the letter if there is one, then the shortest


def _bare(text: str) -> str:
    """A text without what tokenizers may change: blanks, case, composed forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
