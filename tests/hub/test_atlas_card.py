"""The card says of which model and data the atlas is, its heads with intervals and n, and what is claimed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from made_study import muted_study

from headscope.errors import StoreError
from headscope.experiments.ablation_result import AblationResult
from headscope.hub.atlas_card import TOP, atlas_card, base_model
from headscope.hub.atlas_source import ABLATION, atlas_source
from headscope.probing.atlas import Atlas, Provenance
from headscope.records import Artefact

NAME = "my-lab/atlas"
HUB_MODEL = {"model": "Qwen/Qwen2.5-VL-3B-Instruct", "revision": "66285546d2b821cf421d4f5eb2576359d3770cd3"}


def header(card: str) -> dict[str, object]:
    found = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def rows(card: str, section: str) -> list[list[str]]:
    """Rows of the first table of a section, its head left out."""
    part = card.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return lines[2:]


def of_model(atlas: Atlas, **provenance: str) -> Atlas:
    content = {**atlas.provenance.model_dump(), **provenance}
    return atlas.model_copy(update={"provenance": Provenance.model_validate(content)})


def test_the_header_names_what_the_hub_looks_for(atlas_path: Path) -> None:
    atlas = Atlas.load(atlas_path)
    plain = header(atlas_card(atlas_source(atlas), NAME))
    assert plain["library_name"] == "headscope"
    assert {"headscope", "headscope-atlas", "attention-heads"} <= set(plain["tags"])  # type: ignore[call-overload]
    assert plain.keys().isdisjoint(("license", "base_model", "datasets"))
    source = atlas_source(of_model(atlas, **HUB_MODEL))
    full = header(atlas_card(source, NAME, licence="cc-by-4.0", datasets=("lab/photos",)))
    assert full["base_model"] == HUB_MODEL["model"]
    assert (full["license"], full["datasets"]) == ("cc-by-4.0", ["lab/photos"])


def test_only_a_model_of_the_hub_is_called_the_base_model(atlas_path: Path) -> None:
    atlas = Atlas.load(atlas_path)
    assert base_model(atlas) == ""
    assert base_model(of_model(atlas, **HUB_MODEL)) == HUB_MODEL["model"]
    assert base_model(of_model(atlas, **{**HUB_MODEL, "revision": HUB_MODEL["revision"] + "-4bit"}))
    assert base_model(of_model(atlas, model="runs/mine", revision="40d3805caa80ac76")) == ""


def test_every_function_has_its_strongest_heads_with_interval_and_n(atlas_path: Path) -> None:
    atlas = Atlas.load(atlas_path)
    causal = rows(atlas_card(atlas_source(atlas), NAME), "Strongest heads")
    assert [row[0] for row in causal] == [f for f in atlas.functions for _ in range(TOP)]
    best = [row for row in causal if row[0] == "counting"]
    assert [row[1] for row in best] == [str(h) for h in atlas.top("counting", TOP)]
    i = [h.label for h in atlas.heads].index(best[0][1])
    low, high = atlas.intervals["causal"]["counting"][i] or (0, 0)
    assert best[0][2:4] == [f"{atlas.scores('counting')[i]:.3g}", f"{low:.3g} to {high:.3g}"]
    assert best[0][5] == "not recorded here"
    by_probe = atlas.model_copy(update={"default_ranking": "independent"})
    probed = rows(atlas_card(atlas_source(by_probe), NAME), "Strongest heads")
    splits = atlas.provenance.splits
    assert {row[5] for row in probed} == {str(splits["fit"]["steps"] + splits["select"]["steps"])}


def test_model_data_and_functions_are_said(atlas_path: Path) -> None:
    atlas = Atlas.load(atlas_path)
    card = atlas_card(atlas_source(atlas), NAME)
    said = dict(rows(card, "Model and data"))
    assert said["Model"] == "embedded"
    assert said["Revision"] == atlas.provenance.revision
    assert said["Fingerprint of the data"] == atlas.provenance.data
    assert said["Splits"].startswith("fit 1167 steps, 259 pictures; select 393 steps")
    assert said["Data"] == "not recorded"
    functions = {row[0]: row[1:] for row in rows(card, "Functions")}
    assert functions["counting"][:2] == ["no", "114"]
    assert functions["spatial_perception"][0] == "yes"
    assert f"headscope atlas pull {NAME} --out atlas.json" in card
    assert 'atlas.top("object_recognition", 5)' in card


def test_an_atlas_alone_claims_nothing_and_a_study_says_its_claims(atlas_path: Path, tmp_path: Path) -> None:
    alone = atlas_card(atlas_source(atlas_path), NAME)
    assert "None: these heads were not muted" in alone
    study = muted_study(tmp_path / "study", atlas_path)
    card = atlas_card(atlas_source(study), NAME)
    claims = {row[0]: row[1:] for row in rows(card, "Claims")}
    found = AblationResult.load(study / ABLATION)
    assert claims.keys() == {*found.functions, *found.skipped}
    test = found.functions["counting"]
    assert claims["counting"][:3] == ["yes", test.verdict, " ".join(test.heads)]
    assert claims["counting"][3] == "12.5 (4 to 21)"
    assert claims["counting"][5:] == ["60", "200"]
    assert claims["text_reading"][:2] == ["no", "not tested: too few questions"]
    heads = [row for row in rows(card, "Strongest heads") if row[0] == "counting"]
    assert heads[0][5] == "48"


def test_what_the_study_holds_cannot_break_the_card(atlas_path: Path) -> None:
    evil = "a|b\n---\n# <script>alert(1)</script> [x](javascript:y) `z`"
    atlas = of_model(Atlas.load(atlas_path), model=evil, revision=evil, data=evil)
    names = {name: f"{name} {evil}" for name in atlas.functions[:1]}
    functions = [names.get(name, name) for name in atlas.functions]
    card = atlas_card(atlas_source(atlas.model_copy(update={"functions": functions})), NAME)
    assert "<script>" not in card
    assert re.search(r"(?<!\\)\]\(javascript", card) is None
    assert card.count("\n---\n") == 1
    assert header(card)["library_name"] == "headscope"
    columns = {
        line.count(" | ") for line in card.partition("## Strongest heads")[2].splitlines() if "L3H" in line
    }
    assert columns == {5}


def test_the_same_atlas_gives_the_same_card(atlas_path: Path) -> None:
    assert atlas_card(atlas_source(atlas_path), NAME) == atlas_card(
        atlas_source(Atlas.load(atlas_path)), NAME
    )


@pytest.mark.parametrize("kind", [AblationResult, Atlas])
def test_a_damaged_file_of_the_study_is_refused(
    kind: type[Artefact], atlas_path: Path, tmp_path: Path
) -> None:
    study = muted_study(tmp_path / "study", atlas_path)
    file = study / (ABLATION if kind is AblationResult else "probe/atlas.json")
    file.write_text(file.read_text("utf-8").replace("counting", "caunting", 1), "utf-8")
    with pytest.raises(StoreError, match="its checksum does not hold"):
        atlas_source(study)
