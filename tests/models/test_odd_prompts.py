"""A thousand odd questions for every tokenizer: the question's tokens hold exactly what the model read of it,
or the prompt is refused with one message."""

from __future__ import annotations

import re
import shutil
from copy import copy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from headscope.errors import ModelError
from headscope.models.encoding import encode_prompts
from headscope.models.processors import load_processor
from headscope.models.prompts import Template
from headscope.models.types import Prompt
from models.odd_prompts import Vocabulary, odd_prompts
from models.skeletons.build import published_folders
from models.skeletons.tokenizers_of import complete_tokenizer

PUBLISHED = Path(__file__).parents[3] / "shared" / "skeletons"
FOLDERS = [f for f in published_folders(PUBLISHED) if not f.name.startswith("refuse")]
TINY = ("tiny", "tiny_qwen", "embedded")
COUNT = 1000
PICTURE = Image.new("RGB", (32, 32), (200, 30, 60))


class _Once:
    """An image processor that works on its first picture only, since all prompts here show the same one."""

    def __init__(self, images: Any) -> None:
        self._images, self._made = images, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._images, name)

    def __call__(self, *given: Any, **settings: Any) -> Any:
        if self._made is None:
            self._made = self._images(*given, **settings)
        return copy(self._made)


@pytest.fixture(scope="module")
def readers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name -> what encoding needs of a model: no weights."""

    @cache
    def made(name: str) -> Any:
        if name in TINY:
            vlm = request.getfixturevalue(name)
            return SimpleNamespace(
                processor=vlm.processor, template=vlm.template, family=vlm.family, image=vlm.image_token_id
            )
        from transformers import AutoConfig

        folder = tmp_path_factory.mktemp("published") / name
        shutil.copytree(PUBLISHED / name, folder, copy_function=shutil.copyfile)
        complete_tokenizer(PUBLISHED / name, folder)
        config = AutoConfig.from_pretrained(folder)
        processor = load_processor(folder, config)
        if hasattr(processor.image_processor, "do_image_splitting"):
            processor.image_processor.do_image_splitting = False
        processor.image_processor = _Once(processor.image_processor)
        image = config.image_token_id if hasattr(config, "image_token_id") else config.image_token_index
        return SimpleNamespace(
            processor=processor,
            template=Template(processor, config.model_type),
            family=config.model_type,
            image=image,
        )

    return made


@pytest.fixture(scope="module")
def embedded() -> Any:
    from headscope.models.vlm import load_model

    return load_model("embedded", prove=False)


def marks(reader: Any) -> tuple[set[str], set[str]]:
    """What steers this model: marks refused in all texts, and those refused in questions alone."""
    placeholders = {
        v for k, v in vars(reader.processor).items() if k.endswith("_token") and isinstance(v, str)
    }
    added = reader.processor.tokenizer.added_tokens_decoder.values()
    chat = reader.template._chat or ""
    names = {t.content for t in added if t.content.strip() and not t.content.strip().isalnum()}
    return {*(t.content for t in added if t.special), *placeholders}, {name for name in names if name in chat}


def refused(steering: tuple[set[str], set[str]], question: str, history: tuple[tuple[str, str], ...]) -> bool:
    """Whether a prompt has no words, is no text, or holds what steers this model; by its strings alone."""
    special, written = steering
    asked = [question, *(q for q, _ in history)]
    texts = [*asked, *(a for _, a in history)]
    return (
        not question.strip()
        or any("\ud800" <= c <= "\udfff" for text in texts for c in text)
        or any(mark in text for mark in special for text in texts)
        or any(mark in text for mark in written for text in asked)
    )


def expected(reader: Any, vocabulary: Vocabulary, question: str, ids: list[int]) -> list[bool]:
    """Which tokens hold bytes of the question, counted from the prompt's end; fails where it is not there."""
    template = reader.template
    asked, tail = question, template.tail + template.added
    if " zq " not in template._render((), " zq ", None):
        asked = question.strip()
    if vocabulary.normal == "NFC":
        asked = reader.processor.tokenizer.backend_tokenizer.normalizer.normalize_str(asked)
    parts = vocabulary.bytes_of(ids)
    whole = b"".join(parts)
    end = len(whole) - len(tail.encode())
    start = end - len(asked.encode())
    assert whole[start:] == (asked + tail).encode(), (question, whole[start - 20 :])
    marked, at = [], 0
    for part in parts:
        marked.append(at < end and at + len(part) > start)
        at += len(part)
    return marked


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TINY, *(f.name for f in FOLDERS)])
def test_a_questions_tokens_hold_what_the_model_read_of_it_or_the_prompt_is_refused(
    name: str, readers: Any
) -> None:
    reader = readers(name)
    steering, vocabulary = marks(reader), Vocabulary(reader.processor.tokenizer)
    accepted = 0
    for question, history in odd_prompts(COUNT, name):
        prompt = Prompt(PICTURE, question, history)
        try:
            encoded = encode_prompts(reader.processor, reader.template, reader.family, reader.image, [prompt])
        except ModelError as exc:
            said = str(exc)
            assert refused(steering, question, history), (question, history, said)
            assert re.fullmatch(r"""asked ['"].{0,400}['"]; found .+; .+""", said), said
            assert said.isprintable(), said
            continue
        assert not refused(steering, question, history), (question, history)
        accepted += 1
        ids = encoded.inputs["input_ids"][0].tolist()
        assert encoded.question[0].tolist() == expected(reader, vocabulary, question, ids), question
        assert reader.image not in [i for i, m in zip(ids, encoded.question[0], strict=True) if m]
    assert accepted > COUNT / 2
