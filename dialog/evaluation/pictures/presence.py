"""Things that are in pictures and things that are not: how often a model is right, on photographs it never saw.

A thing is there where two of a picture's captions name it, where COCO's people boxed it, or where it is the picture's
class; it is not where no caption, box or class names it or a kind of it. A silent caption is no proof, so a few of
those may be there after all; COCO's boxes are complete. As many are asked for that are not there as that are.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dialog.corpora import MissingCorpus
from dialog.corpora.derived.caption_statements import caption_statements
from dialog.corpora.derived.visual_examples import VERDICTS
from dialog.corpora.pictures import held_out, read_table
from dialog.pictures.names import COCO, all_kinds, canonical, coco_names, imagenet_names, kinds_of
from dialog.pictures.vocabulary import NOUNS

Key = tuple[str, str]
Thing = tuple[Key, str, bool]
"""A picture, a thing, and whether it is there."""
ASKED = 6
"""Things of a picture that are asked for."""
PARTS = {"train": ("dev",), "test": ("test",)}
NOT_IN_ROOMS = """\
person man woman boy girl baby child dog cat horse cow sheep elephant bird car bus truck boat train airplane bicycle
motorcycle beach ocean snow grass mountain street"""
"""What DAQUAR's photographs, of rooms in which nobody is, do not show."""
_APART = {"bed": ("toilet", "bathtub", "stove"), "toilet": ("bed", "couch", "refrigerator"), "stove": ("bed", "toilet")}
"""What is seldom in the same room."""


def asked_things(data: Path, part: str, *, seed: int = 0) -> dict[str, list[Thing]]:
    """What is asked of a part, by collection. `train` is Flickr8k's dev (the words' logits know its train by heart),
    COCO's train, what is held out of Caltech-101's train and DAQUAR's; `test` the test parts and COCO's val."""
    makers: dict[str, Callable[[random.Random], Iterator[Thing]]] = {
        "flickr8k": lambda rng: _captioned(data, PARTS[part], rng),
        "coco_mini": lambda rng: _boxed(data, "train" if part == "train" else "val", rng),
        "caltech101": lambda rng: _classed(data, part, rng),
    } | ({"daquar": lambda rng: _rooms(data, rng)} if part == "train" else {})
    found = dict[str, list[Thing]]()
    for collection, make in makers.items():
        try:
            found[collection] = list(make(random.Random(seed)))
        except MissingCorpus:  # A folder need not have all of them.
            continue
    return found


def claims(data: Path, part: str) -> Iterator[Thing]:
    """(picture, sentence, whether it is true) of Flickr8k's part; made ones in `train` only."""
    wanted = PARTS[part]
    for row in read_table(data, "flickr8k", "statements"):
        if row["split"] in wanted and row["label"] in VERDICTS:
            yield ("flickr8k", row["image"]), row["statement"], VERDICTS[row["label"]] == "yes"
    if part == "train":
        rows = [row for row in read_table(data, "flickr8k", "captions") if row["split"] in wanted]
        of_all = [row["captions"] for row in rows]
        for row in rows:
            for made in caption_statements(row["image"], row["captions"], of_all)[:4]:
                yield ("flickr8k", row["image"]), made.question, made.answer == "yes"


def balanced_accuracy(things: Sequence[Thing], said: Callable[[Key, str], bool]) -> dict[str, Any]:
    """In per cent: the mean of what is right of those there and of those not there, with both and the count."""
    right = {True: list[bool](), False: list[bool]()}
    for key, noun, there in things:
        right[there].append(said(key, noun) == there)
    if not right[True] or not right[False]:
        return {"n": 0}
    yes, no = (100 * float(np.mean(right[there])) for there in (True, False))
    return {"balanced": (yes + no) / 2, "there": yes, "not_there": no, "n": len(things)}


def _captioned(data: Path, splits: Sequence[str], rng: random.Random) -> Iterator[tuple[Key, str, bool]]:
    rows = [row for row in read_table(data, "flickr8k", "captions") if row["split"] in splits]
    known = {canonical(n) for n in NOUNS}
    named = [Counter(w for c in row["captions"] for w in {canonical(w) for w in _words(c)}) for row in rows]
    often = Counter(n for count in named for n, times in count.items() if times >= 2 and n in known)
    nouns, weights = list(often), list(often.values())
    for row, count in zip(rows, named, strict=True):
        there = [n for n, times in count.items() if times >= 2 and n in known][:ASKED]
        said = {kind for n in count for kind in kinds_of(n)}
        absent = [n for n in rng.choices(nouns, weights, k=6 * ASKED) if n not in said and not kinds_of(n) & set(there)]
        yield from _pairs(("flickr8k", row["image"]), there, absent)


def _boxed(data: Path, split: str, rng: random.Random) -> Iterator[tuple[Key, str, bool]]:
    for row in read_table(data, "coco_mini", "captions_objects"):
        if row["split"] == split:
            there = sorted({canonical(_everyday(o["label"])) for o in row["objects"]})
            said = {kind for n in there for kind in kinds_of(n)}
            every = [canonical(n) for n in coco_names()]
            absent = [n for n in rng.sample(every, len(every)) if n not in said]
            yield from _pairs(("coco_mini", row["image"]), there[: 2 * ASKED], absent)
            if split == "train":
                yield from _kinds(("coco_mini", row["image"]), there, rng)


def _classed(data: Path, part: str, rng: random.Random) -> Iterator[tuple[Key, str, bool]]:
    rows = [r for r in read_table(data, "caltech101", "labels") if r["split"] == part]
    rows = [r for r in rows if part == "test" or held_out(r["image"])]
    labels = sorted({canonical(r["label"].replace("_", " ").lower()) for r in rows})
    for row in rows:
        own = canonical(row["label"].replace("_", " ").lower())
        absent = [
            n for n in rng.sample(labels, min(3, len(labels))) if n not in kinds_of(own) and own not in kinds_of(n)
        ]
        yield from _pairs(("caltech101", row["image"]), [own], absent)
        if part == "train":
            yield from _kinds(("caltech101", row["image"]), [own], rng)


def _rooms(data: Path, rng: random.Random) -> Iterator[tuple[Key, str, bool]]:
    """What questions about rooms are answered by, where it is a thing we have a name for."""
    known = {canonical(n) for n in (*NOUNS, *coco_names())} | {n for some in imagenet_names() for n in some}
    for row in read_table(data, "daquar", "rounds"):
        if row["split"] == "train" and held_out(row["image"]):
            said = {canonical(a.strip().replace("_", " ")) for r in row["rounds"] for a in r["a"].lower().split(",")}
            there = sorted(n for n in said & known if n not in ("person", "picture"))[:ASKED]
            apart = [n for thing in there for n in _APART.get(thing, ()) if n not in said]
            absent = [*apart, "person", *rng.sample(NOT_IN_ROOMS.split(), ASKED)]
            yield from _pairs(("daquar", row["image"]), there, absent)


def _kinds(key: Key, there: Sequence[str], rng: random.Random) -> Iterator[tuple[Key, str, bool]]:
    """An animal, a vehicle, an instrument: of what is there one kind, and one that nothing there is of."""
    said = {kind for n in there for kind in kinds_of(n)}
    kinds = [kind for kind in all_kinds() if kind not in there]
    present, absent = [k for k in kinds if k in said], [k for k in kinds if k not in said]
    if present:
        yield from _pairs(key, [rng.choice(present)], [rng.choice(absent)])


def _pairs(key: Key, there: Sequence[str], absent: Sequence[str]) -> Iterator[tuple[Key, str, bool]]:
    """As many that are not there as are."""
    absent = list(dict.fromkeys(absent))[: len(there)]
    yield from ((key, noun, True) for noun in there)
    yield from ((key, noun, False) for noun in absent)


def _everyday(label: str) -> str:
    return coco_names()[COCO.index(label)] if label in COCO else label


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower()))
