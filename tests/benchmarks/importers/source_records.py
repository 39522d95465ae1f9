"""Records of every source, made up in the exact form in which the source publishes them."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def jpeg(colour: str = "red", size: tuple[int, int] = (64, 48)) -> bytes:
    """The bytes of a plain JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def base64_jpeg(colour: str = "red") -> str:
    return base64.b64encode(jpeg(colour)).decode()


VSR = {
    "image": "000000050403.jpg",
    "image_link": "http://images.cocodataset.org/train2017/000000050403.jpg",
    "caption": "The teddy bear is in front of the person.",
    "label": 1,
    "relation": "in front of",
    "annotator_id": 31,
    "vote_true_validator_id": "[2, 6]",
    "vote_false_validator_id": "[]",
}
NLVR = {
    "sentence": "There is a yellow square touching the wall.",
    "label": "false",
    "identifier": "1572-0",
    "directory": "2",
    "evals": {"r1": "false"},
    "structured_rep": [
        [{"y_loc": 80, "type": "square", "color": "Yellow", "x_loc": 13, "size": 20}],
        [],
        [{"y_loc": 1, "type": "circle", "color": "#0099ff", "x_loc": 80, "size": 30}],
    ],
}
# A large red metal cube right of a small blue rubber sphere; a second red thing behind the cube.
SCENE = {
    "split": "val",
    "image_index": 0,
    "image_filename": "CLEVR_val_000000.png",
    "directions": {},
    "objects": [
        {
            "size": "large",
            "color": "red",
            "material": "metal",
            "shape": "cube",
            "pixel_coords": [40, 20, 9.0],
        },
        {
            "size": "small",
            "color": "blue",
            "material": "rubber",
            "shape": "sphere",
            "pixel_coords": [10, 22, 8.0],
        },
        {
            "size": "small",
            "color": "red",
            "material": "rubber",
            "shape": "cylinder",
            "pixel_coords": [44, 9, 12.0],
        },
    ],
    "relationships": {
        "right": [[2], [0, 2], []],
        "left": [[1], [], [0, 1]],
        "behind": [[2], [2], []],
        "front": [[1], [], [0, 1]],
    },
}


def node(function: str, *inputs: int, value: str | None = None) -> dict[str, Any]:
    return {"function": function, "inputs": list(inputs), "value_inputs": [value] if value else []}


CLEVR = {
    "split": "val",
    "image_index": 0,
    "image_filename": "CLEVR_val_000000.png",
    "question_index": 7,
    "question_family_index": 3,
    "question": "What number of red things are to the right of the small sphere?",
    "answer": "2",
    "program": [
        node("scene"),
        node("filter_size", 0, value="small"),
        node("filter_shape", 1, value="sphere"),
        node("unique", 2),
        node("relate", 3, value="right"),
        node("filter_color", 4, value="red"),
        node("count", 5),
    ],
}
# As Super-CLEVR's sample files: a scene a file, questions without a program.
SUPER_SCENE = {
    "split": "new",
    "image_index": 0,
    "image_filename": "superCLEVR_new_000000.png",
    "directions": {},
    "objects": [
        {**thing, "shape": shape, "pixel_coords": [[x, y, depth], [8, 6]]}
        for thing, shape, (x, y, depth) in zip(
            SCENE["objects"],
            ("suv", "school", "road"),
            ((40, 20, 9.0), (10, 22, 8.0), (44, 9, 12.0)),
            strict=True,
        )
    ],
    "relationships": SCENE["relationships"],
}
SUPER_CLEVR = {
    "split": "new",
    "image_index": 0,
    "image_filename": "superCLEVR_new_000000.png",
    "image": "superCLEVR_new_000000",
    "template_filename": "compare_integer.json",
    "question_index": 3,
    "question_family_index": 2,
    "question": "Is the number of red things greater than the number of blue things?",
    "answer": True,
}
GQA = {
    "201307251": {
        "semantic": [
            {"operation": "select", "dependencies": [], "argument": "man (10)"},
            {"operation": "filter color", "dependencies": [0], "argument": "red (10)"},
            {"operation": "relate", "dependencies": [1], "argument": "dog,to the left of,s (11)"},
            {"operation": "query", "dependencies": [2], "argument": "name"},
        ],
        "entailed": [],
        "equivalent": ["201307251"],
        "question": "Which animal is to the left of the red man?",
        "imageId": "2354786",
        "isBalanced": True,
        "groups": {"global": "animal", "local": "14-man"},
        "answer": "dog",
        "semanticStr": "select: man (10)->...",
        "annotations": {"answer": {"0": "11"}, "question": {"8": "10"}, "fullAnswer": {"1": "11"}},
        "types": {"detailed": "categoryRelS", "semantic": "rel", "structural": "query"},
        "fullAnswer": "The dog is to the left of the man.",
    }
}
GQA_SCENES = {
    "2354786": {
        "width": 64,
        "height": 48,
        "location": "indoors",
        "objects": {
            "10": {"name": "man", "x": 30, "y": 5, "w": 20, "h": 40, "attributes": ["red"], "relations": []},
            "11": {"name": "dog", "x": 2, "y": 20, "w": 15, "h": 40, "attributes": [], "relations": []},
            "12": {"name": "line", "x": 3, "y": 3, "w": 0, "h": 9, "attributes": [], "relations": []},
        },
    }
}
COCO = {
    "info": {},
    "licenses": [],
    "images": [{"id": 7, "file_name": "000000000007.jpg", "width": 64, "height": 48, "license": 3}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [4.5, 6, 10, 12], "iscrowd": 0, "area": 120},
        {"id": 2, "image_id": 7, "category_id": 18, "bbox": [50, 6, 20, 12], "iscrowd": 0, "area": 168},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 30, 9], "iscrowd": 1, "area": 9},
    ],
    "categories": [
        {"supercategory": "person", "id": 1, "name": "person"},
        {"supercategory": "animal", "id": 18, "name": "dog"},
    ],
}


def whatsup_a(thing: str = "beer-bottle", ground: str = "armchair") -> list[dict[str, Any]]:
    """One set of four photographs."""
    forms = {"left": "left_of", "right": "right_of", "on": "on", "under": "under"}
    words = {"left": "to the left of", "right": "to the right of", "on": "on", "under": "under"}
    captions = {k: f"A {thing} {w} a {ground}" for k, w in words.items()}
    return [
        {
            "image_path": f"data/controlled_images/{thing}_{form}_{ground}.jpeg",
            "caption_options": [captions[k], *(c for other, c in captions.items() if other != k)],
        }
        for k, form in forms.items()
    ]


WHATSUP_COCO = [
    [397133, "A photo of a bench to the left of a dog", "A photo of a bench to the right of a dog"]
]
SPATIALEVAL = {
    "id": "spatialmap.vqa.2000.0",
    "text": "In the map, in which direction is Oz Oddities relative to Gale Gifts? Available options:\n"
    "A. Northeast\nB. Northwest\nC. Southwest\nD. Southeast.",
    "oracle_answer": "Northeast",
    "oracle_option": "A",
    "oracle_full_answer": "A. Northeast",
}
SRBENCH_HEAD = (
    *("index", "qid", "question", "A", "B", "C", "D", "answer", "category", "image"),
    *("image_source", "image_url"),
)
SRBENCH = (
    *("0", "VIN6MS3J", "Which object has a higher location?", "baseball glove", "red hat", "", "", "B"),
    *("height_higher", base64_jpeg(), "MS-COCO", "http://images.cocodataset.org/train2017/000000557944.jpg"),
)
SPATIAL457 = {
    "questions": [
        {
            "image_filename": "superCLEVR_new_000001.png",
            "question": "Is the large red object in front of the yellow car?",
            "answer": "True",
            "program": [{"type": "scene", "inputs": []}],
            "question_index": 100001,
        }
    ]
}
CVBENCH = {
    "idx": 0,
    "type": "2D",
    "task": "Count",
    "filename": "img/2D/count/ade20k_10.png",
    "question": "How many organs are in the image?",
    "choices": ["3", "2", "1", "0"],
    "answer": "(C)",
    "prompt": "How many organs are in the image? Select from the following choices.\n"
    "(A) 3\n(B) 2\n(C) 1\n(D) 0",
    "source": "ADE20K",
    "source_dataset": "ADE20K Validation Set",
    "source_filename": "ADE_val_00000248.jpg",
    "target_class": None,
    "target_size": None,
    "bbox": None,
}
VIEWSPATIAL = {
    "question_type": "Camera perspective - Relative Direction",
    "image_path": ["ViewSpatial-Bench/scene0011_00/280.jpg"],
    "question": "Could you tell me the location of the counter in comparison to the refrigerator?",
    "answer": "B. front-up",
    "choices": "A. right\nB. front-up\nC. back-left\nD. front",
}
OMNISPATIAL = {
    "id": "7_1",
    "question": "Which way will the car turn?",
    "options": ["left", "right", "not at all", "back"],
    "answer": 1,
    "task_type": "Dynamic_Reasoning",
    "sub_task_type": "Motion_Analysis",
}
ROBOSPATIAL = [
    {
        "category": "configuration",
        "question": "Is the cup to the left of the box?",
        "answer": "yes",
        "img": "images/img_0.png",
        "depth_image": "images/depth_0.png",
        "mask": None,
    },
    {
        "category": "context",
        "question": "Where can the cup be put? Answer with points between 0 and 1.",
        "answer": "[(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]",
        "img": "images/img_0.png",
        "depth_image": "images/depth_0.png",
        "mask": "images/mask_0.png",
    },
]
MINDCUBE = {
    "id": "aroundnew_group1_q2",
    "question": "Standing where picture 2 was taken, what is behind me? A. Sofa B. Blue door C. Table",
    "images": ["other_all_image/a/front.png", "other_all_image/a/left.png"],
    "gt_answer": "B",
}
MMSI = {
    "id": 4,
    "images": [jpeg("green"), jpeg("blue")],
    "question_type": "Positional Relationship (Cam.-Obj.)",
    "question": "Where is the chair in the second?\nOptions: A: Left, B: Right, C: Front, D: Back",
    "answer": "C",
    "thought": "It is seen in front.",
}
VSIBENCH = [
    {
        "id": 0,
        "dataset": "arkitscenes",
        "scene_name": "41069021",
        "question_type": "object_counting",
        "question": "How many chairs are in this room?",
        "ground_truth": "4",
        "options": None,
    },
    {
        "id": 1,
        "dataset": "arkitscenes",
        "scene_name": "41069021",
        "question_type": "object_rel_direction_easy",
        "question": "Is the stove to the left or the right of me?",
        "ground_truth": "B",
        "options": ["A. left", "B. right"],
    },
]
SPATIALVIZ = {
    "Category": "MentalRotation",
    "Task": "2DRotation",
    "Level": "Level0",
    "Image_id": "0-3",
    "Question": "Which picture is the left one, turned?",
    "Choices": ["the first", "the second", "the third", "none of them"],
    "Answer": "C",
}


def mask(size: tuple[int, int] = (64, 48)) -> bytes:
    """The bytes of a PNG mask: its right half counts."""
    buffer = io.BytesIO()
    picture = Image.new("L", size, 0)
    picture.paste(255, (size[0] // 2, 0, size[0], size[1]))
    picture.save(buffer, "PNG")
    return buffer.getvalue()


WHERE2PLACE = {
    "question_id": 3,
    "question": "Find free room to the right of the cup.",
    "image": {"bytes": jpeg("white"), "path": None},
    "mask": {"bytes": mask(), "path": None},
}
REFSPATIAL = {
    "id": 5,
    "prompt": "Please point to the free area to the right of the cup.",
    "suffix": "Your answer should be formatted as a list of tuples, i.e. [(x1, y1)].",
    "image": {"bytes": jpeg("white"), "path": None},
    "mask": {"bytes": mask(), "path": None},
}
BLINK = {
    "idx": "val_Spatial_Relation_1",
    "question": "Is the car beneath the cat?",
    "sub_task": "Spatial_Relation",
    "image_1": {"bytes": jpeg("green"), "path": None},
    "image_2": None,
    "image_3": None,
    "image_4": None,
    "choices": ["yes", "no"],
    "answer": "(A)",
    "prompt": "Is the car beneath the cat?\nSelect from the following choices.\n(A) yes\n(B) no",
    "explanation": "",
}
EMBSPATIAL = {
    "question_id": "mp3d_0",
    "question": "How are door and stair positioned in relation to each other in the image?",
    "relation": "left",
    "answer_options": ["The door is left of the stair.", "outside", "right", "above"],
    "answer": 0,
    "data_source": "mp3d",
    "image": base64_jpeg("blue"),
    "objects": [{"bbox": [1, 2, 3, 4], "name": "door"}],
}


def sphere(number: str, question: str, options: list[str], answer: str, skill: list[str], form: str) -> dict:
    return {
        "question_id": number,
        "question": question,
        "option": options,
        "answer": answer,
        "metadata": {
            "skill": skill,
            "viewpoint": "allo",
            "format": form,
            "source_dataset": "coco_test2017",
            "source_img_id": "183",
        },
    }


SPHERE = [
    sphere(
        "2",
        "Where can another salt shaker be?",
        ["behind the bottle", "behind the glass"],
        "behind the bottle",
        ["dist", "pos", "size"],
        "pos",
    ),
    sphere(
        "2.1",
        "Which item is smaller?",
        ["ketchup bottle", "salt shaker"],
        "salt shaker",
        ["dist", "size"],
        "name",
    ),
    sphere("2.2", "Is the ketchup bottle transparent?", ["no", "yes"], "no", ["vis"], "bool"),
    sphere("3", "How many cups are there?", [], "3", ["count"], "num"),
]
VLMEVAL = {
    "index": 0,
    "image": base64_jpeg("olive"),
    "question": "Is the car beneath the cat?",
    "A": "yes",
    "B": "no",
    "C": "",
    "D": "",
    "answer": "B",
    "category": "Spatial_Relation",
    "split": "val",
}
MULTIHOP = {
    "id": 12,
    "image_path": "/0001.jpg",
    "question": "Which thing is left of the mug that is on the desk? (a) the pen (b) the lamp "
    "(c) the book (d) the cup",
    "question_tag": "Which thing is <POS>left</POS> of the mug that is <REL>on</REL> the desk? ...",
    "answer": "(b) the lamp",
    "bbox": [10, 12, 20, 30],
    "image_resolution": "64x48",
    "hop": "2-hop",
    "view": "ego",
}
