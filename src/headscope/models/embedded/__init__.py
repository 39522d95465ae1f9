"""The small vision-language model that ships with headscope."""

from __future__ import annotations

from pathlib import Path


def weights_folder() -> Path:
    """Folder of the embedded model's checkpoint, in the ordinary Hugging Face form."""
    return Path(__file__).parent / "weights"


def atlas_file() -> Path:
    """Atlas of the embedded model, from the study that ``make demo`` runs."""
    return weights_folder() / "atlas.json"
