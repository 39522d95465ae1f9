"""The survey and ``headscope models check`` take the same steps and say the same words, family by family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import transformers

from family_survey.build import family_names
from family_survey.rows import survey_row, without_figures
from headscope.errors import HeadscopeError
from headscope.models.proofs.full import prove
from headscope.models.vlm import load_model
from models.families import kinds, kinds_encoders, kinds_surveyed, kinds_torchvision  # noqa: F401  (fill the table)
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
    folder, row = family_folder(family, tmp_path / family), survey_row(family)
    if row.status == "REFUSED":  # in both by the same error of the release's own
        error = re.search(r"\w+Error: ([^(]+)", row.reason)
        with pytest.raises(HeadscopeError) as refused:
            load_model(folder)
        assert error is None or error[1].strip() in str(refused.value)
        return
    vlm = load_model(folder, prove=False)
    proof = prove(vlm)
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
