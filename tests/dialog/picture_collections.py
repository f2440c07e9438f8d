"""Collections of a few hand-made pictures in the layout of data/vision, for tests."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = ("red", "green", "blue", "yellow")


def write_collection(folder: Path, pictures: Mapping[str, Image.Image], table: str, rows: list[dict[str, Any]]) -> None:
    """One collection: its pictures in two tar files, and one table. A second table is written by `write_table`."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = sorted(pictures)
    for number, some in enumerate((keys[::2], keys[1::2])):
        with tarfile.open(folder / f"images-{number:03}.tar", "w") as tar:
            for key in some:
                buffer = io.BytesIO()
                pictures[key].save(buffer, "PNG")
                member = tarfile.TarInfo(f"{key}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
    write_table(folder, table, rows)


def write_table(folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    with gzip.open(folder / f"{table}.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def make_vision_data(data: Path) -> Path:
    """All the collections the picture network learns from, and those it is scored on: flat colours with their names."""
    pictures, captions = {}, []
    for i in range(24):
        colour, split = COLOURS[i % 4], ("train", "dev", "test")[i // 4 % 3]
        pictures[f"f{i}"] = Image.new("RGB", (20 + i, 20), colour)
        captions.append({"image": f"f{i}", "split": split, "captions": [f"a {colour} wall", f"the wall is {colour}"]})
    write_collection(data / "flickr8k", pictures, "captions", captions)
    tests = [row for row in captions if row["split"] == "test"]
    judged = [
        {
            "image": row["image"],
            "caption": f"something {colour}",
            **({"crowd_yes": 3, "crowd_no": 0} if colour in row["captions"][0] else {"crowd_yes": 0, "crowd_no": 3}),
        }
        for row in tests
        for colour in COLOURS
    ]
    unsure = {"image": tests[0]["image"], "caption": "a thing", "crowd_yes": 1, "crowd_no": 2}
    expert = {"image": tests[0]["image"], "caption": "a thing", "expert_1to4": [1, 2, 1]}
    write_table(data / "flickr8k", "judged_captions", [*judged, unsure, expert])
    classes = {f"c{i}": COLOURS[i % 4] for i in range(24)}
    write_collection(
        data / "caltech101",
        {key: Image.new("RGB", (16, 16), colour) for key, colour in classes.items()},
        "labels",
        [{"image": k, "split": "test" if i > 15 else "train", "label": c} for i, (k, c) in enumerate(classes.items())],
    )
    write_collection(
        data / "daquar",
        {f"d{i}": Image.new("RGB", (16, 12), "grey") for i in range(6)},
        "rounds",
        [
            {"image": f"d{i}", "split": "train", "rounds": [{"q": "what is this ?", "a": f"chair, table_{i}, 2"}]}
            for i in range(6)
        ],
    )
    write_collection(
        data / "coco_mini",
        {"o1": Image.new("RGB", (16, 16), "white")},
        "captions_objects",
        [{"image": "o1", "split": "train", "captions": ["a white cat"] * 5, "objects": []}],
    )
    drawings = {f"e{i}": ("red", "circle") if i % 2 else ("blue", "triangle") for i in range(6)}
    write_collection(
        data / "easyvqa",
        {key: Image.new("RGB", (16, 16), colour) for key, (colour, _) in drawings.items()},
        "rounds",
        [
            {"image": key, "split": "test" if key == "e5" else "train", "rounds": rounds(*drawn)}
            for key, drawn in drawings.items()
        ],
    )
    return data


def rounds(colour: str, shape: str) -> list[dict[str, str]]:
    """What easy-VQA asks of a drawing, and what names it only in passing."""
    return [
        {"q": "is there a teal shape?", "a": "no"},
        {"q": "what shape is in the image?", "a": shape},
        {"q": f"what color is the {shape}?", "a": colour},
    ]
