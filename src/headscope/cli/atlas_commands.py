"""``headscope atlas``: atlases to and from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headscope.cli.output import OverwriteOption, new_file, say, tell

atlas_app = typer.Typer(help="Atlases to and from the Hugging Face Hub.", no_args_is_help=True)
RepositoryArgument = Annotated[
    str, typer.Argument(help="Repository on the Hub: NAME/REPO.", metavar="NAME/REPO")
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint", help="Address of another Hub, which gets your token; default: HF_ENDPOINT, or the Hub."
    ),
]


@atlas_app.command()
def push(
    source: Annotated[
        Path, typer.Argument(help="Folder of a study, or an atlas.json.", metavar="ATLAS_OR_STUDY")
    ],
    name: RepositoryArgument,
    public: Annotated[bool, typer.Option("--public", help="Everybody sees it.")] = False,
    licence: Annotated[
        str,
        typer.Option(
            "--licence", help="Of the atlas, as the Hub names it (cc-by-4.0); by default none is stated."
        ),
    ] = "",
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", help="The data on the Hub (NAME/REPO), for the card; once or more."),
    ] = None,
    endpoint: EndpointOption = None,
) -> None:
    """Send an atlas and its card to the Hub; private unless --public; of a study, the card has its claims."""
    from headscope.hub.push import push_atlas

    tell(
        push_atlas(
            source,
            name,
            private=not public,
            licence=licence,
            datasets=tuple(dataset or ()),
            endpoint=endpoint,
        )
    )


@atlas_app.command()
def pull(
    name: RepositoryArgument,
    out: Annotated[Path, typer.Option("--out", help="File to write, byte for byte as it was pushed.")],
    revision: Annotated[
        str | None, typer.Option("--revision", help="A branch, tag or commit; by default the newest.")
    ] = None,
    endpoint: EndpointOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Fetch an atlas from the Hub, check its schema and checksum, and write it."""
    from headscope.hub.pull import pull_atlas

    new_file(out, overwrite)
    say(str(pull_atlas(name, out, revision=revision, endpoint=endpoint, overwrite=overwrite)))
    tell(str(out))
