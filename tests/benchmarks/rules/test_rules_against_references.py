"""Rules beside the benchmarks' published scripts, whose logic is written out here again, on made-up outputs.

Read on public repositories; each function names the script whose counting it repeats.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from headscope.benchmarks import spatial457, spatialeval, sphere, srbench, whatsup
from headscope.benchmarks.registry import rule
from headscope.benchmarks.rule import Table
from headscope.benchmarks.whatsup import preposition
from headscope.data.schema import Case
from headscope.models.answers import parse_answer


def case(name: str, answer: str = "true", choices: tuple[str, ...] = ("true", "false"), **more: Any) -> Case:
    return Case(
        id=name, image="a.png", width=8, height=8, question="?", answer=answer, choices=choices, **more
    )


def scores(table: Table) -> dict[tuple[str, str], float | None]:
    return {(r.score, r.group): r.value for r in table}


def nlvr_metrics(labels: dict[str, str], predictions: dict[str, str]) -> tuple[float, float]:
    """lil-lab/nlvr, nlvr/metrics_images.py: labels by ``sentence-picture``, predictions by ``...-order``."""
    hits, whole = 0, {name.split("-")[0]: True for name in labels}
    for name, label in labels.items():
        for order in range(6):
            if predictions[f"{name}-{order}"].lower() == label.lower():
                hits += 1
            else:
                whole[name.split("-")[0]] = False
    return hits / (6 * len(labels)), sum(whole.values()) / len(whole)


@given(st.randoms(use_true_random=False))
def test_nlvr_counts_as_the_authors_script(draw: random.Random) -> None:
    """With the same answer in all six orders, which is what one imported picture stands for."""
    names = [f"{s}-{i}" for s in range(draw.randint(1, 9)) for i in range(draw.randint(1, 4))]
    labels = {n: draw.choice(["true", "false"]) for n in names}
    said = {n: draw.choice(["True", "false", "TRUE", "False", "maybe", ""]) for n in names}
    cases = [case(f"n{n}", labels[n], original={"identifier": n}) for n in names]
    table = scores(rule("nlvr")(cases, {f"n{n}": t for n, t in said.items()}))
    precision, consistency = nlvr_metrics(labels, {f"{n}-{k}": t for n, t in said.items() for k in range(6)})
    assert table["precision", "all"] == pytest.approx(precision)
    assert table["consistency", "all"] == pytest.approx(consistency)


def srbench_overall(rows: list[tuple[str, bool]]) -> float:
    """3DSRBench's compute_3dsrbench_results.py (johnson111788/SpatialReasoner, src/eval).

    A qid whose last character but one is ``-`` is without both the same question in another order.
    """
    held: dict[str, bool] = {}
    for qid, hit in rows:
        name = qid[:-2] if qid[-2] == "-" else qid
        held[name] = held.get(name, True) and hit
    return sum(held.values()) / len(held)


def srbench_grouped(rows: list[tuple[str, bool]], key: Any) -> float:
    """lmms-eval, tasks/3dsrbench/utils.py: the product of the scores of each group."""
    held: dict[str, list[bool]] = defaultdict(list)
    for qid, hit in rows:
        held[key(qid)].append(hit)
    return sum(all(hits) for hits in held.values()) / len(held)


@given(st.randoms(use_true_random=False))
def test_3dsrbench_counts_as_the_authors_script_and_lmms_eval(draw: random.Random) -> None:
    rows, kinds = [], {}
    for _ in range(draw.randint(1, 6)):
        base = f"{len(kinds)}{draw.randint(0, 9_999_999):07d}"
        orders = draw.choice([["", "-1"], ["", "-1", "-2", "-3"]])
        kinds[base] = draw.choice(["height_higher", "location_above", "multi_object_facing"])
        for flip in draw.choice([[""], ["", "-flip"]]):
            rows += [(f"{base}{flip}{order}", draw.random() < 0.8) for order in orders]
    cases = [case(f"3dsr-{q}", original={"qid": q}, kind=kinds[q[:8]]) for q, _ in rows]
    table = scores(srbench.table(cases, {f"3dsr-{q}": hit for q, hit in rows}))
    assert table["Circular", "all"] == pytest.approx(srbench_overall(rows))
    for group in ("height", "location", "multi_object"):
        mine = [(q, hit) for q, hit in rows if kinds[q[:8]].startswith(group)]
        if mine:
            assert table["Circular", f"category: {group}"] == pytest.approx(srbench_overall(mine))
    flip = srbench_grouped(rows, lambda q: q.replace("-flip", ""))
    assert table["Flip", "all"] == pytest.approx(flip)
    assert table["FlipCircular", "all"] == pytest.approx(srbench_grouped(rows, lambda q: q[:8]))
    circular = srbench_grouped(rows, lambda q: q[:13] if "-flip" in q else q[:8])
    assert table["Circular", "all"] == pytest.approx(circular)


WAYS = r"\b(southeast|northeast|northwest|southwest)\b"
SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def spatialeval_map(text: str, question: int) -> object:
    """SpatialEval's evals/evaluation.py, spatialmap, without its branches for single commercial models."""
    if question == 0:
        found = re.search(r"\b[A-D]\.\s*(southeast|northeast|northwest|southwest)\b", text, re.I)
        found = found or re.search(WAYS, text, re.I)
        return found[1] if found else None
    if question == 2:
        found = re.search(r"\b[A-D]\.\s*(\d+)", text)
        return int(found[1]) if found else spatialeval_number(text)
    start = r"^([\w\s'’]+?)\s+is\s+(?:located\s+|in\s+the\s+|located\s+to\s+the\s+)"
    if found := re.search(rf"{start}({WAYS})", text, re.I):
        return found[1]
    if found := re.search(r"\b[A-D]\.\s*(.*)", text):
        return found[1].replace("**", "").replace(".", "").split(" is", 1)[0].strip()
    if found := re.search(r"\b([ABCD][.,]|[(][abcdABCD][)])\s*(.*?)(?=\sis\b|\.|,|<|$)", text):
        return re.sub(r"[\.,\?!<]+$", "", found[1].strip())
    if found := re.search(rf"Therefore, the object in the {WAYS} of [\w\s'’]+ is ([\w\s'’]+)", text, re.I):
        return found[2]
    found = re.search(r"\bis\b\s+(.*?)(?=\.|,|<|$)", text)
    return re.sub(r"[\.,\?!<]+$", "", found[1].strip()) if found else None


def spatialeval_number(text: str) -> object:
    words = {word: n for n, word in enumerate(SMALL)} | {"no": 0}
    found = [(m.start(), n) for w, n in words.items() for m in re.finditer(rf"\b{w}\b", text, re.I)]
    rest = re.sub(r"^\n\n\d+\.\s", "", text)
    found += [(m.start(), int(m[0])) for m in re.finditer(r"\d+", rest)]
    return sorted(found, key=lambda x: x[0])[0][1] if found else None


PIECES = [
    "A. ", "B. ", "C, ", "(b) ", "(D)", "Gale Gifts", "Oz's Oddities", " is ", " is located ", "in the ",
    "to the ",
    "northeast", "Southwest", "northeastern", " of ", "Therefore, the object in the ", ".", ", ", "\n",
    "\n\n1. ", "**", "2", "12", " two ", " no ", " shops", "there are ", "<", "!", " ",
]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=9), question=st.integers(0, 2))
@settings(max_examples=600, deadline=None)
def test_spatialeval_reads_maps_as_the_authors_script(pieces: list[str], question: int) -> None:
    text = "".join(pieces)
    expected = str(spatialeval_map(text, question)).lower()
    assert spatialeval.read(f"spatialmap.vqa.7.{question}", text) == expected.strip()


FAMILY = {
    "car": "suv wagon minivan sedan truck addi car",
    "bus": "articulated regular double school bus",
    "motorbike": "chopper dirtbike scooter cruiser motorbike",
    "aeroplane": "jet fighter biplane airliner aeroplane",
    "bicycle": "road utility mountain tandem bicycle",
}


def spatial457_is_correct(answer: str, predict: str) -> bool:
    """VLMEvalKit, vlmeval/dataset/utils/spatial457.py, is_correct and category_correct."""
    numbers = dict(
        zip(
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
            range(11),
            strict=True,
        )
    )
    predict = "no" if predict.lower() == "none" else predict
    families = {kind: family for family, kinds in FAMILY.items() for kind in kinds.split()}
    first, other = (t.lower().split(" ")[0] for t in (predict, answer))
    return (
        predict.lower() == answer.lower()
        or (predict == "0" and answer == "No")
        or str(numbers.get(predict.lower())) == answer
        or (answer.lower() == "yes" and predict in list("123456789"))
        or (first in families and families[first] == families.get(other))
    )


_457 = ["Yes", "No", "0", "3", "10", "Red", "sedan", "School bus", "road bike", "left", "Large", "jet"]
_SAID = [
    *_457,
    "none",
    "None",
    "yes",
    "NO",
    "7",
    "12",
    "ten",
    "Ten",
    "zero",
    "red.",
    "a suv",
    "suv x",
    "",
    "bus",
]


@pytest.mark.parametrize("answer", _457)
@pytest.mark.parametrize("said", _SAID)
def test_spatial457_judges_as_vlmevalkit(answer: str, said: str) -> None:
    assert spatial457.same(answer, said) is spatial457_is_correct(answer, said)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{'Reasoning': 'x', 'Answer': 'Red'}", "Red"),
        ('{"Reasoning": "x", "Answer": "Red"}', "Red"),
        ("{'Reasoning': 'x', 'Answer': 12}", "1"),  # one digit, as there
        ('{"Answer": 3}', '{"Answer": 3}'),  # a form that VLMEvalKit does not know
        ("Red", "Red"),
    ],
)
def test_spatial457_reads_the_forms_that_vlmevalkit_reads(text: str, read: str) -> None:
    assert spatial457.read(text) == read


def sphere_number(text: str) -> str:
    """SPHERE-VLM, tasks/utils.py: clean_string, then process_format_num; ``-`` is invalid."""
    said = text.translate(str.maketrans("", "", string.punctuation)).strip().lower()
    if said.isdigit():
        return said
    table = {num2words(i): i for i in range(21)} | {"no": 0}
    said = re.sub(rf"\b({'|'.join(table)})\b", lambda m: str(table[m[0]]), said)
    found = re.findall(r"\b\d+\.?\d*\b", said)
    return found[0] if found else "-"


_WORDS = (
    *("3", "three", "Three,", "3.5", "2,000", "no", "none", "twenty-one", "one_two", "12", "cups;", "there"),
    *("are", "NO", "no!", "a", "0", "seventeen", "oné"),
)
_TALK = st.lists(st.sampled_from(_WORDS), max_size=5).map(" ".join)


@given(text=_TALK, answer=st.sampled_from(["0", "3", "12", "35"]))
def test_sphere_reads_numbers_as_the_authors_script(text: str, answer: str) -> None:
    one = case("sphere-counting-1", answer, (), kind="counting")
    assert sphere.judge(one, text) is (sphere_number(text) == answer)
    assert (sphere.read(one, text) or "-") == sphere_number(text)


@given(st.lists(st.booleans(), min_size=12, max_size=12), st.sampled_from("AB"))
def test_whatsup_counts_pairs_and_sets_as_the_authors_class(hits: list[bool], subset: str) -> None:
    """amitakamath/whatsup_vlms, dataset_zoo/aro_datasets.py, Controlled_Images.evaluate_scores."""
    third = {"A": ("on", "under"), "B": ("in-front_of", "behind")}[subset]
    paths = [
        f"data/x/{t}_{p}_desk.jpeg" for t in ("mug", "cap", "fork") for p in ("left_of", "right_of", *third)
    ]
    held: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for path, hit in zip(paths, hits, strict=True):
        parts = path.split("/")[-1].split("_")
        held[parts[0], parts[-1][:-5]][parts[1]] = hit
    last = ("on", "under") if subset == "A" else ("in-front", "behind")
    pairs = sum((d["left"] and d["right"]) + (d[last[0]] and d[last[1]]) for d in held.values())
    whole = sum(sum(d.values()) == 4 for d in held.values())
    cases = [case(f"whatsup-{subset}-{i}", original={"image_path": p}) for i, p in enumerate(paths)]
    right = {c.id: hit for c, hit in zip(cases, hits, strict=True)}
    table = scores(whatsup.table(cases, right))
    assert table["individual", "all"] == pytest.approx(sum(hits) / 12)
    assert table["pair", "all"] == pytest.approx(pairs / (12 / 2))
    assert table["set", "all"] == pytest.approx(whole / (12 / 4))


@pytest.mark.parametrize(
    ("subset", "caption", "kind"),
    [
        ("coco_one", "A photo of a bench on the top", "top"),
        ("vg_one", "A photo of a bench on the left", "left"),
        ("coco_two", "A photo of a bench to the left of a dog", "left"),
        ("coco_two", "A photo of a bench above a dog", "above"),
        ("coco_two", "A photo of a bench below a dog", "below"),
        ("vg_two", "A photo of a dog in front of a bench", "front"),
        ("vg_two", "A photo of a dog behind a bench", "behind"),
        ("vg_two", "A photo of a dog on top of a bench", "top"),
    ],
)
def test_whatsup_captions_are_counted_by_the_authors_preposition(
    subset: str, caption: str, kind: str
) -> None:
    """The same file, COCO_QA and VG_QA: the last word of one-object captions, else the first of a list."""
    assert preposition({"row": [1, caption, "x"]}, caption, subset) == kind


@pytest.mark.parametrize(
    ("text", "options", "option"),
    [
        ("It stands left of it, as we see. So the correct answer is:\n\n(B) no", ("yes", "no"), "no"),
        ("(B) no\n\nThere is no plant. Yes, that is odd.", ("yes", "no"), "no"),
        ("I would lean towards:\n\n(A) yes\n\nIt is far.", ("yes", "no"), "yes"),
        ("So neither option (A) yes nor (B) no can be chosen.", ("yes", "no"), None),
        ("I'm sorry, but I can't assist with that request.", ("yes", "no"), None),
        ("There are 3 of them, so the answer is (B) 3.", ("9", "3", "1", "0"), "3"),
        ("The answer is (B) 2. 2 are in front and 0 at the side.", ("0", "2", "1", "3"), "2"),
        ("You chose (C) 6 cups. Now (A) look closer (B) go on?", ("1", "2", "6", "9"), "6"),
        ("<s> B", ("yes", "no"), "no"),
        ("<s> (B) no", ("yes", "no"), "no"),
        ("<s> Yes", ("yes", "no"), "yes"),
        ("\u00a0A", ("yes", "no"), "yes"),
        ("\u00a0yes", ("yes", "no"), "yes"),
        ("\uff08A\uff09", ("yes", "no"), "yes"),
        (".........", ("yes", "no"), None),
        ("\u306f\u3044", ("yes", "no"), None),
        ("\ue000No\ue001 \ue000Yellow\ue001 \ue000Taxi\ue001", ("yes", "no"), "no"),
        ("Yes, see (c) there.", ("yes", "no"), "yes"),  # no option has that letter
        ("The answer is (D) 6.", ("6", "7", "8", "9"), "9"),  # the letter, not what stands behind it
    ],
)
def test_answers_in_the_shapes_of_blinks_saved_outputs(
    text: str, options: tuple[str, ...], option: str | None
) -> None:
    """zeyofu/BLINK_Benchmark, eval/saved_outputs: where a judge model read (A) ... (D), or (Z) for none."""
    assert parse_answer(text, options, lettered=True) == option
