"""``headscope data labels`` and ``headscope data sheet``: other tools' boxes, and cases to look through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headscope.errors import command_line


def register(app: typer.Typer) -> None:
    """Add the commands to ``headscope data``."""
    app.command("labels")(labels)
    app.command("sheet")(sheet)


def labels(
    place: Annotated[Path, typer.Argument(help="Folder or file of labels.")],
    images: Annotated[Path, typer.Option("--images", help="Folder of their pictures.")],
    out: Annotated[Path, typer.Option("--out", help="File of COCO's instances to write (JSON).")],
    form: Annotated[
        str,
        typer.Option("--as", help="yolo, labelme, labelstudio, cvat or voc; by default what the files hold."),
    ] = "",
) -> None:
    """Turn labels of YOLO, LabelMe, Label Studio, CVAT or Pascal VOC into COCO's instances."""
    from headscope.data.labels.instances import convert

    done = convert(place, images, out, form)
    for refused in done.refused:
        typer.echo(f"refused: {refused.file}: {refused.reason}", err=True)
    for note, count in done.notes.most_common():
        typer.echo(f"  {note} ({count} pictures)")
    kinds = ", ".join(f"{kind} {n}" for kind, n in done.boxes.most_common(12))
    typer.echo(
        f"{out}: {done.pictures} pictures of {done.form}, {done.boxes.total()} boxes ({kinds}); refused: "
        f"{len(done.refused)}; next: {command_line('data', 'questions', out, '--images', images)}"
    )


def sheet(
    folder: Annotated[Path, typer.Argument(help="Folder of cases.")],
    out: Annotated[Path, typer.Option("--out", help="Picture to write (PNG).")] = Path("sheet.png"),
    count: Annotated[int, typer.Option("--cases", min=1, help="How many random cases.")] = 20,
    seed: Annotated[int, typer.Option(help="Another seed draws other cases.")] = 0,
) -> None:
    """Draw random cases with their boxes on one page, to be looked through after an import."""
    from headscope.data.cases import load_cases
    from headscope.making.review.contact_sheet import contact_sheet
    from headscope.storage import disk_error

    drawn, ids = contact_sheet(load_cases(folder, taxonomy=None, pictures=False), count, seed)
    try:
        drawn.save(out, "PNG")
    except OSError as exc:
        raise disk_error(out, exc) from exc
    typer.echo(f"{out}: {len(ids)} of the cases of {folder}, seed {seed}: {', '.join(ids)}")
