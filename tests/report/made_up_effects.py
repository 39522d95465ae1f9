"""Makes up the files of the experiments with the stages' own functions for effects and tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headscope.data.cases import Cases
from headscope.experiments.ablation_result import (
    AblationResult,
    DoseCurve,
    DosePoint,
    Elsewhere,
    GeneralDamage,
    LayerDamage,
    MutingTest,
    RandomSets,
    Specificity,
)
from headscope.experiments.effects import ControlledEffect, Effect, Gain
from headscope.experiments.emphasis_result import (
    EmphasisResult,
    EmphasisTest,
    Headline,
    Headroom,
    Steering,
    TriedOption,
)
from headscope.experiments.waking.comparison import Readings, tests_pointing, variant_table
from headscope.experiments.waking.controls import CONTROLS
from headscope.experiments.waking.gain_records import Waking, WakingMeasure
from headscope.experiments.waking.head_gains import HeadSums, gains, per_head
from headscope.experiments.waking.summary import caveats, contrasts, summary
from headscope.experiments.waking.wake_result import Mediation, StyleChoice, WakeResult, WrongName
from headscope.functions import DEFAULT, MAIN
from headscope.storage import write_json

LOSSES = {"spatial_perception": 41.0, "orientation_perception": 33.0, "relational_reasoning": 24.0}
DRAWS = 200
N = 60


def _effect(rng: np.random.Generator, before: float, after: float) -> Effect:
    """An effect, as muting would find it; intervals by the normal formula."""
    loss = 100 * (before - after) + float(rng.normal(0, 1))
    width = 196 * (abs(loss) / 100 + 0.01) ** 0.5 / N**0.5
    margin = loss / 25
    return Effect(
        n=N,
        images=N // 2,
        accuracy_clean=100 * before,
        accuracy=100 * before - loss,
        drop_points=loss,
        ci=(loss - width, loss + width),
        p_paired=0.0001 if abs(loss) > width else 0.4,
        margin_clean=2.0,
        margin_drop=margin,
        margin_ci=(margin - 0.3, margin + 0.3),
        margin_p_paired=0.01,
        forced_clean=100 * before,
        forced_drop_points=0.8 * loss,
        forced_ci=(0.8 * loss - width, 0.8 * loss + width),
        unreadable_clean=1.0,
        unreadable=2.5,
    )


def ablation(folder: Path, functions: Sequence[str], labels: list[str], rng: np.random.Generator) -> None:
    """``ablation.json``, ``ablation.parquet`` and the frozen choice."""
    rows: list[dict[str, Any]] = []
    results: dict[str, MutingTest] = {}
    dose: dict[str, DoseCurve] = {}
    chosen: dict[str, Any] = {}
    for name in functions:
        loss = LOSSES.get(name, float(rng.uniform(2, 14)))
        heads = tuple(str(h) for h in rng.choice(labels, 4, replace=False))
        draws = np.round(np.abs(rng.normal(3, 3, DRAWS)), 1)
        for i, value in enumerate(draws):
            rows.append(
                {"phase": "control", "muted": name, "measured": name, "draw": i, "drop_points": value}
            )
        own = _effect(rng, 0.92, 0.92 - loss / 100)
        p = (1 + int((draws >= own.drop_points).sum())) / (1 + DRAWS)
        held: dict[str, Any] = {
            "draws": DRAWS,
            "distinct": DRAWS,
            "layer_matched": name != "counting",
            "reason": "" if name != "counting" else "more than half of layer 0 is under test",
            "control_mean": float(draws.mean()),
            "control_max": float(draws.max()),
            "p": p,
            "forced_control_mean": 0.8 * float(draws.mean()),
            "forced_control_max": 0.8 * float(draws.max()),
            "forced_p": p,
        }
        chosen[name] = {"ranking": "causal", "k": 4, "heads": list(heads)}
        verdict = f"functional: muting costs more than the mean control (p = {p:.3f})"
        results[name] = MutingTest(
            ranking="causal",
            k=4,
            heads=heads,
            **own.content(),
            **held,
            p_random=p,
            p_claim=p,
            excess_points=own.drop_points - held["control_mean"],
            elsewhere=Elsewhere(
                functions=tuple(f for f in functions if f != name),
                points=2.0,
                ci=(0.5, 3.5),
                beyond_points=0.8 * own.drop_points - 2,
                beyond_ci=(0.8 * own.drop_points - 8, 0.8 * own.drop_points + 4),
            ),
            damage=GeneralDamage(
                unreadable_points=1.5,
                kl_neutral=0.1,
                kl_elsewhere=0.2,
                kl_neutral_controls=0.1,
                kl_elsewhere_controls=0.15,
                prompts=32,
                draws=20,
            ),
            random_sets=RandomSets(sets=100, beyond_controls=3, claimed=1),
            not_testable="only 70 sets match the layers of its heads" if name == "counting" else "",
            q=min(1.0, 2 * p),
            claimed=p < 0.05,
            verdict=verdict if p < 0.05 else "not functional",
            mutes={
                m: _effect(rng, 0.92, 0.92 - f * loss / 100)
                for m, f in (("zero", 1), ("small", 0.97), ("mean", 0.8))
            },
            scopes={
                s: _effect(rng, 0.92, 0.92 - f * loss / 100)
                for s, f in (("all", 1), ("image", 0.5), ("question", 0.3), ("last", 0.6), ("answer", 0.65))
            },
            main={
                c: ControlledEffect(
                    **_effect(rng, 0.8, 0.8 - loss / 200).content(), **(held if name in LOSSES else {})
                )
                for c in ("alone", "gold")
            },
        )
        tried = []
        for ranking, share in (("joint", 0.6), ("independent", 0.5), ("causal", 1.0)):
            for k in (1, 2, 4, 8, 16):
                drop = loss * share * (1 - np.exp(-k / 3))
                tried.append(
                    DosePoint(
                        ranking=ranking,
                        k=k,
                        sets=213,
                        drop_points=drop,
                        smooth_points=0.9 * drop,
                        elsewhere_points=0.8 * k**0.7,
                        score=0.9 * drop - 0.8 * k**0.7,
                    )
                )
        dose[name] = DoseCurve(n=30, candidates=tuple(tried))
    cells = [
        [_effect(rng, 0.92, 0.92 - (results[f].drop_points if f == g else 4) / 100) for g in functions]
        for f in functions
    ]
    AblationResult(
        settings={"held_out": False},
        rule="Per function, on select: the head set that loses most beyond its own controls.",
        functions=results,
        claimed=tuple(f for f in functions if results[f].claimed),
        layers=tuple(
            LayerDamage(
                tower="decoder",
                layer=i,
                site="self",
                heads=8,
                muted=2,
                sets=4,
                forced_drop_points=8.0 if i == 0 else 0.5,
                left_out=i == 0,
            )
            for i in range(4)
        ),
        specificity=Specificity.of(functions, functions, cells),
        dose=dose,
    ).with_rows(rows).save(folder / "ablation.json")
    write_json(folder / "choices.json", {"schema": "headscope/choices/1", "ablation": {"functions": chosen}})


def emphasis(folder: Path, functions: Sequence[str], labels: list[str], rng: np.random.Generator) -> None:
    """``emphasis.json``."""

    def change(points: float) -> Gain:
        return Gain.of(_effect(rng, 0.8, 0.8 + points / 100))

    results: dict[str, EmphasisTest] = {}
    for name in functions:
        tried = []
        for source, k in (("ablation", 4), ("causal", 4), ("causal", 8)):
            for edit, strengths in (("scale", (1.25, 1.5, 2.0, 3.0)), ("steer", (0.5, 1.0, 2.0))):
                for s in strengths:
                    points = 6 * np.exp(-((s - 1.5) ** 2)) - 2 + float(rng.normal(0, 1))
                    tried.append(
                        TriedOption(
                            edit=edit,
                            strength=s,
                            scope="all" if edit == "scale" else "answer",
                            source=source,
                            gain_points=points,
                            k=k,
                            heads=tuple(labels[:k]),
                        )
                    )
        best = max(tried, key=lambda o: o.gain_points)
        others = {g: change(float(rng.normal(-1, 2))) for g in functions if g != name}
        worst = min(others, key=lambda g: others[g].delta_points)
        results[name] = EmphasisTest(
            **best.content(),
            **change(best.gain_points).content(),
            random_sets=60,
            layer_matched=True,
            random_sets_mean=0.2,
            random_sets_max=2.5,
            p=1 / 61,
            q=1 / 61,
            claimed=best.gain_points > 3,
            verdict="helps: gains beyond random heads turned up alike",
            worst_side_effect=worst,
            worst_side_effect_points=others[worst].delta_points,
            side_effects=others,
            main={c: change(1.0) for c in ("alone", "gold")},
            steering=Steering(right=80, wrong=20),
            tried=tuple(tried),
        )
    headline = max(functions, key=lambda f: results[f].gain_points)
    EmphasisResult(
        settings={"held_out": False, "headroom": [40, 85]},
        rule="Per function, on select: the option with the greatest gain in accuracy.",
        ranking="causal",
        headroom={f: Headroom(n=60, clean=72.0, testable=True) for f in functions},
        headline=Headline.of(headline, results[headline]),
        functions=results,
    ).save(folder / "emphasis.json")


def wake(
    folder: Path,
    cases: Cases,
    splits: dict[str, str],
    labels: list[str],
    rng: np.random.Generator,
    stated: bool = True,
) -> None:
    """``wake.json`` and ``wake.parquet``; ``stated``: of a model that states what it was trained on."""
    better = {
        "plain": 0.0,
        "both": 0.22,
        "spotlight": 0.2,
        "random_box": -0.01,
        "equal_area": 0.03,
        "equal_area_pair": 0.12,
        "reverse_mask": -0.25,
        "other_boxes": -0.2,
        "empty_window": -0.3,
    }
    asked = [
        (case, step)
        for case in cases
        if splits[case.id] == "test"
        for step in [*case.steps, case.main_step()]
        if step.function in DEFAULT.spatial or step.function in (MAIN, "attribute_perception")
    ]
    luck = rng.random(len(asked))
    rows = {
        v: [_wake_row(v, *one, luck[i], gain, rng) for i, one in enumerate(asked)]
        for v, gain in better.items()
    }
    for row in (r for mine in rows.values() for r in mine if not stated):
        row["range"] = None
    readings = Readings(rows, draws=300)
    styles = [v for v in better if v != "plain"]
    tables = {v: variant_table(readings, v, ("2-3", "4-7", "8+"), DEFAULT.functions) for v in styles}
    spatial = np.zeros(len(labels), bool)
    spatial[rng.choice(len(labels), 10, replace=False)] = True
    sums = _sums(rows, labels, spatial, rng)
    woken: dict[str, Any] = {"both": {}}
    by_range = {"in_training_range": "trained", "beyond": "beyond"} if stated else {}
    for name, test in {"all": None, **by_range}.items():
        plain, lit = (
            HeadSums.of(s, len(labels), lambda e, t=test: t is None or e["range"] == t)
            for s in sums  # type: ignore[misc]
        )
        woken["both"][name] = gains(plain, lit, spatial, 300)
    plain, lit = (HeadSums.of(s, len(labels), lambda e: True) for s in sums)
    first = woken["both"]["all"].contribution
    named, left = _named(), _left(readings)
    WakeResult(
        styles=("box", "spotlight", "both", "crop"),
        controls=tuple(CONTROLS),
        seed=0,
        settings={"training_things": [2, 7] if stated else None},
        select={
            s: tables[t].all for s, t in (("box", "random_box"), ("spotlight", "spotlight"), ("both", "both"))
        },
        choice=StyleChoice(style="spotlight", chosen_on="select"),
        test=tables,
        contrasts=contrasts(readings, list(CONTROLS)),
        gains=woken,
        heads=per_head(labels, plain, lit, spatial),
        waking=Waking(
            primary=WakingMeasure(
                measure="contribution",
                against="plain",
                questions="all",
                n=len(asked),
                images=20,
                spatial=first.spatial.value,
                other=first.other.value,
                difference=first.difference.value,
                ci=first.difference.ci,
                spatial_ci=first.spatial.ci,
                sets=1999,
                p=0.0005,
            )
        ),
        wrong_name=named,
        mediation=left,
        summary=summary(tables, woken, named, left),
        caveats=caveats(stated),
    ).with_rows([{**r, "split": "test"} for v in rows for r in rows[v]]).save(folder / "wake.json")


def _named() -> WrongName:
    return WrongName(n=40, images=20, share_plain=12.5, share=85.0, delta_points=72.5, ci=(60.0, 84.0))


def _left(readings: Readings) -> Mediation:
    gain = readings.compare("both", "plain", readings.mask(tests_pointing))
    assert gain is not None
    assert gain.delta_points is not None
    muted = gain.model_copy(update={"delta_points": 0.25 * gain.delta_points, "ci": (-4.0, 9.0)})
    gone = 0.75 * gain.delta_points
    return Mediation(
        heads=("L1H1", "L2H2"),
        gain=gain,
        muted=muted,
        mediated_points=gone,
        ci=(gone - 3, gone + 3),
        random_sets=20,
        random_mean=gain.delta_points,
        p=1 / 21,
    )


def _wake_row(
    variant: str, case: Any, step: Any, luck: float, gain: float, rng: np.random.Generator
) -> dict[str, Any]:
    crowded = case.things > 7
    right = bool(luck < 0.75 - 0.25 * crowded + gain * (1 if crowded else 0.2))
    said = step.answer if right else next(c for c in step.choices if c != step.answer)
    boxes = [case.object(o).box for o in ("o0", "o1")]
    return {
        "variant": variant,
        "item": f"{case.id}/{step.id}/alone",
        "case": case.id,
        "step": step.id,
        "context": "alone",
        "function": step.function,
        "kind": case.kind,
        "things": case.things,
        "held_out": ",".join(case.held_out),
        "wording": "",
        "question": step.question,
        "image": case.image,
        "crowding": "8+" if crowded else "4-7" if case.things > 3 else "2-3",
        "range": "beyond" if crowded else "trained",
        "pointing": "named",
        "leak": "place" if step.function == "spatial_perception" else "",
        "truth": step.answer,
        "text": said,
        "answer": said,
        "correct": right,
        "margin": float(rng.gamma(2, 1)) * (1 if right else -1),
        "logprob": -0.2,
        "boxes": json.dumps(boxes),
        "masked": 0.8,
        "share": 0.9 if variant.startswith("equal") else None,
        "norm_spatial": 1.0 if variant == "plain" else 1.18,
        "norm_other": 1.0 if variant == "plain" else 1.04,
    }


def _sums(
    rows: dict[str, list[dict[str, Any]]], labels: list[str], spatial: np.ndarray, rng: np.random.Generator
) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    base = rng.uniform(0.5, 2.0, len(labels))
    lift = rng.normal(0.04, 0.06, len(labels)) + 0.16 * spatial
    for variant in ("plain", "both"):
        factor = 1 + (variant == "both") * lift
        found.append(
            [
                {"image": r["image"], "functions": "spatial", "range": r["range"], "n": 1, "n_mass": 1}
                | {
                    "norm": base * factor + 0.02 * rng.normal(size=len(labels)),
                    "mass": 0.2 * base * factor**2,
                }
                for r in rows[variant]
            ]
        )
    return found
