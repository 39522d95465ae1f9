"""Folders of every source, in the layout in which it is published, and the records in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from source_records import *  # noqa: F403
from source_records import (
    BLINK,
    CLEVR,
    COCO,
    CVBENCH,
    EMBSPATIAL,
    GQA,
    GQA_SCENES,
    MINDCUBE,
    MMSI,
    MULTIHOP,
    NLVR,
    OMNISPATIAL,
    REFSPATIAL,
    ROBOSPATIAL,
    SCENE,
    SPATIAL457,
    SPATIALEVAL,
    SPATIALVIZ,
    SPHERE,
    SRBENCH,
    SRBENCH_HEAD,
    SUPER_CLEVR,
    SUPER_SCENE,
    VIEWSPATIAL,
    VLMEVAL,
    VSIBENCH,
    VSR,
    WHERE2PLACE,
    base64_jpeg,
    whatsup_a,
)


def put(path: Path, content: Any) -> Path:
    """Write JSON, JSON lines (a list to ``.jsonl``), text or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, "utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in content), "utf-8")
    else:
        path.write_text(json.dumps(content), "utf-8")
    return path


def _makers(root: Path) -> dict[str, Callable[[], object]]:
    return {
        "vsr": lambda: (put(root / "splits/random/dev.jsonl", [VSR]), _pic(root, "images/000000050403.jpg")),
        "nlvr": lambda: (
            put(root / "dev/dev.json", json.dumps(NLVR) + "\n"),
            _pic(root, "dev/images/2/dev-1572-0-0.png", (400, 100)),
        ),
        "clevr": lambda: (
            put(root / "questions/CLEVR_val_questions.json", {"info": {}, "questions": [CLEVR]}),
            put(root / "scenes/CLEVR_val_scenes.json", {"info": {}, "scenes": [SCENE]}),
            _pic(root, "images/val/CLEVR_val_000000.png"),
        ),
        "super_clevr": lambda: (
            put(root / "superCLEVR_questions_5.json", {"info": {}, "questions": [SUPER_CLEVR]}),
            put(root / "scenes/superCLEVR_new_000000.json", SUPER_SCENE),
            _pic(root, "images/superCLEVR_new_000000.png"),
        ),
        "gqa": lambda: (
            put(root / "val_balanced_questions.json", GQA),
            put(root / "sceneGraphs/val_sceneGraphs.json", GQA_SCENES),
            _pic(root, "images/2354786.jpg"),
        ),
        "coco": lambda: (
            put(root / "annotations/instances_val2017.json", COCO),
            _pic(root, "val2017/000000000007.jpg"),
        ),
        "whatsup": lambda: (
            put(root / "controlled_images_dataset.json", whatsup_a()),
            *(_pic(root, "/".join(r["image_path"].split("/")[1:])) for r in whatsup_a()),
        ),
        "spatialeval": lambda: put(root / "vqa.jsonl", [SPATIALEVAL | {"image": base64_jpeg("navy")}]),
        "3dsrbench": lambda: put(
            root / "3dsrbench_v1_vlmevalkit_circular.tsv",
            "\t".join(SRBENCH_HEAD) + "\n" + "\t".join(SRBENCH) + "\n",
        ),
        "spatial457": lambda: (
            put(root / "questions/L3_2D_spatial.json", SPATIAL457),
            _pic(root, "images/superCLEVR_new_000001.png"),
        ),
        "cvbench": lambda: (put(root / "test_2d.jsonl", [CVBENCH]), _pic(root, "img/2D/count/ade20k_10.png")),
        "blink": lambda: _parquet(root / "Spatial_Relation/val-00000-of-00001.parquet", [BLINK]),
        "embspatial": lambda: put(root / "embspatial_bench.json", [EMBSPATIAL]),
        "sphere": lambda: (
            put(root / "reasoning/object_occlusion.json", SPHERE),
            _pic(root, "test2017/000000000183.jpg"),
        ),
        "multihopspatial": lambda: (
            put(root / "data/multihop_test_4500.json", [MULTIHOP]),
            _pic(root, "data/images/0001.jpg"),
        ),
        "viewspatial": lambda: (
            put(root / "ViewSpatial-Bench.json", [VIEWSPATIAL]),
            _pic(root, "ViewSpatial-Bench/scene0011_00/280.jpg"),
        ),
        "omnispatial": lambda: (
            put(root / "data.json", [OMNISPATIAL]),
            _pic(root, "Dynamic_Reasoning/7.png"),
        ),
        "robospatial": lambda: (
            put(root / "annotations.json", ROBOSPATIAL),
            _pic(root, "images/img_0.png"),
        ),
        "mindcube": lambda: (
            put(root / "data/raw/MindCube_tinybench.jsonl", [MINDCUBE]),
            *(_pic(root, f"data/{name}") for name in MINDCUBE["images"]),
        ),
        "mmsi": lambda: _parquet(root / "MMSI_Bench.parquet", [MMSI]),
        "vsibench": lambda: (
            put(root / "test.jsonl", VSIBENCH),
            *(_pic(root, f"frames/arkitscenes/41069021/{n:03d}.jpg") for n in range(40)),
        ),
        "spatialviz": lambda: (
            put(root / "data.jsonl", [SPATIALVIZ]),
            _pic(root, "MentalRotation/2DRotation/Level0/0-3.png"),
        ),
        "where2place": lambda: _parquet(root / "test-00000-of-00001.parquet", [WHERE2PLACE]),
        "refspatial": lambda: _parquet(root / "location-00000-of-00001.parquet", [REFSPATIAL]),
        "vlmeval": lambda: put(
            root / "Some_TEST.tsv", "\t".join(VLMEVAL) + "\n" + "\t".join(map(str, VLMEVAL.values())) + "\n"
        ),
        "table": lambda: (
            put(root / "some.jsonl", [{"prompt": "Where is it?", "label": "left", "file": "a.png"}]),
            _pic(root, "images/a.png"),
        ),
    }


def folder(root: Path, name: str) -> Path:
    """A folder with the source's records and pictures."""
    _makers(root)[name]()
    return root


def _pic(root: Path, name: str, size: tuple[int, int] = (64, 48)) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "white").save(path)
    return path


def _parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


SPLIT = {
    "vsr": "random/dev",
    "nlvr": "dev",
    "clevr": "val",
    "gqa": "val_balanced",
    "coco": "val2017",
    "whatsup": "a",
    "spatialeval": "vqa",
    "spatial457": "L3_2d_spatial",
    "cvbench": "2D",
    "blink": "Spatial_Relation/val",
    "sphere": "reasoning",
    "multihopspatial": "test",
    "mindcube": "tinybench",
    "refspatial": "location",
}
COLUMNS = {"question": "prompt", "answer": "label", "image": "file"}
NAMES = (
    *(
        "vsr",
        "nlvr",
        "clevr",
        "super_clevr",
        "gqa",
        "coco",
        "whatsup",
        "spatialeval",
        "3dsrbench",
        "spatial457",
        "cvbench",
    ),
    *("blink", "embspatial", "sphere", "multihopspatial", "viewspatial", "omnispatial", "robospatial"),
    *("mindcube", "mmsi", "vsibench", "spatialviz", "where2place", "refspatial", "vlmeval", "table"),
)
