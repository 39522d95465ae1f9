"""How every number was made, and every caveat that comes with it, in words for the page."""

from __future__ import annotations

from headscope.experiments.controls import CLAIM_SETS
from headscope.report.charts.base import words
from headscope.report.contents import StudyContents
from headscope.report.theme import number, percent

Block = tuple[str, list[str]]


def methods(study: StudyContents) -> list[Block]:
    """Headings, each with its statements; only what applies to this study."""
    blocks = [_protocol(study), _heads(study), _muting(study), _helping(study), _reading(study)]
    return [(heading, lines) for heading, lines in blocks if lines]


def _protocol(study: StudyContents) -> Block:
    sizes = ", ".join(f"{split} {count}" for split, count in study.record.cases) if study.record else ""
    lines = [
        "Splits are by image: all steps of one picture fall in one "
        f"split{f' ({sizes} cases)' if sizes else ''}.",
        "Heads, their number, edits, strengths and styles are chosen on select and frozen in "
        "choices.json; test is read once for each of them. No threshold, seed or subset was picked to "
        "make a claim come true.",
        "Some wordings of questions, and for generated scenes some combinations and sprites, occur in "
        "test only; results on them are shown apart.",
        "Intervals are 95 % intervals whose unit is the image, not the question, since questions about one "
        "picture are not independent: of shares Clopper and Pearson's at the effective number of questions, "
        "of everything else bootstraps; none has no width where all answers are alike. Differences are "
        "paired: the same questions under both conditions.",
        "The margin is the log-probability of the true answer minus that of the best wrong choice, per "
        "token; it moves before answers flip, so both are reported.",
        "Intervals and p-values of single rows are not corrected for the number of rows on this page, "
        "except where q values are named.",
    ]
    return "Protocol", lines


def _heads(study: StudyContents) -> Block:
    atlas = study.atlas
    if atlas is None:
        return "Heads and rankings", []
    readout = atlas.provenance.readout or "as stated in the atlas"
    lines = [
        "A head's output z is what enters the attention block's output projection, split by that layer's "
        "own number of heads; where heads lie is proved at load by zeroing one inside the attention "
        "function.",
        f"Readout: {readout}. Joint probe: a shared projection to 64 "
        "features, one hidden layer of 512, softmax over functions; importance is gradient x activation "
        "of the function's logit, averaged over select with its sign, cut at the elbow of the sorted "
        "curve.",
        "Independent probes: a ridge classifier per head and function, folds by image, AUROC; null by "
        "permutation within images; Benjamini-Hochberg over heads.",
        "Functions differ in wording, so a head that tells functions apart may only read the question. "
        "Selectivity against random labels per wording and the decoding of the step's answer, beyond the "
        "question alone and a blank picture, guard against that; they do not rule it out.",
        "That something can be decoded from a head does not mean that the model uses it; the causal "
        "ranking and the muting ask that.",
    ]
    if atlas.joint:
        accuracy, most, shuffled = (atlas.joint.get(k) for k in ("accuracy", "majority", "shuffled"))
        lines.append(
            f"The joint probe names the function of {percent(accuracy)} of held-back steps; the most "
            f"frequent function alone gives {percent(most)}, training on shuffled labels "
            f"{percent(shuffled)}."
        )
    return "Heads and rankings", lines


def _muting(study: StudyContents) -> Block:
    view = study.ablation
    if view is None:
        return "Muting", []
    lines = [
        "p = (1 + random sets at least as bad) / (1 + random sets), each distinct set counted once; with 200 "
        "it cannot fall below 0.005. It asks whether these heads are special among heads; the sign-flip test "
        "asks whether the loss itself is real. q corrects p for the number of functions.",
        "Where p among random sets that may share heads with those under test is not small, the verdict says "
        "that one or two of the heads may carry the effect: a set that holds a layer's most important head "
        "beats all sets disjoint from it (docs/method.md).",
        "Random heads are disjoint from the heads under test, the same number in each layer. Where the "
        "tested heads fill more than half of a layer no such match exists; then they are drawn over all "
        "layers, and the table says so. Draws over all layers are an easier comparison, since early heads "
        "matter to everything.",
        "Zeroing takes a head out of the range it was trained in. Muting to the mean over fit and to a "
        "small factor are shown beside it; where they disagree, part of the loss is damage rather than "
        "lost function.",
    ]
    if view.rule:
        lines.insert(0, f"How heads were chosen. {view.rule}")
    if view.settings.get("held_out") is False:
        new = "cases new to the model" if study.training.held_out else "cases with held-out parts"
        lines.append(f"Muting and emphasis leave out {new}; these are in the accuracy above.")
    lines += [f"Not tested: {f.replace('_', ' ')} ({why})." for f, why in view.skipped.items()]
    few = {f: test.sets for f, test in view.functions.items() if 0 < test.sets < CLAIM_SETS}
    if few:
        told = ", ".join(f"{words(f)} {sets}" for f, sets in few.items())
        lines.append(
            f"Distinct random sets too few for a claim, which needs {CLAIM_SETS}: {told}. What is said of "
            "these functions is a quick look."
        )
    return "Muting", lines


def _helping(study: StudyContents) -> Block:
    lines = []
    if study.emphasis is not None:
        lines += [study.emphasis.rule] if study.emphasis.rule else []
        lines.append(
            "An edit chosen as the best of several on select looks better there than it is; its gain on "
            "test is the honest one. Every other function's change stands beside it."
        )
    wake = study.wake
    if wake is not None:
        things = wake.training_things
        known = (
            f" (trained on {things[0]} to {things[1]} things) may only mean that masking brings them back to "
            "what the model knows"
            if things
            else " may only mean that masking leaves fewer things to confuse"
        )
        lines += [
            "Pointing marks the objects that the question names, never the answer.",
            f"A gain on crowded pictures{known}, not that heads were woken; hence the controls and the "
            "results by crowding.",
            "A marked picture is a different input, so some growth in any head is expected; the "
            "comparison is between groups of heads.",
            *wake.caveats,
        ]
    return "Emphasis and pointing", lines


def _reading(study: StudyContents) -> Block:
    lines = [
        "If accuracy on a function is at chance, its heads, muting and gains are noise with a map; the "
        "banner on top says so. The same holds for a model with random weights.",
        "One model, one set of data, one seed: intervals cover the choice of pictures, not of model, "
        "wording of the prompt or random seed.",
        "Rankings and effects of sets of heads are not sums of those of single heads: heads back each "
        "other up, and muting one can hide what it does.",
    ]
    if study.seconds:
        total = study.seconds.get("total") or sum(study.seconds.values())
        lines.append(f"The whole run took {number(total / 60, 1)} minutes.")
    return "How to read this page", lines
