"""Attention on the page: unpacked as a browser does it, every share is that of the stage's table."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace

import pytest
from made_up_maps import COLUMNS, ROWS

from headscope.experiments.attention_maps import AttentionMaps
from headscope.report.attention import shown_attention
from headscope.report.contents import StudyContents
from headscope.storage import Row


def rows_of(study: StudyContents) -> dict[tuple[str, str], Row]:
    found = study.of(AttentionMaps)
    assert found is not None
    return {(r["case"], r["step"]): r for r in found.rows}


def test_what_is_packed_is_the_table_of_the_stage(study: StudyContents) -> None:
    found = shown_attention(study)
    assert found is not None
    table, count = rows_of(study), len(found.heads)
    assert found.shown == found.of == len(table)
    for case in found.cases:
        steps = [*(s.id for s in study.cases.by_id[case["id"]].steps), "main"]  # type: ignore[union-attr]
        for step, question in zip(steps, case["questions"], strict=True):
            row = table[case["id"], step]
            raw = zlib.decompress(base64.b64decode(question["cells"]))
            assert raw[: count * ROWS * COLUMNS] == row["cells"]
            shares = struct.unpack(f"<{(3 + len(row['boxes'])) * count}H", raw[count * ROWS * COLUMNS :])
            expected = [row["on_picture"], row["peak"], *(b["on_box"] for b in row["boxes"])]
            for kind, values in enumerate(expected):
                mine = shares[kind * count : (kind + 1) * count]
                assert mine[0] == 65_535  # the first head is not seen
                assert [m / 65_534 for m in mine[1:]] == pytest.approx(values[1:], abs=1e-5)
            written = [s / 65_534 * question["written"] for s in shares[-count:]]
            assert written == pytest.approx(row["contribution"], abs=1e-3)


def test_questions_stand_with_the_models_answer_after_true_steps(study: StudyContents) -> None:
    found = shown_attention(study)
    assert found is not None
    gold = {(r["case"], r["question"]): r for r in study.answers or () if r["context"] == "gold"}
    seen = 0
    for case in found.cases:
        for question in case["questions"]:
            row = gold[case["id"], question["question"]]
            assert (question["truth"], question["said"]) == (row["truth"], row["answer"])
            assert question["right"] == row["correct"]
            seen += 1
    assert seen == found.of


def test_boxes_that_a_question_is_about_are_marked(study: StudyContents) -> None:
    found = shown_attention(study)
    assert found is not None
    assert study.cases is not None
    for case in found.cases:
        known = study.cases.by_id[case["id"]]
        *steps, main = case["questions"]
        assert all([b[2] for b in q["boxes"]] == [o.id == "o0" for o in known.objects] for q in steps)
        assert [b[2] for b in main["boxes"]] == [o.id in known.named for o in known.objects]
        assert [b[0] for b in main["boxes"]] == [o.name for o in known.objects]


def test_functions_with_a_claim_come_first_with_the_heads_that_were_muted(study: StudyContents) -> None:
    found = shown_attention(study)
    assert found is not None
    assert study.ablation is not None
    claimed = [f["claimed"] for f in found.functions]
    assert claimed == sorted(claimed, reverse=True)
    by_name = {f["name"]: [found.heads[i] for i in f["heads"]] for f in found.functions}
    for name, test in study.ablation.functions.items():
        assert by_name[name.replace("_", " ")] == list(test.heads)


def test_where_not_all_maps_fit_main_questions_come_first_and_the_rest_is_counted(
    study: StudyContents,
) -> None:
    whole = shown_attention(study)
    assert whole is not None
    sizes = [len(case["questions"][-1]["cells"]) for case in whole.cases]
    found = shown_attention(study, most_bytes=sum(sizes))
    assert found is not None
    assert [[q["function"] for q in c["questions"]] for c in found.cases] == [["main question"]] * 2
    assert (found.shown, found.of) == (2, whole.of)


def test_without_maps_or_cases_nothing_is_shown(study: StudyContents) -> None:
    assert shown_attention(study.having(overlay=None)) is None
    assert shown_attention(replace(study, cases=None)) is None
