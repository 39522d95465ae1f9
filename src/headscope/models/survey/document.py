"""The survey as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from headscope.models.survey.rows import Row

_HEAD = """# Model families

Every class that transformers {version} loads for image-text-to-text, each built once with a tiny random
configuration in which every kind of decoder layer is kept, and put through the proofs that also run when a
checkpoint is loaded. Written by `python tools/families.py`; the same rows are shown by `headscope models`.

| | families |
|---|---|
{counts}

- **PROVED**: every head of the decoder is found and proved; capture, edits, baking, padded batches and
  cached generation hold.
- **PARTLY**: heads are found and proved where their outputs are projected; what is named is refused. In
  {uncaptured} of these the decoder does not read the prompt's positions: heads are proved, edits hold there,
  but capture over a prompt is refused.
- **REFUSED**: not supported, for the reason given.

Capture and edits are proved in {captured} of {all}.

Encoder-decoders: {encoders}.
Their encoder reads picture and question. The decoder's prompt is the tokens that it starts from:
`prompt_last` is the last of these, which predicts the first answer token. Scopes are `all`, `last` and
`answer`; `image` and `question` are refused. Cross-attention heads are addressed as `L0H1.cross`; the decoder
of t5gemma2 attends to itself and to the encoder in one.

The rows are about models; a checkpoint also needs a processor that takes a question. 18 families have one
only where torchvision is installed, and are refused elsewhere with the line that installs it
([environments](environments.md)).
"""


def document(rows: Sequence[Row]) -> str:
    """The page: counts, then a table for each status."""
    import transformers

    groups = {s: [r for r in rows if r.status == s] for s in ("PROVED", "PARTLY", "REFUSED")}
    counts = "\n".join(f"| {name} | {len(group)} |" for name, group in groups.items())
    counts += f"\n| all | {len(rows)} |"
    version = ".".join(transformers.__version__.split(".")[:2])
    uncaptured = sum(1 for row in groups["PARTLY"] if not row.captured)
    page = _HEAD.format(
        version=version,
        counts=counts,
        uncaptured=uncaptured,
        captured=sum(row.captured for row in rows),
        all=len(rows),
        encoders=", ".join(_encoders(rows)),
    )
    for name, group in groups.items():
        if not group:
            continue
        columns = ["family", "class"]
        columns += ["reason"] if name == "REFUSED" else ["heads of the tiny model", "what to know"]
        page += f"\n## {name}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
        for row in group:
            cells = [row.family, f"`{row.class_name}`"]
            cells += [] if name == "REFUSED" else [str(row.proofs["heads"])]
            page += "| " + " | ".join(_cell(c) for c in (*cells, row.reason)) + " |\n"
    return page


def _encoders(rows: Sequence[Row]) -> list[str]:
    """The families whose decoder stands apart from an encoder."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return [r.family for r in rows if getattr(CONFIG_MAPPING[r.family], "is_encoder_decoder", False)]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
