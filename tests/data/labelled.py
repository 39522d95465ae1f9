"""The same two boxes in the files of YOLO, LabelMe, Label Studio, CVAT and Pascal VOC."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

SIZE = (200, 100)
THINGS = (("dog", (20, 10, 60, 50)), ("red cup", (100, 40, 140, 90)))


def photos(folder: Path) -> Path:
    place = folder / "photos"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", SIZE, "white").save(place / name)
    return place


def yolo(folder: Path) -> None:
    (folder / "data.yaml").write_text("names:\n  0: dog\n  1: red cup\n")
    lines = []
    for i, (_, (x0, y0, x1, y1)) in enumerate(THINGS):
        middle = ((x0 + x1) / 2 / SIZE[0], (y0 + y1) / 2 / SIZE[1])
        lines.append(f"{i} {middle[0]} {middle[1]} {(x1 - x0) / SIZE[0]} {(y1 - y0) / SIZE[1]}")
    (folder / "a.txt").write_text("\n".join(lines) + "\n")


def yolo_polygons(folder: Path) -> None:
    (folder / "classes.txt").write_text("dog\nred cup\n")
    lines = [
        f"{i} "
        + " ".join(f"{x / SIZE[0]} {y / SIZE[1]}" for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
        for i, (_, (x0, y0, x1, y1)) in enumerate(THINGS)
    ]
    (folder / "a.txt").write_text("\n".join(lines))


def labelme(folder: Path) -> None:
    shapes = [
        {"label": kind, "points": [[x1, y1], [x0, y0]], "shape_type": "rectangle", "group_id": None}
        for kind, (x0, y0, x1, y1) in THINGS
    ]
    record = {"version": "5", "shapes": shapes, "imagePath": "..\\photos\\a.jpg", "imageData": None}
    (folder / "a.json").write_text(json.dumps(record | {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}))


def labelstudio(folder: Path) -> None:
    result = [
        {"type": "rectanglelabels", "original_width": SIZE[0], "original_height": SIZE[1]}
        | {"value": {"x": x0 / 2, "y": y0, "width": (x1 - x0) / 2, "height": y1 - y0, "rotation": 0}
           | {"rectanglelabels": [kind]}}
        for kind, (x0, y0, x1, y1) in THINGS
    ]  # fmt: skip
    task = {"id": 1, "data": {"image": "/data/local-files/?d=photos/a.jpg"}}
    task["annotations"] = [{"id": 1, "was_cancelled": False, "result": result}]
    (folder / "export.json").write_text(json.dumps([task]))


def cvat(folder: Path) -> None:
    boxes = "".join(
        f'<box label="{kind}" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}" occluded="0"/>'
        for kind, (x0, y0, x1, y1) in THINGS
    )
    image = f'<image id="0" name="a.jpg" width="{SIZE[0]}" height="{SIZE[1]}">{boxes}</image>'
    (folder / "annotations.xml").write_text(f"<?xml version='1.0'?><annotations>{image}</annotations>")


def voc(folder: Path) -> None:
    things = "".join(
        f"<object><name>{kind}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for kind, (x0, y0, x1, y1) in THINGS
    )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    (folder / "a.xml").write_text(f"<annotation><filename>a.jpg</filename>{size}{things}</annotation>")


WRITERS = {
    "yolo": yolo, "labelme": labelme, "labelstudio": labelstudio, "cvat": cvat, "voc": voc,
    "yolo polygons": yolo_polygons,
}  # fmt: skip
