"""The muting test against chance: would a random set of heads, drawn by the same law, hurt as much?"""

from __future__ import annotations

from collections.abc import Sequence

from headscope.edits.edits import Edit, mute
from headscope.engine.readings import Reader
from headscope.experiments.controls import draw
from headscope.experiments.effects import drops
from headscope.models.geometry import Geometry, Head
from headscope.statistics.resampling import draws_p


def p_among_random(
    reader: Reader, geometry: Geometry, heads: Sequence[Head], draws: int, seed: int
) -> float | None:
    """p of the accuracy drop among random sets with as many heads per layer, which may share heads with it.

    If the heads under test were themselves drawn at random, they and the sets would be exchangeable, so that
    p <= a in at most a share a of such tests (a permutation test; Phipson and Smyth 2010). Controls that are
    disjoint from the tested heads are not exchangeable with them and reject too often (docs/method.md).

    Args:
        draws: random sets, each read once; 0: no test.

    Returns:
        (1 + sets at least as bad) / (1 + sets); None without draws.
    """
    if not draws:
        return None
    drawn = draw(geometry, heads, draws, seed, disjoint=False)
    others = [d for d in dict.fromkeys(drawn.draws) if set(d) != set(heads)]
    readings = reader.read_many(others, mute(), label="random sets")
    (observed,), _ = drops(reader.clean, [reader.read(Edit(tuple(heads), mute()))])
    return draws_p(observed, drops(reader.clean, readings)[0])
