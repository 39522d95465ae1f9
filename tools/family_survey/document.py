"""The survey as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from headscope.models.proofs.proof_steps import NOT_APPLICABLE, ON_CHECKPOINT
from headscope.models.releases import ABSENT, TriedReleases
from headscope.models.survey import SurveyedFamily

_HEAD = """# Model families

Every class that transformers {version} loads for image-text-to-text, each built once with a tiny random
configuration in which every kind of decoder layer is kept, and put through the steps of
`headscope models check`. Written by `make survey-matrix`; the same rows are shown by `headscope models`.

| | families |
|---|---|
{counts}

- **PROVED**: every head of the decoder is found and proved; capture, edits, baking, padded batches and
  cached generation hold, and the picture is read. One step is left to a checkpoint, since it needs the
  processor: `spans`, that image tokens stand for the pixels that the image grid says.
- **PARTLY**: heads are found and proved where their outputs are projected; what is named does not hold.
  In {gridless} of these that is the image grid alone: no map from image tokens to pixels is there, and what
  rests on one (attention on an object's tokens) is left out. In {uncaptured} the decoder does not read the
  prompt's positions: heads are proved, edits hold there, but capture over a prompt is refused.
- **REFUSED**: not supported, for the reason given.

Capture and edits are proved in {captured} of {all}. Step by step, with the same words, a checkpoint of a
family gives what its row says, plus `spans` where the row says "{on_checkpoint}"
(`tests/models/survey/test_survey_and_check.py`); its own settings and weights can still have it refused.

A class that is not in the table goes the same way at load. Its heads are found by name, or else by one
forward; the proof decides.

Encoder-decoders: {encoders}.
Their encoder reads picture and question. The decoder's prompt is the tokens that it starts from:
`prompt_last` is the last of these, which predicts the first answer token. Scopes are `all`, `last` and
`answer`; `image` and `question` are refused. Cross-attention heads are addressed as `L0H1.cross`; the decoder
of t5gemma2 attends to itself and to the encoder in one.

The rows are about models; a checkpoint also needs a processor that takes a question. 18 families have one
only where torchvision is installed, and are refused elsewhere with the line that installs it
([environments](environments.md)).

## Releases of transformers

`make survey-matrix` runs the survey, and tests of loading, encoding, proof, families and capture, on each;
`pyproject.toml` admits `transformers{bounds}`. Older ones are refused at load; with others a warning says
that they were not tried. {oldest} is the oldest because it is the first that reads the pictures of Qwen2-VL
and its like without torchvision.

{releases}

Where a release differs from {newest}:

{differences}
"""


def document(rows: Sequence[SurveyedFamily], tried: TriedReleases) -> str:
    """The page: counts, releases, then a table for each status."""
    groups = {s: [r for r in rows if r.status == s] for s in ("PROVED", "PARTLY", "REFUSED")}
    counts = "\n".join(f"| {name} | {len(group)} |" for name, group in groups.items())
    counts += f"\n| all | {len(rows)} |"
    page = _HEAD.format(
        version=tried.newest,
        newest=tried.newest,
        oldest=tried.oldest,
        bounds=tried.bounds,
        counts=counts,
        gridless=sum(_lost(row) == ["spans"] for row in groups["PARTLY"]),
        uncaptured=sum(not row.captured for row in groups["PARTLY"]),
        captured=sum(row.captured for row in rows),
        all=len(rows),
        encoders=", ".join(_encoders(rows)),
        on_checkpoint=ON_CHECKPOINT,
        releases=_releases(tried),
        differences=_differences(tried),
    )
    for name, group in groups.items():
        if not group:
            continue
        columns = ["family", "class"]
        refused = name == "REFUSED"
        columns += ["reason"] if refused else ["heads of the tiny model", "image grid", "what to know"]
        page += f"\n## {name}\n\n{_head(columns)}"
        for row in group:
            cells = [row.family, f"`{row.class_name}`"]
            cells += [] if refused else [str(row.proofs["heads"]), _grid(row)]
            page += _line([*cells, row.reason])
    return page


def _lost(row: SurveyedFamily) -> list[str]:
    """Steps that do not hold."""
    return [
        name for name, found in row.proofs.items()
        if name != "heads" and isinstance(found, str) and found != ON_CHECKPOINT
    ]  # fmt: skip


def _grid(row: SurveyedFamily) -> str:
    found = str(row.proofs["spans"])
    return "none" if found == NOT_APPLICABLE else found


def _releases(tried: TriedReleases) -> str:
    table = _head(["release", "classes", "PROVED", "PARTLY", "REFUSED", "tests passed", "failed"])
    for one in tried.releases:
        numbers = (one.classes, one.proved, one.partly, one.refused, one.passed, one.failed)
        table += _line([one.release, *map(str, numbers)])
    return table.rstrip()


def _differences(tried: TriedReleases) -> str:
    """One line for each family and status, releases side by side; those that are not there in one line."""
    found: dict[tuple[str, str, str], list[str]] = {}
    absent: dict[str, list[str]] = {}
    for one in tried.differences:
        if one.status == ABSENT:
            absent.setdefault(one.release, []).append(one.family)
        else:
            found.setdefault((one.family, one.status, one.reason), []).append(one.release)
    table = _head(["family", "releases", "there", "reason"])
    for (family, status, reason), releases in sorted(found.items()):
        table += _line([family, ", ".join(releases), status, reason])
    missing = "\n".join(f"- not in {release}: {', '.join(names)}" for release, names in absent.items())
    return f"{table}\n{missing}".rstrip()


def _encoders(rows: Sequence[SurveyedFamily]) -> list[str]:
    """The families whose decoder stands apart from an encoder."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    known = [r.family for r in rows if r.family in CONFIG_MAPPING]
    return [name for name in known if getattr(CONFIG_MAPPING[name], "is_encoder_decoder", False)]


def _head(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(c) for c in cells) + " |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
