"""``headscope data``: make cases and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli import imports, pictures
from headscope.cli.output import say, tell

if TYPE_CHECKING:
    from headscope.making.scenes.balance import Balance

data_app = typer.Typer(help="Make cases, check them, describe them.", no_args_is_help=True)
imports.register(data_app)
pictures.register(data_app)


@data_app.command("generate")
def draw_scenes(
    out: Annotated[Path, typer.Option("--out", help="New folder for the cases.")],
    cases: Annotated[int, typer.Option("--cases", help="How many cases.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same cases.")] = 0,
    things: Annotated[tuple[int, int], typer.Option(help="Fewest and most things of a scene.")] = (2, 8),
    hard: Annotated[float, typer.Option(help="Share of hard scenes.")] = 0.2,
    hard_things: Annotated[tuple[int, int], typer.Option(help="Fewest and most things of a hard scene.")] = (
        9,
        12,
    ),
    held_out: Annotated[
        float,
        typer.Option(
            help="Share of cases with combinations, wordings or drawings new to the embedded model."
        ),
    ] = 0.15,
    balance: Annotated[
        str | None,
        typer.Option(help="`functions`: further scenes until every function has enough on test and select."),
    ] = None,
    test_questions: Annotated[
        int | None, typer.Option(help="With --balance: questions of every function on test.  [default: 100]")
    ] = None,
    test_pictures: Annotated[
        int | None, typer.Option(help="With --balance: from at least so many pictures.  [default: 60]")
    ] = None,
    select_share: Annotated[
        float | None, typer.Option(help="With --balance: the share of both on select.  [default: 0.6]")
    ] = None,
    shared_wordings: Annotated[
        bool,
        typer.Option(
            "--shared-wordings", help="Ask again about another thing as 'And the horse?', whatever is asked."
        ),
    ] = False,
) -> None:
    """Draw scenes with exact ground truth, and ask about them step by step."""
    from headscope.making.scenes.generate import draw_scenes

    wanted = _balance(balance, test_questions, test_pictures, select_share)
    made = draw_scenes(
        out,
        cases,
        seed,
        things=things,
        hard=hard,
        hard_things=hard_things,
        held_out=held_out,
        balance=wanted,
        shared=shared_wordings,
    )
    steps = sum(len(c.steps) for c in made)
    tell(f"{out}: {len(made)} cases, {steps} steps; described in {out / 'README.md'}")


def _balance(
    balance: str | None, questions: int | None, pictures: int | None, select: float | None
) -> Balance | None:
    from headscope.errors import DataError
    from headscope.making.scenes.balance import Balance

    given = {"--test-questions": questions, "--test-pictures": pictures, "--select-share": select}
    named = [option for option, number in given.items() if number is not None]
    if balance is None:
        if named:
            raise DataError(f"{named[0]} says what --balance functions is to reach; name it too")
        return None
    if balance != "functions":
        raise DataError(f"--balance {balance}: asked for what is not there; expected functions")
    default = Balance()
    return Balance(
        default.questions if questions is None else questions,
        default.pictures if pictures is None else pictures,
        default.select if select is None else select,
    )


@data_app.command()
def pairs(
    out: Annotated[Path, typer.Option("--out", help="New folder for the pairs.")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Folder of cases: each picture and its mirror image. Without it: scenes."
        ),
    ] = None,
    number: Annotated[int, typer.Option("--pairs", min=1, help="Scenes: pairs of each fact.")] = 100,
    fact: Annotated[list[str] | None, typer.Option(help="Scenes: what differs; may be repeated.")] = None,
    function: Annotated[
        list[str] | None, typer.Option(help="Mirror images: functions of the questions; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pairs.")] = 0,
) -> None:
    """Make counterfactual pairs: two cases with one question whose pictures differ in one fact."""
    from collections import Counter

    from headscope.errors import DataError
    from headscope.making.pairs.mirror import mirror_pairs
    from headscope.making.pairs.scenes import FACTS, draw_pairs

    if source is None:
        if function:
            raise DataError("--function chooses questions of --from; for scenes say --fact")
        made = draw_pairs(out, number, seed, facts=tuple(fact or FACTS))
    else:
        from headscope.data.cases import load_cases

        if fact:
            raise DataError("--fact is for scenes; of mirror images choose questions by --function")
        mirrored = mirror_pairs(load_cases(source), out, tuple(function) if function else None)
        for reason, count in mirrored.left_out.most_common():
            say(f"  left out: {reason} ({count})")
        if mirrored.pairs is None:
            raise DataError(f"{source}: no question has a known answer in the mirror; nothing was written")
        made = mirrored.pairs
    counts = Counter(f"{p.fact}, control" if p.control else p.fact for p in made)
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    tell(f"{out}: {len(made)} pairs ({listed})")


@data_app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="Folder of cases, or its cases.jsonl.")],
    taxonomy: Annotated[Path | None, typer.Option(help="cogvsr (the paper's), or a JSON file.")] = None,
) -> None:
    """Report every fault as file:line: field: what, found, expected; exit 1 if there is any.

    Pictures that look the same though their files differ (re-encoded, resized) are warnings.
    """
    from headscope.data.validation import inspect
    from headscope.functions import DEFAULT, load_taxonomy

    functions = load_taxonomy(taxonomy) if taxonomy else DEFAULT
    found = inspect(folder, functions, keep=False, decode=True)
    for line in (*found.faults, *found.near):
        tell(str(line))
    counted = f"{len(found.faults)} faults" if found.faults else "no faults"
    near = f", {len(found.near)} pairs of near-duplicate pictures" if found.near else ""
    say(f"{folder}: {counted}{near}")
    if found.faults:
        raise SystemExit(1)


@data_app.command()
def card(folder: Annotated[Path, typer.Argument(help="Folder of cases.")]) -> None:
    """Write the dataset card (README.md) of a folder of cases."""
    from headscope.data.card import write_card
    from headscope.data.cases import load_cases

    tell(str(write_card(load_cases(folder, pictures=False), folder)))
