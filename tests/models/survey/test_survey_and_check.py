"""The survey and ``headscope models check`` take the same steps and say the same words, family by family."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from family_survey.build import family_names
from family_survey.rows import survey_row, without_figures
from headscope.models.proofs.full import prove
from headscope.models.vlm import load_model
from models.families import kinds, kinds_encoders, kinds_surveyed  # noqa: F401  (they fill the table)
from models.families.folders import FAMILIES, family_folder, skip_unless_readable

# A map of image tokens; none, since the picture enters by cross-attention or in an encoder;
# another step refused.
QUICK = ("llava", "qwen2_vl", "mllama", "florence2", "gemma3", "mistral_large4")


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=() if family in QUICK else pytest.mark.slow)
        for family in sorted({"llava", *FAMILIES})
    ],
)
def test_a_checkpoint_gives_what_the_row_of_its_family_says(family: str, tmp_path: Path) -> None:
    if family not in family_names():
        pytest.skip(f"transformers {transformers.__version__} has no {family}")
    skip_unless_readable(family)
    vlm = load_model(family_folder(family, tmp_path / family), prove=False)
    proof, row = prove(vlm), survey_row(vlm.family)
    assert proof.status == row.status
    assert [step.name for step in proof.steps] == [name for name in row.proofs if name != "heads"]
    for step in proof.steps:
        found = row.proofs[step.name]
        if found == "on a checkpoint":
            assert (step.name, step.status) == ("spans", "held")
        else:
            assert step.status == ("held" if isinstance(found, float) else found), step
    assert without_figures(proof.reason) in row.reason


def test_an_image_grid_that_no_map_gives_is_told_on_the_page_and_by_the_check(tmp_path: Path) -> None:
    reason = "the picture enters by cross-attention; its patches are no positions of the decoder"
    row = survey_row("mllama")
    assert (row.status, row.reason) == ("PARTLY", f"spans not applicable: {reason}")
    vlm = load_model(family_folder("mllama", tmp_path / "mllama"), prove=False)
    assert prove(vlm).reason == row.reason
