"""The rule of a source, by its name."""

from __future__ import annotations

from headscope.benchmarks.rules import grouped, simple, spatial457, spatialeval, sphere
from headscope.benchmarks.rules.base import Rule

RULES: dict[str, Rule] = {
    **simple.RULES,
    **grouped.RULES,
    **spatialeval.RULES,
    **spatial457.RULES,
    **sphere.RULES,
}


def rule(source: str) -> Rule:
    """The official rule of a source; plain accuracy, over all and by kind, where it has none of its own.

    Args:
        source: name of a source, or the ``source`` of a case (``vsr/zeroshot/dev``).

    Example:
        >>> rule("vsr/zeroshot/dev").name, rule("something else").name
        ('VSR', 'accuracy')
    """
    return RULES.get(source.partition("/")[0], RULES[""])
