"""``headscope data review`` and ``headscope data push``: cases past people, and out to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.data import data_app
from headscope.cli.output import say, table_of, tell

if TYPE_CHECKING:
    from headscope.functions import Taxonomy


@data_app.command()
def review(
    folder: Annotated[Path, typer.Argument(help="Folder of cases.")],
    reviewer: Annotated[str, typer.Option(help="Whose verdicts these are.")] = "me",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    taxonomy: Annotated[Path | None, typer.Option(help="cogvsr (the paper's), or a JSON file.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the verdicts to the cases, and stop.")
    ] = False,
    agree: Annotated[str, typer.Option(help="Compare with this other reviewer, and stop.")] = "",
) -> None:
    """Open a local page to accept, fix or reject steps and to draw boxes; only this machine can reach it."""
    from headscope.functions import DEFAULT, load_taxonomy

    functions = load_taxonomy(taxonomy) if taxonomy else DEFAULT
    if agree:
        _show_agreement(folder, reviewer, agree, functions)
    elif apply:
        from headscope.data.cases import load_cases
        from headscope.making.review.applied_reviews import apply_reviews

        done = apply_reviews(load_cases(folder, functions), reviewer)
        tell(
            f"{folder}: {done.accepted} accepted, {done.fixed} fixed, {done.rejected} rejected; "
            f"{done.boxes} boxes changed; {done.cases_left_out} cases left out"
        )
        for name in done.stale:
            say(f"not counted: {name}: somebody changed it since; look at it again")
    else:
        _serve(folder, reviewer, functions, port, browser)


def _serve(folder: Path, reviewer: str, functions: Taxonomy, port: int, browser: bool) -> None:
    import webbrowser

    from headscope.making.review.review_server import ReviewServer
    from headscope.making.review.review_session import ReviewSession

    page = ReviewServer(ReviewSession(folder, reviewer, functions), port)
    tell(f"{page.url}  (verdicts go to {folder / 'reviews' / reviewer}; stop with Ctrl-C)")
    if browser:
        webbrowser.open(page.url)
    try:
        page.serve_forever()
    finally:
        page.server_close()


def _show_agreement(folder: Path, one: str, other: str, functions: Taxonomy) -> None:
    from rich.console import Console

    from headscope.data.cases import load_cases
    from headscope.errors import DataError
    from headscope.making.review.applied_reviews import agreement, reviewers_of

    known = reviewers_of(folder)
    for name in (one, other):
        if name not in known:
            raise DataError(f"{folder}: no reviews by {name!r}; there are: {', '.join(known) or 'none'}")
    rows = agreement(load_cases(folder, functions), one, other)
    if not rows:
        raise DataError(f"{folder}: {one} and {other} have judged no step in common")
    table = table_of(("function", "judged by both", "same verdict", "Cohen's kappa", "same answer"))
    for row in rows:
        kappa = "-" if row.kappa is None else f"{row.kappa:.2f}"
        answers = "-" if row.answers is None else f"{100 * row.answers:.0f} %"
        table.add_row(row.function, f"{row.n:,}", f"{100 * row.same:.0f} %", kappa, answers)
    Console().print(table)


@data_app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="Folder of cases.")],
    name: Annotated[str, typer.Argument(help="Where to on the Hugging Face Hub: ORG/NAME.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it.")] = False,
) -> None:
    """Send cases, pictures and card to the Hub; private unless --public."""
    from headscope.data.cases import load_cases
    from headscope.data.push import push_cases

    tell(push_cases(load_cases(folder, taxonomy=None), name, private=not public))
