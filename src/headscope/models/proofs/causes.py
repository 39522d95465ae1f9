"""Why families refuse a step, where the figures alone do not tell: a word for the reader, no exemption."""

from __future__ import annotations

from dataclasses import replace

from headscope.models.proofs.steps import REFUSED, Step

_INDEX = {
    "batch": "its index picks which positions are attended to, and picks others where there is padding",
    "cached": "its index picks other positions when it reads from the cache",
}
CAUSES: dict[str, dict[str, str]] = {
    "blip": {"batch": "learned positions are counted from the padded start"},
    "diffusion_gemma": {
        "positions": "it denoises a canvas of tokens beside the prompt and writes many at once; no position "
        "of its decoder is a prompt's token or predicts the next",
        "batch": "its canvas is no answer that follows a prompt",
        "cached": "it does not generate token by token",
    },
    "dots3_note": _INDEX,
    "evolla": {"picture": "it reads proteins, not pictures"},
    "git": {
        "positions": "it puts the picture's pieces in front of the tokens, where its decoder reads them too"
    },
    "glm5_next": _INDEX,
    "hunyuan_vl": {
        "batch": "it numbers pictures over the whole batch and rotates positions by that number",
    },
    "hy_v4_vl": _INDEX,
    "minimax_m3_vl": {"batch": "its index picks blocks of positions counted from the padded start"},
    "mistral4": {"picture": "a text decoder: the class takes no picture"},
    "mistral_large4": _INDEX,
    "udop": {
        "batch": "it puts the picture behind the words and counts distances over the padding between them",
    },
}


def explained(step: Step, family: str) -> Step:
    """The step; where it is refused, with the family's known cause before what was measured."""
    cause = CAUSES.get(family, {}).get(step.name)
    if cause is None or step.status != REFUSED:
        return step
    return replace(step, reason=f"{cause} ({step.reason})")
