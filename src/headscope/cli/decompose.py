"""``headscope data decompose`` and ``headscope data questions``: steps where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headscope.cli.data import data_app
from headscope.cli.output import say, table_of, tell

if TYPE_CHECKING:
    from headscope.making.decompose.chat_server import ChatServer
    from headscope.making.decompose.llm import DecomposeSettings
    from headscope.making.decompose.rules import RelationRow


@data_app.command()
def decompose(
    folder: Annotated[Path, typer.Argument(help="Folder of cases.")],
    using: Annotated[str, typer.Option("--with", help="rules, or llm (a model on a server).")] = "rules",
    out: Annotated[Path | None, typer.Option(help="New folder; by default the cases are replaced.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also replace steps that are there.")] = False,
    server: Annotated[str, typer.Option(help="llm: address, such as http://127.0.0.1:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="llm: name of the model on the server.")] = "",
    key_from: Annotated[
        str, typer.Option(help="llm: environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    prompts: Annotated[Path | None, typer.Option(help="llm: folder of your own prompts.")] = None,
    write_prompts: Annotated[Path | None, typer.Option(help="Copy the prompts there, and stop.")] = None,
    pictures: Annotated[bool, typer.Option(help="llm: send the pictures.")] = True,
    at_once: Annotated[int, typer.Option(min=1, help="llm: requests under way together.")] = 4,
    per_minute: Annotated[float, typer.Option(min=0, help="llm: requests a minute; 0: no limit.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=1, help="llm: seconds for one request.")] = 120.0,
    price_in: Annotated[float, typer.Option(min=0, help="llm: price of a million tokens sent.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="llm: price of a million tokens received.")] = 0.0,
) -> None:
    """Add steps to cases: by rules (what needs the picture stays unanswered), or by a model (guesses)."""
    from headscope.errors import DataError
    from headscope.making.decompose.prompt_files import write_prompts as copy_prompts

    if write_prompts is not None:
        tell(str(copy_prompts(write_prompts)))
        return
    if using == "rules":
        _by_rules(folder, out or folder, again)
        return
    if using != "llm":
        raise DataError(f"--with {using}: there are: rules, llm")
    if not server or not model:
        raise DataError(
            "--with llm: say --server URL and --model NAME; nothing is asked of a server unless named"
        )
    from headscope.making.decompose.chat_server import ChatServer, RequestLimits
    from headscope.making.decompose.llm import DecomposeSettings

    limits = RequestLimits(seconds=timeout, per_minute=per_minute)
    asked = ChatServer(server, model, os.environ.get(key_from) or "none", limits)
    settings = DecomposeSettings(pictures=pictures, at_once=at_once, price_in=price_in, price_out=price_out)
    _by_model(folder, out or folder, again, asked, settings, prompts)


def _by_rules(folder: Path, out: Path, again: bool) -> None:
    from headscope.data.answered_leak import answered_leak
    from headscope.data.cases import CASES_FILE, Cases, case_line, load_cases, save_cases
    from headscope.making.decompose.rules import decompose_all
    from headscope.storage import write_atomic, write_json

    cases = load_cases(folder, taxonomy=None, pictures=False)
    made = decompose_all(cases, again=again)
    if all(c.width for c in cases):
        save_cases(Cases(cases.folder, made.cases), out)
    else:  # imported without pictures, which the rules do not need
        write_atomic(out / CASES_FILE, "".join(case_line(c) + "\n" for c in made.cases))
    table = made.table()
    leak = answered_leak(made.cases)
    report = {
        "schema": "headscope/decompose-rules/1",
        "relations": [vars(row) for row in table],
        "kept": made.kept,
        "leak": vars(leak) if leak else None,
    }
    write_json(out / "decompose" / "rules.json", report)
    _show_table(table)
    opened = sum(not s.answered for c in made.cases for s in c.steps)
    total = sum(len(c.steps) for c in made.cases)
    tell(
        f"{out}: {len(cases)} cases, {len(cases) - len(made.kept)} decomposed; {total} steps, {opened} of "
        "them unanswered: they need the picture, and wait for `headscope data review`"
    )
    if leak:
        tell(
            f"guessed from which steps are answered: {100 * leak.guessed:.1f} % of {leak.cases:,} main "
            f"answers, by chance {100 * leak.chance:.1f} % (p {leak.p:.2g})"
        )
    for reason in sorted(set(made.kept.values())):
        ids = [i for i, r in made.kept.items() if r == reason]
        tell(
            f"left as they were: {len(ids)} cases: {reason} ({', '.join(ids[:3])}{', ...' * (len(ids) > 3)})"
        )


def _show_table(rows: list[RelationRow]) -> None:
    from rich.console import Console
    from rich.text import Text

    table = table_of(("relation", "family", "cases", "steps a case", "answered", "unanswered"), left=2)
    for r in rows:
        numbers = (f"{r.cases:,}", f"{r.steps:.1f}", f"{r.answered:,}", f"{r.open:,}")
        table.add_row(Text(r.relation), Text(r.family), *numbers)
    if rows:
        Console().print(table)


def _by_model(
    folder: Path,
    out: Path,
    again: bool,
    server: ChatServer,
    settings: DecomposeSettings,
    prompts: Path | None,
) -> None:
    from headscope.data.cases import Cases, load_cases, save_cases
    from headscope.errors import DataError
    from headscope.making.decompose.llm import REPORT, Decomposer
    from headscope.making.decompose.prompt_files import load_prompts

    cases = load_cases(folder)
    made = Decomposer(server, cases, out, settings, load_prompts(prompts)).run(again)
    save_cases(Cases(cases.folder, made.cases), out)
    counts = made.counts
    tell(f"{out}: {made.made} of {made.todo} cases decomposed, {len(made.failed)} failed")
    tell(
        f"replies: {counts.asked} asked for, {counts.cached} from the store, {counts.invalid} refused; "
        f"tokens: {counts.tokens_in:,} in, {counts.tokens_out:,} out; cost {made.cost:.2f}"
    )
    for name, reason in list(made.failed.items())[:5]:
        say(f"  {name}: {reason}")
    tell(f"every figure and failure: {out / REPORT}")
    if made.failed or made.left:
        raise DataError(
            f"{len(made.failed)} cases failed and {made.left} were not asked about"
            f"{': ' + made.stopped if made.stopped else ''}; the same command asks again only for "
            "what has no usable reply"
        )


@data_app.command()
def questions(
    instances: Annotated[Path, typer.Argument(help="COCO-style instances file (JSON).")],
    images: Annotated[Path, typer.Option("--images", help="Folder of its pictures.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the cases.")],
    kinds: Annotated[str, typer.Option(help="Kinds of question, comma-separated; all by default.")] = "",
) -> None:
    """Ask about photographs with labelled boxes: only what the boxes decide beyond doubt, step by step."""
    from headscope.making.photographs.make import make_cases

    wanted = tuple(k.strip() for k in kinds.split(",") if k.strip())
    made = make_cases(instances, images, out, wanted)
    for reason in made.refused:
        say(f"refused: {reason}")
    counts = ", ".join(f"{kind} {count}" for kind, count in made.kinds.items())
    tell(f"{out}: {len(made.cases)} cases on {made.photos} of {made.read} photos ({counts})")
    tell(f"no clear question: {made.read - made.photos} photos; refused: {len(made.refused)}")
