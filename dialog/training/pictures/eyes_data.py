"""What the picture network's alignment learns from: every photograph's texts, and the words they use.

A photograph's texts are its own captions or, where all that is known is a class or a list of things, a sentence made of
that.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from torch import Tensor

from dialog.corpora.pictures import held_out, read_table
from dialog.pictures.names import singular
from dialog.reading.captions import class_sentence


def described(data: Path, collection: str) -> dict[str, tuple[str, ...]]:
    """By key, the texts of each training picture of a collection: Flickr8k's train and extra, COCO's train, and of
    Caltech-101's and DAQUAR's train all but the tenth that is held out."""
    return _TEXTS[collection](data)


def _flickr(data: Path) -> dict[str, tuple[str, ...]]:
    rows = read_table(data, "flickr8k", "captions")
    return {row["image"]: tuple(row["captions"]) for row in rows if row["split"] in ("train", "extra")}


def _coco(data: Path) -> dict[str, tuple[str, ...]]:
    rows = read_table(data, "coco_mini", "captions_objects")
    return {row["image"]: tuple(row["captions"]) for row in rows if row["split"] == "train"}


def _caltech(data: Path) -> dict[str, tuple[str, ...]]:
    rows = read_table(data, "caltech101", "labels")
    kept = {row["image"]: row["label"] for row in rows if row["split"] == "train" and not held_out(row["image"])}
    return {key: (class_sentence(label),) for key, label in kept.items()}


def _daquar(data: Path) -> dict[str, tuple[str, ...]]:
    texts: dict[str, tuple[str, ...]] = {}
    for row in read_table(data, "daquar", "rounds"):
        things = _things(row["rounds"])
        if row["split"] == "train" and not held_out(row["image"]) and things:
            texts[row["image"]] = (f"a room with {', '.join(things)}",)
    return texts


_TEXTS: dict[str, Callable[[Path], dict[str, tuple[str, ...]]]] = {
    "flickr8k": _flickr,
    "coco_mini": _coco,
    "caltech101": _caltech,
    "daquar": _daquar,
}


def _things(rounds: Sequence[dict[str, Any]]) -> list[str]:
    """The things that answers name, in order, each once; numbers are left out."""
    names = (name.strip().replace("_", " ") for r in rounds for name in str(r["a"]).split(","))
    return list(dict.fromkeys(n for n in names if n and not n.isdigit()))


def words(text: str) -> set[str]:
    """The words of a text that say what is seen, in lower case and in the singular."""
    found = re.findall(r"[a-z]{3,}", text.lower())
    return {singular(w) for w in found if w not in _SILENT}


_COUNTED = {"two", "three", "four", "five", "six", "several", "many", "front", "back", "top", "empty", "fire", "bill"}
_SILENT = frozenset(ENGLISH_STOP_WORDS) - _COUNTED


def word_targets(texts: Sequence[Sequence[str]], at_least: int) -> tuple[list[str], Tensor]:
    """The words in the texts of at least so many pictures, the commonest first, and the share of each picture's texts
    that use them, (pictures, words). A picture without texts has a row of zeros."""
    counts = [Counter(w for text in some for w in words(text)) for some in texts]
    common = Counter(w for count in counts for w in count)
    vocabulary = [w for w, n in sorted(common.items(), key=lambda item: (-item[1], item[0])) if n >= at_least]
    index = {w: i for i, w in enumerate(vocabulary)}
    targets = torch.zeros(len(texts), len(vocabulary))
    for row, (count, some) in enumerate(zip(counts, texts, strict=True)):
        for w, n in count.items():
            if w in index:
                targets[row, index[w]] = n / len(some)
    return vocabulary, targets
