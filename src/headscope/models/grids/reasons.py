"""Why the picture's tokens of some families stand for no rectangles, or for none that is known here."""

from __future__ import annotations

_CROSS = "the picture enters by cross-attention; its patches are no positions of the decoder"
_QUERIES = "learned queries read the whole picture (a resampler); its tokens stand for no place"
_ENCODER = "an encoder reads the picture; the decoder has no image tokens"
_UNTESTED = "its map from image tokens to pixels has not been worked out and tested"
_NO_PROCESSOR = "transformers knows no processor for this model type, so that no map could be tested"

_GROUPS: dict[str, tuple[str, ...]] = {
    _CROSS: ("idefics", "mllama"),
    _QUERIES: (
        "aria", "blip-2", "deepseek_ocr2", "idefics2", "instructblip", "kosmos-2", "kosmos-2.5",
    ),
    _ENCODER: ("blip", "florence2", "pix2struct", "t5gemma2", "udop", "vision-encoder-decoder"),
    _UNTESTED: (
        "apertus1p5", "hy_v4_vl", "inkling2_loop",
        "chameleon", "deepseek_vl_hybrid", "diffusion_gemma", "dots3_note", "emu3", "fuyu", "gemma3n",
        "glm5_next",
        "got_ocr2", "granite4_vision", "granite_docling", "hunyuan_vl", "minicpmv4_6", "minicpmv4_7", "ovis2",
        "pp_chart2table", "video_llava",
    ),
    _NO_PROCESSOR: ("cosmos3_omni", "fast_vlm", "mistral4", "qwen2_5_omni_thinker", "qwen3_omni_moe_thinker"),
}  # fmt: skip

REASONS: dict[str, str] = {
    **{family: reason for reason, families in _GROUPS.items() for family in families},
    "evolla": "it reads proteins, not pictures",
    "git": "the model puts the picture before the text itself; no input token stands for a piece of it",
    "instructblipvideo": "it reads videos, not pictures",
    "pi0": "a robot policy: it puts out actions and no text",
    "pp_formulanet": "its processor takes a picture and no question",
    "shieldgemma2": "it judges pictures by given policies and takes no question",
}
