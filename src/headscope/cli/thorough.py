"""``headscope models check MODEL --thorough``: the steps as they come, then the page and its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from headscope.cli.output import tell
from headscope.errors import ModelError, StoreError

if TYPE_CHECKING:
    from headscope.acceptance.results import StepResult
    from headscope.models.placement import LoadOptions

_COLOURS = {"held": "green", "failed": "red"}


def check_thoroughly(
    model: str, device: str, dtype: str, options: LoadOptions, tower: str, out: Path | None, as_json: bool
) -> int:
    """Run the steps, show each as it ends, write the page; the exit code.

    Raises:
        ModelError: options that --thorough does not go with. StoreError: the page cannot be written.
    """
    from headscope.acceptance.check_page import default_page, page_of
    from headscope.acceptance.thorough_check import check_thoroughly as run

    if tower != "decoder":
        raise ModelError(
            f"asked for --thorough with --tower {tower}; found that its steps ask about the decoder's heads; "
            "check the tower without --thorough"
        )
    if out is not None and (out.suffix != ".md" or out.is_dir()):
        raise ModelError(f"asked for a page at {out}; expected a file name that ends in .md")
    found = run(model, device, dtype, options=options, each=None if as_json else _show)
    page = out or default_page(found)
    try:
        written = found.save(page, page_of(found))
    except OSError as exc:
        raise StoreError(f"{page}: the page cannot be written: {exc}") from exc
    if as_json:
        tell(json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _show_end(f"{found.status}{': ' if found.reason else ''}{found.reason}")
        _show_end(f"written: {written[0]} and {written[1]}")
    return 1 if found.status == "REFUSED" else 0


def _show(result: StepResult) -> None:
    from rich.console import Console
    from rich.markup import escape

    colour = _COLOURS.get(result.status, "yellow")
    said = "; ".join(dict.fromkeys(filter(None, (result.figure, result.reason))))
    status = f"[{colour}]{result.status}[/]"
    Console().print(f"{result.name:8} {status} {escape(said)} ({result.seconds:.1f} s)", highlight=False)


def _show_end(text: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console().print(escape(text), highlight=False)
