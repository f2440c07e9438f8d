"""What the picture network learns from: photographs in memory, and the texts that go with each.

Every photograph belongs to a group of texts, any of which describes it: its own captions, or, where all that is known
is a class or a list of things, a sentence made of that.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from torch import Tensor

from dialog.corpora.pictures import held_out, read_pictures, read_table
from dialog.reading.captions import class_sentence

SHAPES = frozenset({"circle", "rectangle", "triangle"})
COLOURS = frozenset({"black", "blue", "brown", "gray", "green", "red", "teal", "yellow"})
"""What easy-VQA's drawings are of."""
SIDE = 160
"""Pictures are kept as squares of this side: most of the collections' own size."""


@dataclass(slots=True)
class Photographs:
    """The training pictures of all collections."""

    pixels: Tensor  # (N, 3, SIDE, SIDE) bytes
    group: Tensor  # (N,) which texts go with it
    label: Tensor  # (N,) its Caltech-101 class, -1 where it has none
    texts: list[list[str]]
    """By group."""
    classes: list[str]
    parts: list[Tensor] = field(default_factory=list)
    """By collection, in the order they were asked for: the pictures of it, indices into the above."""


def square(picture: bytes) -> Tensor:
    """A picture squashed to (3, SIDE, SIDE) bytes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(SIDE, SIDE, 3).permute(2, 0, 1)


def load_photographs(data: Path, collections: Sequence[str]) -> Photographs:
    """The training part of each collection: Flickr8k's train and extra, a tenth held out of Caltech-101's, DAQUAR's
    and easy-VQA's train, all of COCO's few."""
    pixels: list[Tensor] = []
    group: list[int] = []
    label: list[int] = []
    texts: list[list[str]] = []
    classes: list[str] = []
    parts = []
    for collection in collections:
        wanted = _TEXTS[collection](data)
        begin = len(pixels)
        groups: dict[tuple[str, ...], int] = {}
        if collection == "caltech101":
            classes = sorted({row[0] for row in wanted.values()})
        kept = [(wanted[key], picture) for key, picture in read_pictures(data, collection) if key in wanted]
        with ThreadPoolExecutor(1) as pool:
            pixels += pool.map(square, [picture for _, picture in kept])
        for written, _ in kept:
            if collection == "caltech101":
                label.append(classes.index(written[0]))
                sentences: tuple[str, ...] = (class_sentence(written[0]),)
            else:
                label.append(-1)
                sentences = written
            if sentences not in groups:
                groups[sentences] = len(texts)
                texts.append(list(sentences))
            group.append(groups[sentences])
        parts.append(torch.arange(begin, len(pixels)))
    return Photographs(torch.stack(pixels), torch.tensor(group), torch.tensor(label), texts, classes, parts)


def _flickr(data: Path) -> dict[str, tuple[str, ...]]:
    rows = read_table(data, "flickr8k", "captions")
    return {row["image"]: tuple(row["captions"]) for row in rows if row["split"] in ("train", "extra")}


def _coco(data: Path) -> dict[str, tuple[str, ...]]:
    return {row["image"]: tuple(row["captions"]) for row in read_table(data, "coco_mini", "captions_objects")}


def _caltech(data: Path) -> dict[str, tuple[str, ...]]:
    rows = read_table(data, "caltech101", "labels")
    return {row["image"]: (row["label"],) for row in rows if row["split"] == "train" and not held_out(row["image"])}


def _daquar(data: Path) -> dict[str, tuple[str, ...]]:
    texts: dict[str, tuple[str, ...]] = {}
    for row in read_table(data, "daquar", "rounds"):
        things = _things(row["rounds"])
        if row["split"] == "train" and not held_out(row["image"]) and things:
            texts[row["image"]] = (f"a room with {', '.join(things)}",)
    return texts


def _easyvqa(data: Path) -> dict[str, tuple[str, ...]]:
    texts: dict[str, tuple[str, ...]] = {}
    for row in read_table(data, "easyvqa", "rounds"):
        drawn = _drawing(row["rounds"])
        if row["split"] == "train" and not held_out(row["image"]) and drawn:
            texts[row["image"]] = (drawn,)
    return texts


def _drawing(rounds: Sequence[dict[str, Any]]) -> str | None:
    """A drawing's colour and its one shape, where the open questions about it and their answers name both."""
    opened = [r for r in rounds if r["a"] not in ("yes", "no")]
    said = {str(r["a"]) for r in opened} | {w for r in opened for w in words(r["q"])}
    colours, shapes = said & COLOURS, said & SHAPES
    return f"a {min(colours)} {min(shapes)}" if colours and shapes else None


_TEXTS: dict[str, Callable[[Path], dict[str, tuple[str, ...]]]] = {
    "flickr8k": _flickr,
    "coco_mini": _coco,
    "caltech101": _caltech,
    "daquar": _daquar,
    "easyvqa": _easyvqa,
}


def _things(rounds: Sequence[dict[str, Any]]) -> list[str]:
    """The things that answers name, in order, each once; numbers are left out."""
    names = (name.strip().replace("_", " ") for r in rounds for name in str(r["a"]).split(","))
    return list(dict.fromkeys(n for n in names if n and not n.isdigit()))


def words(text: str) -> set[str]:
    """The words of a text that say what is seen, in lower case."""
    return {w for w in re.findall(r"[a-z]{3,}", text.lower()) if w not in ENGLISH_STOP_WORDS}


def word_targets(texts: Sequence[Sequence[str]], at_least: int) -> tuple[list[str], Tensor]:
    """The words in the texts of at least so many groups, and each group's distribution over them, (groups, words).

    A word counts as often as texts of the group say it. A group with none of them has a row of zeros.
    """
    counts = [Counter(w for text in group for w in words(text)) for group in texts]
    common = Counter(w for count in counts for w in count)
    vocabulary = sorted(w for w, n in common.items() if n >= at_least)
    index = {w: i for i, w in enumerate(vocabulary)}
    targets = torch.zeros(len(texts), len(vocabulary))
    for row, count in enumerate(counts):
        for w, n in count.items():
            if w in index:
                targets[row, index[w]] = n
    return vocabulary, targets / targets.sum(-1, keepdim=True).clamp(min=1)


def augment(pixels: Tensor, size: int, smallest: float) -> Tensor:
    """Each picture (B, 3, h, w) of bytes cropped, bent in its aspect, mirrored half of the time, and lit otherwise;
    (B, 3, size, size) bytes. A crop covers between `smallest` and all of the picture."""
    batch, _, height, width = pixels.shape
    area = torch.empty(batch).uniform_(smallest, 1).sqrt()
    aspect = torch.empty(batch).uniform_(-0.29, 0.29).exp().sqrt()  # 3:4 to 4:3
    heights = (area / aspect * height).round().clamp(16, height).int().tolist()
    widths = (area * aspect * width).round().clamp(16, width).int().tolist()
    corner = torch.rand(2, batch).tolist()
    out = torch.empty(batch, 3, size, size)
    for i, (h, w) in enumerate(zip(heights, widths, strict=True)):
        top, left = round(corner[0][i] * (height - h)), round(corner[1][i] * (width - w))
        crop = pixels[i : i + 1, :, top : top + h, left : left + w]
        out[i] = F.interpolate(crop, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    mirrored = torch.rand(batch) < 0.5
    out[mirrored] = out[mirrored].flip(-1)
    brightness, contrast, saturation = torch.empty(3, batch, 1, 1, 1).uniform_(0.7, 1.3)
    grey = out.mean(1, keepdim=True)
    out = grey + (out - grey) * saturation
    middle = grey.mean((2, 3), keepdim=True)
    return ((out - middle) * contrast + middle * brightness).clamp(0, 255)
