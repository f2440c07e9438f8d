"""Statements and questions about NLVR's drawings, made from the scenes they were drawn of.

NLVR has no training part, and its dev part is small. What a statement is about - colours, shapes, counts, what touches
a wall, what stands on what - can be read off the scene, so that there is something to learn seeing from. For training
only, never for a reported score: how they are put is ours.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from dialog.corpora.derived.caption_questions import Made

SIDE = 100
"""Of a box, in the scene's own units; an item lies within it."""
COLOURS = {"Yellow": "yellow", "Black": "black", "#0099ff": "blue"}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
TRIES = 12
"""Attempts at a statement that is as true as it is to be."""

Box = list["Item"]
Scene = list[Box]


class Item(NamedTuple):
    colour: str
    shape: str
    touches: bool
    """A wall of its box."""
    low: float
    """Where its lower edge is, downwards."""


def read_scene(boxes: Sequence[Sequence[Mapping[str, Any]]]) -> Scene:
    """The boxes of a scene, the lowest item of each first."""
    return [sorted((_item(o) for o in box), key=lambda i: -i.low) for box in boxes]


def scene_statements(boxes: Sequence[Sequence[Mapping[str, Any]]], rng: random.Random, n: int) -> list[Made]:
    """At most `n` rounds about a scene: two in five true statements, two false ones, each with yes or no; and one a
    count that is asked for."""
    scene = read_scene(boxes)
    towers = all(i.shape == "square" for box in scene for i in box) and all(len(box) <= 4 for box in scene)
    made = dict[str, Made]()
    for i in range(n):
        if i % 5 == 4:
            text, number = _counted(scene, towers, rng)
            made[text] = Made(text, str(number), "scene")
            continue
        wanted = i % 5 % 2 == 0
        form = rng.choice(TOWER_FORMS if towers else BOX_FORMS)
        for _ in range(TRIES):
            text, true = form(scene, rng)
            if true == wanted and text not in made:
                made[text] = Made(text, "yes" if true else "no", "scene")
                break
    return list(made.values())


def _item(o: Mapping[str, Any]) -> Item:
    x, y, size = o["x_loc"], o["y_loc"], o["size"]
    touches = min(x, y) <= 1 or max(x, y) + size >= SIDE - 1
    return Item(COLOURS.get(o["color"], str(o["color"]).lower()), o["type"], touches, y + size)


class Quantity(NamedTuple):
    words: str
    number: int
    holds: Callable[[int], bool]


def _quantity(rng: random.Random, most: int = 4) -> Quantity:
    if rng.random() < 0.4:
        return Quantity("a", 1, lambda n: n > 0)
    if rng.random() < 0.1:
        return Quantity("no", 1, lambda n: n == 0)
    number = rng.randint(1, most)
    word = rng.choice((NUMBERS[number], str(number)))
    kind = rng.choice(("exactly", "exactly", "at least", "at most", "", "only"))
    if kind == "at least":
        return Quantity(f"at least {word}", number, lambda n: n >= number)
    if kind == "at most":
        return Quantity(f"at most {word}", number, lambda n: n <= number)
    return Quantity(f"{kind} {word}".strip(), number, lambda n: n == number)


def _there(quantity: Quantity, thing: str, rest: str = "") -> str:
    """there is exactly one black block ...; there are two black blocks ..."""
    verb, plural = ("is", "") if quantity.number == 1 else ("are", "es" if thing.endswith("x") else "s")
    return " ".join(f"there {verb} {quantity.words} {thing}{plural} {rest}".split())


def _colour(rng: random.Random) -> str:
    return rng.choice(tuple(COLOURS.values()))


def _kind(rng: random.Random) -> tuple[str, Callable[[Item], bool]]:
    """black item, triangle, blue square, and whether an item is one."""
    colour, shape = _colour(rng), rng.choice(SHAPES)
    kind = rng.randrange(4)
    if kind == 0:
        return shape, lambda i: i.shape == shape
    if kind == 1:
        return f"{colour} {shape}", lambda i: (i.colour, i.shape) == (colour, shape)
    return f"{colour} {rng.choice(('item', 'object'))}", lambda i: i.colour == colour


def _counted(scene: Scene, towers: bool, rng: random.Random) -> tuple[str, int]:
    """A question for a number, and the number."""
    colour, end = _colour(rng), rng.choice(("base", "top"))
    if not towers:
        (name, is_one), touching = _kind(rng), rng.random() < 0.3
        found = sum(is_one(i) and (i.touches or not touching) for box in scene for i in box)
        return f"how many {name}s {'touch the wall' if touching else 'are there'} ?", found
    kind = rng.randrange(3)
    if kind == 0:
        return f"how many {colour} blocks are there ?", sum(i.colour == colour for box in scene for i in box)
    if kind == 1:
        found = sum(box[0 if end == "base" else -1].colour == colour for box in scene if box)
        return f"how many towers have a {colour} block at the {end} ?", found
    n = rng.randint(1, 4)
    return f"how many towers have {n} block{'s' if n > 1 else ''} ?", sum(len(box) == n for box in scene)


def _items(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    (name, is_one), q = _kind(rng), _quantity(rng)
    return _there(q, name), q.holds(sum(is_one(i) for box in scene for i in box))


def _touching(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    (name, is_one), q = _kind(rng), _quantity(rng, 3)
    no, where = rng.random() < 0.3, rng.choice(("the wall", "the edge", "the edge of a box"))
    rest = f"not touching {where.replace('the edge', 'any edge')}" if no else f"touching {where}"
    return _there(q, name, rest), q.holds(sum(is_one(i) and i.touches != no for box in scene for i in box))


def _box_of(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    (name, is_one), q = _kind(rng), _quantity(rng)
    plural = "" if q.number == 1 else "s"
    return f"there is a box with {q.words} {name}{plural}", any(q.holds(sum(map(is_one, box))) for box in scene)


def _boxes_with(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    (name, is_one), q = _kind(rng), _quantity(rng, 3)
    return _there(q, rng.choice(("box", "grey box")), f"with a {name}"), q.holds(
        sum(any(map(is_one, b)) for b in scene)
    )


def _every_box(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    name, is_one = _kind(rng)
    text = rng.choice(
        ("each box contains at least one {}", "there is at least one {} in each box", "every box has a {}")
    )
    return text.format(name), all(any(map(is_one, box)) for box in scene)


def _size(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    n = rng.randint(1, 7)
    return f"there is a box with {rng.choice((NUMBERS[n], str(n)))} items", any(len(box) == n for box in scene)


def _palette(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    if rng.random() < 0.5:
        colour = _colour(rng)
        return f"there is a box with only {colour} items", any({i.colour for i in box} == {colour} for box in scene)
    n = rng.randint(1, 3)
    name = f"{n} different colors" if n > 1 else "only one color"
    return f"there is a box with items of {name}", any(len({i.colour for i in box}) == n for box in scene)


def _end(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    colour, q, end = _colour(rng), _quantity(rng, 3), rng.choice(("base", "top"))
    found = sum(box[0 if end == "base" else -1].colour == colour for box in scene if box)
    rest = rng.choice((f"with a {colour} block at the {end}", f"which has a {colour} block as the {end}"))
    return _there(q, "tower", rest), q.holds(found)


def _height(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    q, n = _quantity(rng, 3), rng.randint(1, 4)
    rest = f"with {rng.choice(('', 'exactly '))}{rng.choice((NUMBERS[n], str(n)))} block{'s' if n > 1 else ''}"
    return _there(q, "tower", rest), q.holds(sum(len(box) == n for box in scene))


def _height_and_end(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    n, colour, end = rng.randint(1, 4), _colour(rng), rng.choice(("base", "top"))
    blocks = f"{rng.choice((NUMBERS[n], str(n)))} block{'s' if n > 1 else ''}"
    found = any(len(box) == n and box[0 if end == "base" else -1].colour == colour for box in scene)
    return f"there is a tower with exactly {blocks} with a {colour} block at the {end}", found


def _above(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    one, other, q = _colour(rng), _colour(rng), _quantity(rng, 3)
    rest = f"{rng.choice(('with a', 'which has a'))} {one} block {rng.choice(('over', 'above'))} a {other} block"
    found = sum(any((b.colour, a.colour) == (one, other) for a, b in pairwise(box)) for box in scene)
    return _there(q, "tower", rest), q.holds(found)


def _blocks(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    colour, q = _colour(rng), _quantity(rng, 5)
    return _there(q, f"{colour} block"), q.holds(sum(i.colour == colour for box in scene for i in box))


def _tower_of(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    colour, q = _colour(rng), _quantity(rng, 3)
    blocks = f"{q.words} {colour} block{'' if q.number == 1 else 's'}"
    return f"there is a tower with {blocks}", any(q.holds(sum(i.colour == colour for i in box)) for box in scene)


def _one_colour(scene: Scene, rng: random.Random) -> tuple[str, bool]:
    colour = _colour(rng)
    text = rng.choice(("there is a tower with only {} blocks", "there is a tower with all its blocks {}"))
    return text.format(colour), any({i.colour for i in box} == {colour} for box in scene)


Form = Callable[[Scene, random.Random], tuple[str, bool]]
BOX_FORMS: tuple[Form, ...] = (_items, _items, _touching, _touching, _box_of, _boxes_with, _every_box, _size, _palette)
TOWER_FORMS: tuple[Form, ...] = (_end, _end, _height, _height_and_end, _above, _above, _blocks, _tower_of, _one_colour)
