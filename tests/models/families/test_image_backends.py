"""What docs/environments.md says of PIL and torchvision: how far pixels and logits differ, for every family
that has both forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from transformers.utils import is_torchvision_available

from models.families.backends import both, both_forms, logit_gap, noise, pixel_gap, pixels, plain, scenes
from models.families.folders import family_folder
from models.families.kinds_torchvision import TORCHVISION_ONLY

PAGE = Path(__file__).parents[3] / "docs" / "environments.md"


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return scenes()


@pytest.mark.skipif(not is_torchvision_available(), reason="torchvision is not installed")
@pytest.mark.parametrize("family", both_forms())
def test_pixels_differ_by_rounding_and_logits_hardly(
    family: str, drawn: list[Image.Image], tmp_path: Path
) -> None:
    one, other = both(family_folder(family, tmp_path / "model"))
    assert (one.image_backend, other.image_backend) == ("pil", "torchvision")
    assert logit_gap(one, other, drawn) < 0.01
    images = [plain(vlm.processor.image_processor) for vlm in (one, other)]
    gap = pixel_gap(*(pixels(i, drawn) for i in images))
    assert gap.largest < 1.01, "steps of 1/255"
    assert gap.mean < 0.02
    assert pixel_gap(*(pixels(i, noise()) for i in images)).mean < 0.2


def test_the_measure_counts_steps_of_the_original_range(tmp_path: Path) -> None:
    """A picture one step brighter differs by one step, whatever the processor normalises with."""
    from headscope.models.vlm import load_model

    images = plain(
        load_model(family_folder("llava", tmp_path / "model"), prove=False).processor.image_processor
    )
    dark, bright = (Image.new("RGB", (40, 30), (v, v, v)) for v in (100, 101))
    gap = pixel_gap(pixels(images, [dark]), pixels(images, [bright]))
    assert gap == pytest.approx((1.0, 1.0), abs=1e-4)


def test_the_page_has_a_row_for_every_family_with_both_forms_and_names_the_others() -> None:
    page = PAGE.read_text("utf-8")
    rows = page.partition("<!-- families: begin -->")[2].partition("<!-- families: end -->")[0]
    assert sorted(re.findall(r"^\| ([\w.-]+) \| \w+, ", rows, re.MULTILINE)) == sorted(both_forms())
    assert all(f in page for f in (*TORCHVISION_ONLY, "pi0", "pp_formulanet"))
