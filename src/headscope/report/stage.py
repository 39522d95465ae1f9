"""The report as a stage: ``summary.json``, ``report.html`` and ``figures/``."""

from __future__ import annotations

from dataclasses import dataclass

from headscope.experiments.context import ExperimentContext
from headscope.report.page import write_report
from headscope.report.study_summary import Summary
from headscope.report.summary import write_summary
from headscope.validation.leaks import check_leaks

__all__ = ["ReportSettings", "Summary", "report", "write_seconds"]


@dataclass(frozen=True)
class ReportSettings:
    """The report has none."""


def report(context: ExperimentContext, settings: ReportSettings) -> Summary:
    """Write the summary and the page from whatever stages are there.

    Raises:
        StudyError: pictures straddle splits, or something was chosen on ``test``.
    """
    check_leaks(context.folder, context.cases)
    summary = write_summary(context.folder, cases=context.cases)
    write_report(context.folder, cases=context.cases)
    return summary


def write_seconds(context: ExperimentContext) -> None:
    """The summary again, with the report's own seconds."""
    write_summary(context.folder, cases=context.cases)
