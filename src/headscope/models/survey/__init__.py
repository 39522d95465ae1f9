"""The survey: one tiny random model for each image-text-to-text family that transformers can load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headscope.models.survey.build import class_name
from headscope.models.survey.plans import tiny_config, tiny_inputs, tiny_model
from headscope.models.survey.recipes import Unbuildable
from headscope.models.survey.rows import RESULTS, Row, load, save, survey, survey_row

if TYPE_CHECKING:
    FAMILIES: tuple[str, ...]

__all__ = [
    "FAMILIES", "RESULTS", "Row", "Unbuildable", "class_name", "load", "save", "survey", "survey_row",
    "tiny_config", "tiny_inputs", "tiny_model",
]  # fmt: skip


def __getattr__(
    name: str,
) -> Any:  # the list is transformers' own, which is not imported before it is asked for
    if name == "FAMILIES":
        from headscope.models.survey.build import family_names

        return family_names()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
