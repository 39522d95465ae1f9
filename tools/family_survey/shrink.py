"""Small configurations: a family's default configuration, its sizes cut down and its kinds of layers kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Sizes by field name. Head width times head count is not the hidden size, key-value heads are fewer than
# query heads, and value widths differ from query widths, so that nothing can be guessed from another figure.
_TEXT: dict[str, Any] = {
    "vocab_size": 160, "hidden_size": 32, "d_model": 32, "embed_dim": 32, "word_embed_proj_dim": 32,
    "intermediate_size": 48, "ffn_dim": 48, "d_ff": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "num_hidden_layers": 4, "layers": 4, "num_layers": 4, "encoder_layers": 2, "decoder_layers": 3,
    "num_decoder_layers": 3,
    "num_attention_heads": 4, "attention_heads": 4, "num_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "d_kv": 12,
    "max_position_embeddings": 256, "sliding_window": 6, "encoder_hidden_size": 32,
    # experts
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4,
    "num_experts_per_tok": 2, "moe_topk": 2, "moe_k": 2, "n_shared_experts": 1, "moe_num_shared_experts": 1,
    "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "n_group": 1, "topk_group": 1,
    # latent attention and its index
    "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12,
    "index_n_heads": 2, "index_head_dim": 16, "index_topk": 8,
    # linear attention and state spaces
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_conv_kernel_dim": 3, "linear_head_dim": 8, "linear_num_heads": 4,
    "ssm_state_size": 8, "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 2, "chunk_size": 8,
    # layers unlike their neighbours
    "swa_num_attention_heads": 6, "swa_num_key_value_heads": 2, "swa_head_dim": 12, "sliding_window_size": 6,
    "num_sliding_attention_heads": 6, "attention_chunk_size": 8, "rel_extent": 64, "rotary_dim": 8,
    # further widths
    "dense_intermediate_size": 48, "shared_intermediate_size": 24, "share_expert_dim": 24,
    "shared_experts_intermediate_size": 24, "moe_shared_expert_intermediate_size": 24, "moe_hidden_size": 32,
    "intermediate_size_mlp": 48, "vocab_size_per_layer_input": 160, "hidden_size_per_layer_input": 8,
    "laurel_rank": 8, "hc_lowrank": 8, "index_block_size": 4, "index_topk_blocks": 2,
}  # fmt: skip
_VISION: dict[str, Any] = {
    **_TEXT,
    "hidden_size": 32, "num_hidden_layers": 2, "depth": 2, "layers": 2, "n_layers": 2,
    "num_attention_heads": 2, "num_heads": 2, "attention_heads": 2, "num_key_value_heads": 2,
    "head_dim": 16, "image_size": 16, "patch_size": 4, "patch_embed_hidden_size": 32,
    "output_channels": 8, "mlp_dim": 32, "out_hidden_size": 32, "projection_dim": 32, "window_size": 2,
    "global_attn_indexes": [1], "deepstack_visual_indexes": [0], "fullatt_block_indexes": [1],
    "num_position_embeddings": 16,
    "text_hidden_size": 32, "num_patches": 16, "resolution": 16, "pos_emb_height": 4, "pos_emb_width": 4,
    "posemb_grid_size": 4, "position_embedding_size": 16, "seq_len": 32, "max_num_patches": 64,
    "downsample_channels": [16, 32], "vision_output_dim": 32, "projection_hidden_dim": 48,
    "adapter_in_dim": 32, "adapter_out_dim": 32, "adapter_input_size": 32, "num_mel_bins": 8,
    "output_dim": 32, "n_window": 4, "max_source_positions": 16, "downsample_hidden_size": 8,
    "feature_size": 8,
}  # fmt: skip
_ANY: dict[str, Any] = {
    "projection_dim": 32, "projector_hidden_size": 48, "projection_hidden_size": 48, "image_size": 16,
    "image_text_hidden_size": 32, "num_query_tokens": 4, "latent_query_num": 4, "out_hidden_size": 32,
    "patch_size": 4, "mm_tokens_per_image": 4,
}  # fmt: skip
TOKENS = ("_token_id", "_token_index", "im_start_id", "im_end_id", "im_newline_id", "image_patch_id")
_FIXED_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
_NO_TOKENS = ("forced_eos_token_id", "sep_token_id", "mask_token_id")
FIRST_SPECIAL = 120
"""Ids from here on are special tokens (image, video, start, end, ...); words have smaller ones."""


DEFAULT = "default"
# From here on two equal fields of a configuration are taken for the same width; small numbers are equal by
# chance.
_WIDE = 64


class Tokens:
    """One small id for each special token name, the same in every part of a configuration."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def id(self, name: str) -> int:
        """The id of a token by the stem of its field name: ``image_token_index`` is ``image_token_id``."""
        stem = name.replace("_index", "_id")
        if stem in _FIXED_TOKENS:
            return _FIXED_TOKENS[stem]
        return self._ids.setdefault(stem, FIRST_SPECIAL + len(self._ids))


def variety(values: Sequence[Any], count: int) -> list[Any]:
    """``count`` values that hold every distinct one of ``values``, in order of appearance, in turns.

    Example:
        >>> variety(["sliding"] * 5 + ["full"], 4)
        ['sliding', 'full', 'sliding', 'full']
    """
    distinct = list(dict.fromkeys(values))
    return [distinct[i % len(distinct)] for i in range(count)]


def shrink(
    config_class: Any,
    changes: Mapping[str, Any],
    role: str = "any",
    tokens: Tokens | None = None,
    equal: bool = False,
) -> Any:
    """A small configuration of a class.

    Args:
        config_class: a PretrainedConfig class with defaults.
        changes: fields that take another value than the tables above give; nested for sub-configurations;
            a sub-configuration's ``model_type`` replaces its class; the value "default" leaves a field alone.
        role: which table of sizes applies: "text", "vision" or "any" (a configuration that holds others).
        tokens: ids given out so far.
        equal: whether fields that are equal by default stay so: key-value heads and query heads, and a field
            of unknown meaning with a wide known one.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tokens = tokens or Tokens()
    default = _default(config_class, changes)
    subs: dict[str, Any] = dict(default.sub_configs)
    sizes = {"text": _TEXT, "vision": _VISION}.get(role, _ANY)
    if role == "any" and (not subs or getattr(default, "num_hidden_layers", None) is not None):
        sizes = {**_ANY, **_TEXT}  # the decoder's own fields stand beside the sub-configurations
    given: dict[str, Any] = {}
    for name, value in vars(default).items():
        if name in subs or name.startswith("_"):
            continue
        if name.endswith(TOKENS) and isinstance(value, int) and name not in _NO_TOKENS:
            given[name] = tokens.id(name)
        elif name in sizes and isinstance(value, (int, list, tuple)) and not isinstance(value, bool):
            given[name] = sizes[name]
            if isinstance(value, (list, tuple)) and not isinstance(sizes[name], list):
                given[name] = [sizes[name]] * len(value)
    _rotary(default, given)
    if equal:
        given.update(_equals(default, given))
    given.update({k: v for k, v in changes.items() if k not in subs})
    _layers(default, given)
    given = {k: v for k, v in given.items() if v != DEFAULT}
    for name in subs:
        change = changes.get(name, {})
        if change is None:
            given[name] = None
            continue
        sub = getattr(default, name)
        kind = CONFIG_MAPPING[change["model_type"]] if "model_type" in change else type(sub)
        if kind is type(None):
            continue
        small = shrink(
            kind, {k: v for k, v in change.items() if k != "model_type"}, _role(name), tokens, equal
        )
        given[name] = small.to_dict() if small.model_type else small
    return config_class(**given)


def _default(config_class: Any, changes: Mapping[str, Any]) -> Any:
    """A configuration as its class has it; one that wants to be given its parts gets those that are named."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    try:
        return config_class()
    except ValueError:
        kinds = {
            n: c["model_type"] for n, c in changes.items() if isinstance(c, Mapping) and "model_type" in c
        }
        if not kinds:
            raise
        return config_class(**{name: CONFIG_MAPPING[kind]().to_dict() for name, kind in kinds.items()})


def _role(name: str) -> str:
    if "text" in name or name in ("decoder", "dit_config", "llm_config"):
        return "text"
    return "vision"


def _equals(default: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that take another value so that what is equal by default stays equal."""
    before = {k: v for k, v in vars(default).items() if isinstance(v, int) and not isinstance(v, bool)}
    wide = {before[k]: v for k, v in given.items() if k in before and before[k] >= _WIDE}
    found = {k: wide[v] for k, v in before.items() if k not in given and v in wide}
    heads, shared = "num_attention_heads", "num_key_value_heads"
    if heads in given and shared in given and before.get(heads) == before.get(shared):
        found[shared] = given[heads]
    return found


def _rotary(default: Any, given: dict[str, Any]) -> None:
    """Sections of rotary positions (time, row, column) that add up to half the rotated width."""
    rope = getattr(default, "rope_parameters", None)
    if not isinstance(rope, Mapping) or not rope.get("mrope_section"):
        return
    section = rope["mrope_section"]
    total, part = sum(section), rope.get("partial_rotary_factor", 1.0)
    for name in ("qk_rope_head_dim", "head_dim"):
        if name in given and int(getattr(default, name) * part) == 2 * total:
            half = int(given[name] * part) // 2
            small = [half * width // total for width in section]
            small[0] += half - sum(small)
            given["rope_parameters"] = {**rope, "mrope_section": small}
            return


def _layers(default: Any, given: dict[str, Any]) -> None:
    """Per-layer lists cut to the small number of layers, every kind of layer kept."""
    name = next((n for n in ("num_hidden_layers", "n_layers", "depth") if n in given), None)
    if name is None:
        return
    before, now = getattr(default, name), given[name]
    for field, value in vars(default).items():
        if field in given or not isinstance(value, (list, tuple)) or len(value) != before:
            continue
        if all(isinstance(v, str) for v in value):
            given[field] = variety(value, now)
        elif field in ("no_rope_layers", "activation_sparsity_pattern", "layer_rope_theta"):
            given[field] = list(value[:now])
