"""Models and prompts that the tests of edits share."""

from edits.fixtures import atlas, cases, context, llava, prompts, splits, vlm  # noqa: F401
