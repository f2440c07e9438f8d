"""What is meant by what is said of a scene: so many things of a kind, and the tests they pass."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dialog.pictures.drawing import NEAR
from dialog.pictures.scene import Group, Item, Scene

Thing = Item | Group
Test = Callable[[Scene, Thing], bool]
Truth = Callable[[Scene], bool]
MANY = 1_000
N_COLOURS = 3
"""Of NLVR's scenes: "all colours" are so many."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """How many of some things: from `low` to `high`, or every one of them."""

    low: int = 1
    high: int = MANY
    every: bool = False
    definite: bool = False
    """Whether it was said of the ones there are: the black one."""
    only: bool = False
    """Whether it was said that there is nothing else."""
    number: int | None = None
    """The number as said, where one was."""

    def holds(self, n: int, of: int) -> bool:
        """Whether `n` things of so many are as many as said."""
        return 0 < n == of if self.every else self.low <= n <= self.high


@dataclass(frozen=True, slots=True)
class Things:
    """So many things, of a kind, that pass some tests."""

    quantity: Quantity
    kind: str
    """item, group or colour; where it is colour, the colours of items are counted."""
    tests: tuple[Test, ...] = ()
    colours: tuple[str, ...] = ()
    """Those that were said, where one was."""
    palette: Quantity | None = None
    """Of how many colours they are together, where that was said."""
    alike: Callable[[Group], object] | None = None
    """What groups have in common, where that was said: as many have one thing in common as is said."""
    everywhere: bool = False
    """Whether there are so many in each group."""

    def among(self, scene: Scene, group: Group | None = None) -> list[Thing]:
        """Those there are, in one group or at all."""
        of: Sequence[Thing] = scene.groups if self.kind == "group" else scene.items if group is None else group.items
        return [one for one in of if all(test(scene, one) for test in self.tests)]

    def true(self, scene: Scene, group: Group | None = None) -> bool:
        """Whether there are as many as said, in one group or at all."""
        if self.everywhere and group is None:
            return all(self.true(scene, g) for g in scene.groups)
        found, of = self.among(scene, group), len(scene.items if group is None else group.items)
        if self.kind == "colour":
            return self.quantity.holds(len(colours_of(found)), N_COLOURS)
        if self.alike is not None:
            kinds = [self.alike(g) for g in found if isinstance(g, Group)]
            return any(self.quantity.holds(kinds.count(kind), len(kinds)) for kind in set(kinds))
        if self.palette is not None and not self.palette.holds(len(colours_of(found)), N_COLOURS):
            return False
        return self.quantity.holds(len(found), of)


def said(things: Things, relation: Test) -> Truth:
    """Whether as many of some things as are meant pass what is said of them."""
    said = replace(things, tests=(*things.tests, relation))
    if things.kind == "colour":
        return said.true
    meant = replace(things.quantity, every=things.quantity.every or things.quantity.definite)
    return lambda scene: meant.holds(len(said.among(scene)), len(things.among(scene)))


def colours_of(things: Iterable[Thing]) -> set[str]:
    """The colours of some items."""
    return {one.colour for one in things if isinstance(one, Item)}


def of_item(test: Callable[[Scene, Item], bool]) -> Test:
    """A test that only items pass."""
    return lambda scene, one: isinstance(one, Item) and test(scene, one)


def of_group(test: Callable[[Scene, Group], bool]) -> Test:
    """A test that only groups pass."""
    return lambda scene, one: isinstance(one, Group) and test(scene, one)


def no(test: Test) -> Test:
    """What a test does not let pass."""
    return lambda scene, one: not test(scene, one)


def every(tests: Sequence[Test]) -> Test:
    """All tests at once."""
    return lambda scene, one: all(test(scene, one) for test in tests)


def coloured(colours: Sequence[str]) -> Test:
    """Of one of some colours."""
    return of_item(lambda scene, one: one.colour in colours)


def sized(size: str) -> Test:
    """small, medium or big."""
    return of_item(lambda scene, one: one.size == size)


def extreme(things: Things, how: str) -> Test:
    """The biggest, smallest, leftmost, rightmost, highest (`top`) or lowest (`base`) of some things; all that are
    nearly so."""

    def measure(one: Item) -> float:
        x0, y0, x1, y1 = one.box
        side = math.sqrt((x1 - x0) * (y1 - y0))
        of = {"big": side, "small": -side, "left": -x0, "right": x1, "top": -y0, "base": y1}
        return float(of[how])

    def test(scene: Scene, one: Item) -> bool:
        among = [measure(other) for other in things.among(scene) if isinstance(other, Item)]
        return measure(one) >= max(among, default=0.0) - NEAR

    return of_item(test)


def shaped(shape: str) -> Test:
    """Of a shape; a square is a rectangle too, and a bar one that is no square."""
    also = {"rectangle": "square", "bar": "rectangle"}.get(shape)
    return of_item(lambda scene, one: one.shape in (shape, also))


def touching(side: str | None) -> Test:
    """Of a side of its group, or of any."""
    return of_item(lambda scene, one: bool(one.touches) if side is None else side in one.touches)


def nth(n: int, *, from_top: bool = False) -> Test:
    """The n-th of its group, counted from the lowest or from the highest."""
    place = -n if from_top else n - 1
    return of_item(lambda scene, one: len(scene.around(one).items) >= n and scene.around(one).items[place] is one)


def in_the_middle(scene: Scene, one: Thing) -> bool:
    """Neither the lowest nor the highest of its group."""
    return isinstance(one, Item) and any(one is i for i in scene.around(one).items[1:-1])


def inside(groups: Things) -> Test:
    """In one of some groups."""
    return of_item(lambda scene, one: any(scene.around(one) is g for g in groups.among(scene)))


def related(others: Things, how: Callable[[Scene, Item, Item], bool]) -> Test:
    """An item that is so to one of some others."""
    return of_item(lambda scene, one: any(how(scene, one, o) for o in others.among(scene) if isinstance(o, Item)))


def over(scene: Scene, one: Item, other: Item) -> bool:
    """Above another; of a tower's blocks, right on it."""
    return one.on(other) if scene.around(one).tower else one.over(other)


def under(scene: Scene, one: Item, other: Item) -> bool:
    """Below another; of a tower's blocks, right under it."""
    return over(scene, other, one)


def left_of(scene: Scene, one: Item, other: Item) -> bool:
    """Wholly to the left of another, wherever in the drawing."""
    return one.box[2] <= other.box[0] + NEAR


def right_of(scene: Scene, one: Item, other: Item) -> bool:
    """Wholly to the right of another."""
    return left_of(scene, other, one)


def holding(things: Things) -> Test:
    """A group that holds so many things; and nothing else, where only such things were said to be there."""

    def test(scene: Scene, one: Group) -> bool:
        if things.quantity.only and things.quantity.number is None:
            several = len(things.colours) > 1 and colours_of(one.items) != set(things.colours)
            return 0 < len(things.among(scene, one)) == len(one.items) and not several
        return things.true(scene, one)

    return of_group(test)


def all_so(bare: Things, things: Things) -> Test:
    """A group that holds so many items in all, and each passes what follows: exactly two objects that are black."""

    def test(scene: Scene, one: Group) -> bool:
        n = len(bare.among(scene, one))
        return bare.quantity.holds(n, n) and len(things.among(scene, one)) == n

    return of_group(test)


def stacked(things: Things) -> Test:
    """A group in which two such things stand on each other."""
    return of_group(
        lambda scene, one: any(
            b.on(a) for a, b in pairwise(things.among(scene, one)) if isinstance(a, Item) and isinstance(b, Item)
        )
    )


def of_colours(quantity: Quantity) -> Test:
    """A group of so many colours."""
    return of_group(lambda scene, one: quantity.holds(len(colours_of(one.items)), N_COLOURS))


def all_of(colours: Sequence[str]) -> Test:
    """A group of these colours and no other."""
    return of_group(lambda scene, one: colours_of(one.items) == set(colours))


def tall(n: int) -> Test:
    """A group of so many items."""
    return of_group(lambda scene, one: len(one.items) == n)
