"""The step ``spans``: what the marked tokens decode to, compared with the questions that were asked."""

from __future__ import annotations

import unicodedata

from PIL import Image

from headscope.acceptance.results import StepFinding
from headscope.models.types import Encoded, Prompt
from headscope.models.vlm import VLM

QUESTIONS = (
    "Where?",
    "Is the dog to the left of the horse?",
    "Où est le chien ? Réponds en un mot.",
    "Which thing is nearer to the red car: the tree, or the 2nd house (from the left)?",
    "狗在马的左边吗？",
    "yes",
)
_SHOWN = "tokens marked as the question decode to it, behind all image tokens, alone and in a padded batch"


def check_spans(vlm: VLM) -> StepFinding:
    """Ask questions with and without earlier turns, one by one and together, and read the marked tokens."""
    prompts = [Prompt(_picture(n), q, _history(n)) for n, q in enumerate(QUESTIONS)]
    encoded = [(vlm.encode([prompt]), [prompt]) for prompt in prompts]
    if not (vlm.proof and any(s.name == "batch" and s.status == "refused" for s in vlm.proof.steps)):
        encoded.append((vlm.encode(prompts), prompts))
    letters = total = 0
    for batch, asked in encoded:
        for item, prompt in enumerate(asked):
            read, wrong = _read(vlm, batch, item, prompt.question)
            if wrong:
                return StepFinding(_SHOWN, status="failed", reason=f"question {prompt.question!r}: {wrong}")
            letters += read.strip() == prompt.question
            total += 1
    return StepFinding(_SHOWN, f"{total} of {total} questions found, {letters} to the letter")


def _picture(number: int) -> Image.Image:
    return Image.new("RGB", (48 + 16 * number, 64), (40 * number, 90, 60))


def _history(number: int) -> tuple[tuple[str, str], ...]:
    return (("Where is the dog?", "left"), (QUESTIONS[number], "yes"))[: number % 3]


def _read(vlm: VLM, batch: Encoded, item: int, question: str) -> tuple[str, str]:
    """What the marked tokens of an item say, and what is wrong with them."""
    ids = batch.inputs["input_ids"][item].tolist()
    marked = batch.question[item].nonzero().flatten().tolist()
    pictured = batch.image[item].nonzero().flatten().tolist()
    if not marked:
        return "", "no token is marked"

    def said(first: int, last: int) -> str:
        return str(vlm.tokenizer.decode(ids[first:last]))

    first, last = marked[0], marked[-1] + 1
    if marked != list(range(first, last)):
        return "", "the marked tokens are not one run"
    read = said(first, last)
    if _bare(question) not in _bare(read):
        return read, f"the marked tokens say {read!r}"
    if any(_bare(question) in _bare(said(*ends)) for ends in ((first + 1, last), (first, last - 1))):
        return read, f"more tokens than those of the question are marked: {read!r}"
    if pictured and max(pictured) > first:
        return read, "image tokens stand behind it"
    if any(ids[p] != vlm.image_token_id for p in pictured):
        return read, "other tokens than image tokens are marked as the picture"
    if sum(i == vlm.image_token_id for i in ids) != len(pictured):
        return read, "image tokens are left out of the picture"
    return read, ""


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
