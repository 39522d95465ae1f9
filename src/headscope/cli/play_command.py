"""``headscope play``: the playground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headscope.cli.output import tell
from headscope.errors import ModelError


def play(
    model: Annotated[
        str | None,
        typer.Option("--model", help='"embedded" (default), a checkpoint folder, or a hub id (org/name).'),
    ] = None,
    study: Annotated[
        Path | None, typer.Option("--study", help="A study: its model, cases, heads and steering directions.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu (default), cuda, cuda:1, mps ...")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32 (default), bfloat16 or float16.")
    ] = None,
) -> None:
    """Ask, point, mute and turn up heads on a local page; only this machine can reach it."""
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as exc:
        raise ModelError(f"headscope play needs {exc.name}: pip install 'headscope[app]'") from exc
    import socket
    import webbrowser

    from headscope.errors import DataError
    from headscope.play.opening import open_playground
    from headscope.play.play_server import HOST, play_app

    listener = socket.socket()
    try:
        listener.bind((HOST, port))
    except OSError as exc:
        raise DataError(f"port {port}: cannot be used ({exc}); name another with --port") from exc
    with listener:
        app = play_app(open_playground(model, study, device, dtype))
        listener.listen()  # who comes before the server stands waits
        url = f"http://{HOST}:{listener.getsockname()[1]}/"
        tell(f"{url}  (stop with Ctrl-C)")
        if browser:
            webbrowser.open(url)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        server.run([listener])
