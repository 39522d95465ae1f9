"""Resample ablation: heads hold what they hold on another case, asked in the same words."""

from __future__ import annotations

from headscope.asking.ask import ask
from headscope.asking.batches import encode_batch
from headscope.data.cases import Cases
from headscope.edits.patching import Patch, prompt_z
from headscope.experiments.items import choose_items
from headscope.experiments.resample import donors_of, read_resampled, same_layout
from headscope.functions import DEFAULT
from headscope.models.vlm import VLM


def test_donors_are_other_cases_asked_in_the_same_wording_in_an_order_of_the_items_own(
    cases: Cases, splits: dict[str, str]
) -> None:
    items = choose_items(cases, splits, "test", DEFAULT, 30, 0, ())["spatial_perception"]
    pool = choose_items(cases, splits, "fit", DEFAULT, 60, 0, ())["spatial_perception"]
    found = donors_of(items[0], [*pool, items[0]], seed=0)
    assert found
    assert all(d.step.wording == items[0].step.wording and d.case.id != items[0].case.id for d in found)
    assert found == donors_of(items[0], list(reversed([*pool, items[0]])), seed=0)
    assert found != donors_of(items[0], pool, seed=1)


def test_an_item_is_read_with_the_z_of_the_first_donor_of_its_layout_and_left_out_without_one(
    llava: VLM, cases: Cases, splits: dict[str, str]
) -> None:
    items = choose_items(cases, splits, "test", DEFAULT, 4, 0, ())["spatial_perception"]
    pool = choose_items(cases, splits, "fit", DEFAULT, 60, 0, ())["spatial_perception"]
    heads = llava.geometry.heads[2:5]
    pictures = lambda item: cases.image(item.case)  # noqa: E731
    found = read_resampled(llava, items, pool, pictures, heads, 0, 3)
    wanted = []
    for i, item in enumerate(items):
        encoded = encode_batch(llava, [item], pictures)
        others = [encode_batch(llava, [d], pictures) for d in donors_of(item, pool, 0)]
        fitting = [o for o in others if same_layout(encoded, o)]
        if fitting:
            patch = Patch(heads, prompt_z(llava, fitting[0], heads))
            (row,) = ask(llava, encoded, [item], edit=patch, max_new_tokens=3).rows
            wanted.append((i, float(row["correct"]), row["margin"]))
    assert wanted
    assert list(zip(found.kept, found.reading.correct, found.reading.margin, strict=True)) == wanted
    assert read_resampled(llava, items, [], pictures, heads, 0, 3).kept == []
