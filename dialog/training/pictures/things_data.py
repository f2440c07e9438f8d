"""What photographs of training are known to show and known not to show, by the names of things.

A caption names things and what they are kinds of, what is done and what things are like; what no caption names is
taken not to be there. Of Caltech-101's photographs only the class is known, so nothing is said of other things than
classes; of DAQUAR's rooms what answers name, and that what is outdoors is not there.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dialog.corpora.pictures import held_out, read_table
from dialog.evaluation.pictures.presence import NOT_IN_ROOMS, Key
from dialog.pictures.names import canonical, coco_names, imagenet_names, kinds_of
from dialog.pictures.vocabulary import NOUNS
from dialog.training.pictures.eyes_data import words

NAMED_BY = (0.0, 0.4, 0.85)
"""How surely a thing counts as there that so many captions name; more are certain."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One photograph: how surely each thing named is there, and which others are known not to be; None: all others."""

    key: Key
    there: dict[str, float]
    absent: frozenset[str] | None


def shown(data: Path) -> Iterator[Shown]:
    """Flickr8k's train and extra; of Caltech-101's and DAQUAR's train all but what is held out."""
    yield from _captioned(data)
    yield from _classed(data)
    yield from _rooms(data)


def targets(photographs: Sequence[Shown], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """How surely each photograph shows each of the names, and which of that is known: (P, N) and (P, N) of bool."""
    place = {name: i for i, name in enumerate(names)}
    there, known = torch.zeros(len(photographs), len(names)), torch.zeros(len(photographs), len(names)).bool()
    for row, mask, photograph in zip(there, known, photographs, strict=True):
        for name, surely in photograph.there.items():
            if name in place:
                row[place[name]], mask[place[name]] = surely, True
        if photograph.absent is None:
            mask[:] = True
        else:
            mask[[place[name] for name in photograph.absent if name in place]] = True
    return there, known


def common_names(photographs: Sequence[Shown], at_least: int) -> list[str]:
    """The things that at least so many photographs show, in alphabetical order."""
    count = Counter(name for one in photographs for name, surely in one.there.items() if surely > 0.5)
    return sorted(name for name, n in count.items() if n >= at_least)


def _things() -> frozenset[str]:
    """Every name of a thing that there is one for."""
    own = {canonical(noun) for noun in (*NOUNS, *coco_names())}
    return frozenset(own | {name for some in imagenet_names() for name in some})


def _captioned(data: Path) -> Iterator[Shown]:
    for row in read_table(data, "flickr8k", "captions"):
        if row["split"] in ("train", "extra"):
            count = Counter[str]()
            for caption in row["captions"]:
                count.update({kind for word in words(caption) for kind in kinds_of(canonical(word))})
            there = {name: NAMED_BY[n] if n < len(NAMED_BY) else 1.0 for name, n in count.items()}
            yield Shown(("flickr8k", row["image"]), there, None)


def _classed(data: Path) -> Iterator[Shown]:
    rows = [row for row in read_table(data, "caltech101", "labels") if row["split"] == "train"]
    classes = {label: canonical(label.replace("_", " ").lower()) for label in {row["label"] for row in rows}}
    every = {kind for name in classes.values() for kind in kinds_of(name)}
    for row in rows:
        if not held_out(row["image"]):
            own = classes[row["label"]]
            absent = {name for name in every if name not in kinds_of(own) and own not in kinds_of(name)}
            yield Shown(("caltech101", row["image"]), dict.fromkeys(kinds_of(own), 1.0), frozenset(absent))


def _rooms(data: Path) -> Iterator[Shown]:
    things = _things() - {"picture"}
    for row in read_table(data, "daquar", "rounds"):
        if row["split"] == "train" and not held_out(row["image"]):
            said = {canonical(a.strip().replace("_", " ")) for r in row["rounds"] for a in r["a"].lower().split(",")}
            there = {kind for name in said & things for kind in kinds_of(name)} - {"picture"}
            if there:
                absent = frozenset(NOT_IN_ROOMS.split()) - there
                yield Shown(("daquar", row["image"]), dict.fromkeys(there, 1.0), absent)
