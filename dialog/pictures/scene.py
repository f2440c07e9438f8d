"""A drawing of several things as a scene: items of a colour, a shape and a size, in groups, each touching what it does.

What lies in a box, a card or on the page is a group. A group of blocks that stand on each other is a tower.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scipy import ndimage

from dialog.pictures.drawing import NEAR, Drawing, Part
from dialog.pictures.parts import KINDS, colour_of, kind_of

SHAPES = dict(zip(KINDS, ("rectangle", "circle", "triangle", "shape"), strict=True))
SQUARE = (0.85, 1.18)
"""The width of a square by its height."""
ALIKE = 0.05
"""By how much of its side a box may differ from another and be one like it."""
SMALL, BIG = 0.55, 0.85
"""Sides by the largest item's: up to the one an item is small, from the other on it is big."""
OUTLINE = (3, 0.12)
"""How wide the line around a thing may be: pixels, or of its side."""
SAME = 0.05
"""By how much a channel of one colour may differ."""
GONE = -1
TOUCHING = 1
"""Pixels from the rim at most."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a scene, with its corners in pixels."""

    colour: str
    shape: str
    """square, rectangle, circle, triangle; shape where it is none of them."""
    size: str
    """small, medium or big, beside the largest of the scene."""
    box: tuple[int, int, int, int]
    touches: frozenset[str]
    """Of left, top, right, bottom: the sides of its group that it touches."""
    group: int

    @property
    def corner(self) -> bool:
        """Whether it lies in a corner."""
        return bool(self.touches & {"left", "right"}) and bool(self.touches & {"top", "bottom"})

    def over(self, other: "Item") -> bool:
        """Whether it lies higher, in the same group, and wholly above."""
        return self.group == other.group and self.box[3] <= other.box[1] + NEAR

    def beside(self, other: "Item") -> bool:
        """Whether it touches another item."""
        a, b = self.box, other.box
        gap = max(max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3]))
        return self.group == other.group and self is not other and gap <= NEAR

    def on(self, other: "Item") -> bool:
        """Whether it stands on another item."""
        shared = min(self.box[2], other.box[2]) - max(self.box[0], other.box[0])
        return self.over(other) and self.beside(other) and shared > 0


@dataclass(frozen=True, slots=True)
class Group:
    """What lies together, the lowest first."""

    items: tuple[Item, ...]

    @property
    def tower(self) -> bool:
        """Whether its items stand on each other, or there is but one block."""
        blocks = all(i.shape in ("square", "rectangle") for i in self.items)
        return bool(self.items) and blocks and all(b.on(a) for a, b in pairwise(self.items))


@dataclass(frozen=True, slots=True)
class Scene:
    """The groups of a drawing, from the left, and its size in pixels."""

    size: tuple[int, int]
    groups: tuple[Group, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(item for group in self.groups for item in group.items)

    def to_list(self) -> list[Any]:
        """For a state that travels; `of_list` reads it."""
        told = [[i.colour, i.shape, i.size, i.box, sorted(i.touches), i.group] for i in self.items]
        return [self.size, len(self.groups), told]

    @classmethod
    def of_list(cls, stored: Sequence[Any]) -> "Scene":
        """The scene that `to_list` wrote. TypeError or ValueError for anything else."""
        (width, height), n, told = stored
        held: list[list[Item]] = [[] for _ in range(int(n))]
        for colour, shape, size, (x0, y0, x1, y1), touches, group in told:
            box = int(x0), int(y0), int(x1), int(y1)
            held[int(group)].append(Item(str(colour), str(shape), str(size), box, frozenset(touches), int(group)))
        return cls((int(width), int(height)), tuple(Group(tuple(items)) for items in held))

    def around(self, item: Item) -> Group:
        """The group an item lies in."""
        return self.groups[item.group]


def read_scene(drawing: Drawing) -> Scene:
    """The scene of a drawing; without a group where nothing in it lies in anything."""
    parts = _solid(drawing.parts)
    holders = {p.within for p in parts}
    inner = [i for i, p in enumerate(parts) if p.within is not None and i not in holders and p.within >= 0]
    boxes = {parts[i].within for i in inner}
    empty = [i for i in range(len(parts)) if i not in holders and any(_like(parts[i], parts[b or 0]) for b in boxes)]
    items = [i for i in inner if i not in empty]
    largest = max((_side(parts[i]) for i in items), default=1.0)
    groups = list[Group]()
    for place in sorted({*(parts[i].within or 0 for i in items), *empty}, key=lambda i: parts[i].box[:2]):
        held = sorted((p for p in (parts[i] for i in items) if p.within == place), key=lambda p: (-p.box[3], p.box[0]))
        groups.append(Group(tuple(_item(p, parts[place], len(groups), largest) for p in held)))
    return Scene(drawing.size, tuple(groups))


def _solid(parts: Sequence[Part]) -> list[Part]:
    """The parts with their holes filled: what shows through a thing is no thing, and an outline goes with what it is
    filled with. What is gone lies in GONE."""
    found = list(parts)
    holders = {p.within for p in parts}
    for i, part in enumerate(parts):
        if i in holders or part.within is None:
            continue
        around = parts[part.within]
        ground = None if around.within is None else parts[around.within]
        filled = around._replace(mask=ndimage.binary_fill_holes(around.mask))
        if ground is not None and _most(part.colour, ground.colour) <= SAME:
            found[i], found[part.within] = part._replace(within=GONE), filled
        elif _outlines(around, part) and sum(p.within == part.within for p in parts) == 1:
            found[i], found[part.within] = part._replace(within=GONE), filled._replace(colour=part.colour)
    return found


def _outlines(outer: Part, inner: Part) -> bool:
    """Whether a part is but a line around another."""
    gaps = [abs(a - b) for a, b in zip(outer.box, inner.box, strict=True)]
    return max(gaps) <= max(OUTLINE[0], OUTLINE[1] * min(outer.width, outer.height)) and outer.within is not None


def _most(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _item(part: Part, holder: Part, group: int, largest: float) -> Item:
    shape, size = SHAPES[kind_of(part)], _side(part) / largest
    if shape == "rectangle" and SQUARE[0] <= part.width / part.height <= SQUARE[1]:
        shape = "square"
    name = "small" if size <= SMALL else "big" if size >= BIG else "medium"
    return Item(colour_of(part), shape, name, part.box, frozenset(_touched(part, holder)), group)


def _touched(part: Part, holder: Part) -> Iterator[str]:
    inner, outer = part.box, holder.box
    for i, side in enumerate(("left", "top", "right", "bottom")):
        if abs(inner[i] - outer[i]) <= TOUCHING:
            yield side


def _side(part: Part) -> float:
    return math.sqrt(part.width * part.height)


def _like(one: Part, other: Part) -> bool:
    """Whether two parts are boxes of one kind: of one colour and size."""
    close = (
        abs(one.width - other.width) <= ALIKE * other.width and abs(one.height - other.height) <= ALIKE * other.height
    )
    return close and colour_of(one) == colour_of(other)
