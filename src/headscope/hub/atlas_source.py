"""What an atlas is pushed from: a study, the folder of one, a file, or an atlas in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.comparing import Comparable, InFolder, atlas_file_in
from headscope.probing.atlas import Atlas
from headscope.seals import unsealed
from headscope.storage import read_text

ABLATION = "ablation.json"


@dataclass(frozen=True)
class AtlasSource:
    """An atlas and what a study knows beside it.

    Attributes:
        atlas: the atlas.
        content: its file, byte for byte, with its checksum.
        ablation: what muting found; None of an atlas alone, and where nothing was muted yet.
        read: ranking -> function -> questions that its scores were read from, as far as the study says.
    """

    atlas: Atlas
    content: bytes
    ablation: AblationResult | None = None
    read: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def atlas_source(given: Comparable) -> AtlasSource:
    """Read what is to be pushed.

    A file goes as it is; an atlas in memory, or one of before there were checksums, as ``save`` writes it.

    Raises:
        StudyError: there is no atlas.
        StoreError: the atlas, or a result beside it, cannot be read.
    """
    if isinstance(given, Atlas):
        return AtlasSource(given, _saved(given))
    place = given.folder if isinstance(given, InFolder) else Path(given)
    study = place if place.is_dir() else None
    file = atlas_file_in(study) if study else place
    atlas = Atlas.load(file)
    sealed = unsealed(read_text(file)).holds is not None
    content = file.read_bytes() if sealed else _saved(atlas)
    muted = study / ABLATION if study else None
    ablation = AblationResult.load(muted) if muted and muted.exists() else None
    return AtlasSource(atlas, content, ablation, _read_from(study) if study else {})


def _saved(atlas: Atlas) -> bytes:
    with TemporaryDirectory() as folder:
        return atlas.save(Path(folder) / "atlas.json").read_bytes()


def _read_from(study: Path) -> dict[str, dict[str, int]]:
    """Questions behind the rankings whose n is not in the atlas itself."""
    from headscope.experiments.causal import FILE as CAUSAL
    from headscope.experiments.causal import CausalScores
    from headscope.experiments.named_attention import FILE as ATTENTION
    from headscope.experiments.named_attention import AttentionScores

    found: dict[str, dict[str, int]] = {}
    if (study / CAUSAL).exists():
        costs = CausalScores.load(study / CAUSAL).functions
        found["causal"] = {name: one.items for name, one in costs.items()}
    if (study / ATTENTION).exists():
        seen = AttentionScores.load(study / ATTENTION).functions
        found["attention"] = {name: one.items for name, one in seen.items()}
    return found
