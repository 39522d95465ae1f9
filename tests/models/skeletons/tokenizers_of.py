"""Tokenizers of published folders that came without ``tokenizer.json``: rebuilt from vocabulary and merges,
or, where there is no vocabulary either, a stand-in of the family's kind with its special tokens in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SAMPLE = (
    "Is the dog facing the horse? Where in the picture is the red car? How many sheep are there?",
    "yes no true false left right above below top bottom center one two three four five six seven eight",
    "Which way does the cat look? What colour is the letter A? Which thing is nearer to the tree?",
)
# Gemma's named special tokens, as its configuration numbers them.
GEMMA_BASE = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<mask>": 4}
GEMMA3 = {
    **GEMMA_BASE, "<start_of_turn>": 105, "<end_of_turn>": 106, "<start_of_image>": 255999,
    "<end_of_image>": 256000, "<image_soft_token>": 262144,
}  # fmt: skip


def complete_tokenizer(published: Path, folder: Path) -> str:
    """Give a folder the tokenizer that it lacks; what was done, empty where nothing was.

    Args:
        published: the files as published.
        folder: their copy, written to.
    """
    if (published / "tokenizer.json").is_file():
        return ""
    if (published / "vocab.json").is_file():
        byte_level(published).save(str(folder / "tokenizer.json"))
        return "tokenizer.json rebuilt from vocab.json and merges.txt"
    config = json.loads((published / "config.json").read_text("utf-8"))
    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text("utf-8")) if settings_file.is_file() else {}
    specials = gemma_specials(config, settings)
    spaced(specials).save(str(folder / "tokenizer.json"))
    if not settings:
        settings_file.write_text(json.dumps(GEMMA3_SETTINGS), "utf-8")
    return "a stand-in tokenizer (characters and bytes), its special tokens at their published numbers"


GEMMA3_SETTINGS = {
    "tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>",
    "unk_token": "<unk>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>", "processor_class": "Gemma3Processor",
}  # fmt: skip


def byte_level(published: Path) -> Tokenizer:
    """The tokenizer that vocab.json, merges.txt and the added tokens of tokenizer_config.json stand for."""
    settings = json.loads((published / "tokenizer_config.json").read_text("utf-8"))
    core = Tokenizer(
        models.BPE.from_file(str(published / "vocab.json"), str(published / "merges.txt"), fuse_unk=False)
    )
    if settings["tokenizer_class"].startswith("Qwen2"):
        core.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(QWEN_WORDS), behavior="isolated", invert=False)
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    else:
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings["add_prefix_space"]))
    core.decoder = decoders.ByteLevel()
    for number, token in sorted(settings["added_tokens_decoder"].items(), key=lambda entry: int(entry[0])):
        added = AddedToken(**{k: v for k, v in token.items() if k != "special"}, special=token["special"])
        (core.add_special_tokens if token["special"] else core.add_tokens)([added])
        assert core.token_to_id(token["content"]) == int(number), token
    return core


def gemma_specials(config: dict[str, Any], settings: dict[str, Any]) -> dict[str, int]:
    """Special tokens by name with their numbers, as configuration and tokenizer settings name them."""
    if not settings:
        return GEMMA3
    numbers = {k.removesuffix("_id").removesuffix("_index"): v for k, v in config.items() if "token_i" in k}
    named = {k: v for k, v in settings.items() if k.endswith("_token") and isinstance(v, str)}
    found = {**GEMMA_BASE, **{named[k]: v for k, v in numbers.items() if k in named and isinstance(v, int)}}
    found["<|video|>"] = config["video_token_id"]
    free = iter(n for n in range(100, 200) if n not in found.values())
    fixed = {"<|turn>": 105, "<turn|>": 106}
    for token in named.values():
        if token not in found:
            found[token] = fixed.get(token) or next(n for n in free if n not in fixed.values())
    return found


def spaced(specials: dict[str, int]) -> Tokenizer:
    """A tokenizer of Gemma's kind: blanks as ``▁``, characters it does not know as bytes, few merges."""
    core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=list(GEMMA_BASE), show_progress=False)
    core.train_from_iterator(SAMPLE, trainer)
    trained = json.loads(core.to_str())["model"]
    pieces = sorted((i, p) for p, i in trained["vocab"].items() if p not in GEMMA_BASE)
    vocabulary = dict(specials)
    names = [f"<0x{byte:02X}>" for byte in range(256)] + [piece for _, piece in pieces]
    free = iter(n for n in range(5, 10_000) if n not in specials.values())
    vocabulary.update({name: next(free) for name in names if name not in vocabulary})
    merges = [tuple(m) for m in trained["merges"]]
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in specials])
    return core
