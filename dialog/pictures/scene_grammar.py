"""What people say of a scene, read by a small grammar into what can be counted out on the scene itself.

    saying   = ["there is"] things {"and" things} [verb relation] {"and" saying}
    things   = quantity {size | colour | ordinal | number "block"} head {relation}
    relation = ["not"] ("touching" side | place | "above" things | "of" colours | "with" contents | ...)

A saying that does not fit whole is not read: understood by half, it would be answered surely and wrongly. Written after
the sentences of NLVR's dev part (Suhr, Lewis, Yeh and Artzi 2017) that are not held out.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dialog.pictures import scene_meanings as means
from dialog.pictures.scene import Group
from dialog.pictures.scene_cursor import ARTICLES, Cursor
from dialog.pictures.scene_meanings import Quantity, Test, Things, Truth
from dialog.pictures.scene_words import COLOUR_WORDS, EXTREMES, ORDINALS, SHAPE_WORDS, SIZE_WORDS

_FINITE = ("has", "have", "contain")
_HAVE = ("with", "having", *_FINITE)
_ENDS = {"base": False, "top": True}
_OVER, _UNDER = ("above", "over", "on"), ("below", "under", "beneath")
_NEARLY = ("closely", "nearly", "almost", "right", "directly", "being")


def read_saying(text: str) -> Truth:
    """What makes a statement, or a question for yes or no, true of a scene. NotRead where it is not understood."""
    return _Reader(text).saying()


def read_things(text: str) -> tuple[str, Things]:
    """What a question is for, "number", "colour" or "shape", and of which things. NotRead where it is another."""
    return _Reader(text).question()


class _Reader(Cursor):
    """A recursive descent over the words of a saying."""

    # Whole sayings.

    def saying(self) -> Truth:
        said = [self._clause()]
        while not self.ended():
            if not (self.accept("and") or self.accept(",")):
                raise self.fail()
            said.append(self._clause())
        return lambda scene: all(true(scene) for true in said)

    def question(self) -> tuple[str, Things]:
        if self.accept("how", "many") or self.accept("what", "is", "the", "number", "of"):
            asked = "number"
        elif self.accept("what", "colour") or self.accept("what", "is", "the", "colour", "of"):
            asked = "colour"
        elif any(self.accept(word, "item") or self.accept(word, "is") for word in ("what", "which")):
            asked = "shape"  # "shape" is one of the item's names
        else:
            raise self.fail()
        self.accept("of" if asked == "number" else "is")
        things = self._things()
        if self.accept("is") and not self.accept("there") and not self.ended():
            things = self._further(things, said=True)
        if not self.ended():
            raise self.fail()
        return asked, things

    def _clause(self) -> Truth:
        there = self.accept("there", "is") or self.accept("is", "there") or self.accept("there")
        if not there:
            self.one_of(("is", "does"))
        subjects = [self._things(finite=there)]
        while (more := self.maybe(self._more)) is not None:
            subjects.append(more)
        if there or self.ended() or self.next_is("and"):
            return lambda scene: all(things.true(scene) for things in subjects)
        self.accept("is")
        relation = self._relation(subjects[0].kind, said=True)
        return lambda scene: all(means.said(things, relation)(scene) for things in subjects)

    def _more(self) -> Things:
        if self.accept("and"):
            return self._things()
        raise self.fail()

    # Things.

    def _things(self, *, finite: bool = True) -> Things:
        """So many things. `finite`: whether "has" may follow their name as "with" does."""
        return self._after(self._named(self.quantity()), finite=finite)

    def _named(self, quantity: Quantity) -> Things:
        """What stands before a head, and the head."""
        tests = list[Test]()
        if self.is_height():
            tests.append(means.tall(self.number()))
            self.accept("block")
        most = self.one_of(EXTREMES)
        while (size := self.one_of(SIZE_WORDS)) is not None:
            tests.append(means.sized(SIZE_WORDS[size]))
        nth = self.one_of(ORDINALS)
        self.accept("different")
        colours = self.colours()
        if colours == ("gray",) and (self.next_is("square") or self.next_is("circle")):
            self.at += 1  # as some call NLVR's boxes
            return Things(quantity, "group")
        kind, test = self._head(bare=not (tests or colours or most or quantity.number is not None))
        if kind == "group":
            tests += [means.all_of(colours)] if colours and colours != ("gray",) else []
        elif colours:
            tests.append(means.coloured(colours))
        if nth is not None:
            tests.append(means.nth(ORDINALS[nth], from_top=self._from_top()))
        if most is None:
            return Things(quantity, kind, (*tests, *test), colours)
        meant = means.extreme(Things(quantity, kind, (*tests, *test)), EXTREMES[most])
        return Things(quantity, kind, (*tests, *test, meant), colours)

    def _head(self, *, bare: bool) -> tuple[str, list[Test]]:
        """item, group or colour, and what its name says; `bare`: nothing was said before it, so there must be one."""
        if self.one_of(("item", "block")):
            return "item", []
        if self.one_of(("box", "tower")):
            return "group", []
        if self.one_of(("colour",)):
            return "colour", []
        if (shape := self.one_of(SHAPE_WORDS)) is not None:
            self.one_of(("item", "block"))
            return "item", [means.shaped(SHAPE_WORDS[shape])]
        if (end := self.one_of(_ENDS)) is not None:
            return "item", [means.nth(1, from_top=_ENDS[end])]
        if bare:
            raise self.fail()
        self.accept("one")
        return "item", []

    def _after(self, things: Things, *, finite: bool = True) -> Things:
        """The relations that follow a head."""
        while not self.ended():
            before = self.at
            self.accept(",")
            which = self.one_of(("which", "than")) is not None
            if self.next_is("is") and not which:
                break
            if not (finite or which) and self.at < len(self.words) and self.words[self.at] in _FINITE:
                break
            said = (which and self.accept("is")) or self._last_is_colour()
            further = self.maybe(partial(self._further, things, said=said, where=which))
            if further is None:
                self.at = before
                break
            things = further
        return things

    def _last_is_colour(self) -> bool:
        """anything yellow"""
        return self.at == len(self.words) - 1 and self.words[self.at] in COLOUR_WORDS

    def _further(self, things: Things, *, said: bool = False, where: bool = False) -> Things:
        """One more relation of some things; `where`: after a word that a clause of its own may follow."""
        if things.kind == "group":
            alike = self.maybe(self._alike)
            if alike is not None:
                return replace(things, alike=alike)
            if where and (clause := self.maybe(self._clause_of_group)) is not None:
                return replace(things, tests=(*things.tests, clause))
        elif self.accept("in", "each", "box") or self.accept("in", "every", "box") or self.accept("in", "all", "box"):
            return replace(things, everywhere=True)
        elif self.accept("at", "most") and things.quantity.number is not None:
            return replace(things, quantity=Quantity(0, things.quantity.number, number=things.quantity.number))
        elif (quantity := self.maybe(self._of_many_colours)) is not None:
            return replace(things, palette=quantity)
        elif (colours := self.maybe(self._of_only_colours)) is not None:
            only = replace(things.quantity, only=True) if things.quantity.number is None else things.quantity
            tests = (*things.tests, means.coloured(colours))
            return replace(things, quantity=only, colours=colours, tests=tests)
        return replace(things, tests=(*things.tests, self._relation(things.kind, said=said)))

    def _of_many_colours(self) -> Quantity:
        """of the same colour, of all three different colours"""
        if not self.accept("of"):
            raise self.fail()
        self.one_of(ARTICLES)
        if self.accept("same", "colour"):
            return Quantity(1, 1)
        quantity = self.quantity()
        self.accept("different")
        if not self.accept("colour"):
            raise self.fail()
        return quantity if quantity.number or quantity.every else Quantity(2)

    def _of_only_colours(self) -> tuple[str, ...]:
        """of only black and blue colour"""
        if not self.accept("of"):
            raise self.fail()
        self.accept("only")
        colours = self.colours()
        if not (colours and self.accept("colour")):
            raise self.fail()
        return colours

    def _alike(self) -> Callable[[Group], object]:
        """with the same height, that have the same colour of base"""
        self.one_of(_HAVE)
        self.accept("the")
        if not self.accept("same"):
            raise self.fail()
        if self.accept("height") or self.accept("number", "of", "block") or self.accept("number", "of", "item"):
            return lambda group: len(group.items)
        if (end := self.one_of(_ENDS)) is None:
            raise self.fail()
        self.accept("colour")
        return lambda group: group.items[-1 if _ENDS[end] else 0].colour if group.items else group

    def _clause_of_group(self) -> Test:
        """where the second block is black"""
        things = self._things(finite=False)
        self.accept("is")
        further = self._further(things, said=True)
        if things.quantity.every or things.quantity.definite:
            return means.all_so(replace(things, quantity=Quantity()), further)
        return means.holding(further)

    # Relations, each to a test of one thing.

    def _relation(self, kind: str, *, said: bool = False) -> Test:
        """`said`: whether "is" stands before it, so that a colour, a size or a shape may be it."""
        if self.accept("not"):
            return means.no(self._relation(kind, said=said))
        if kind == "group":
            return self._of_group(said=said)
        return self.maybe(self._described) or self._of_item() if said else self._of_item()

    def _of_item(self) -> Test:
        if (side := self.maybe(self._beside)) is not None:
            return means.related(self._things(), means.left_of if side == "left" else means.right_of)
        self.one_of(_NEARLY)
        if self.one_of(("touching", "attached", "near", "next")):
            return self._touched()
        if self.accept("on", "top") or self.accept("on", "the", "top"):
            if self.accept("of"):
                return means.related(self._things(), means.over)
            return means.nth(1, from_top=True)
        if (word := self.one_of((*_OVER, *_UNDER))) is not None:
            return means.related(self._things(), means.over if word in _OVER else means.under)
        if self.one_of(("at", "as", "in")):
            return self._placed()
        if self.accept("between"):
            others = self._things()
            return means.every([means.related(others, means.over), means.related(others, means.under)])
        if self.one_of(("with", "having")):
            return self._carrying()
        if self.accept("of"):
            return self._of_what()
        raise self.fail()

    def _described(self) -> Test:
        """blue; a circle; the biggest"""
        self.one_of(("a", "an", "the"))
        if (most := self.one_of(EXTREMES)) is not None:
            self.one_of(("item",))
            return means.extreme(Things(Quantity(), "item"), EXTREMES[most])
        if colours := self.colours():
            self.one_of(("colour",))
            return means.coloured(colours)
        if (size := self.one_of(SIZE_WORDS)) is not None:
            return means.sized(SIZE_WORDS[size])
        if (shape := self.one_of(SHAPE_WORDS)) is not None:
            return means.shaped(SHAPE_WORDS[shape])
        raise self.fail()

    def _beside(self) -> str:
        """to the left of, right of"""
        self.accept("to")
        self.accept("the")
        side = self.one_of(("left", "right"))
        if side is None or not self.accept("of"):
            raise self.fail()
        return side

    def _touched(self) -> Test:
        """the wall, any edge, the right wall of a box, a corner; another item"""
        self.accept("to")
        self.one_of(ARTICLES)
        if self.next_is("box", "corner") or self.next_is("box", "edge"):
            self.at += 1
        side = self.one_of(("left", "right", "top", "base"))
        if self.accept("corner"):
            test = means.of_item(lambda scene, one: one.corner)
        elif self.accept("edge") or side is not None:
            test = means.touching("bottom" if side == "base" else side)
        else:
            return means.related(self._things(), lambda scene, one, other: one.beside(other))
        if self.accept("of"):
            self.one_of((*ARTICLES, "each"))
            if not self.accept("box"):
                raise self.fail()
        return test

    def _placed(self) -> Test:
        """at the base, as the top of a tower with three blocks, in the middle, in a box"""
        self.one_of(("the", "a"))
        if self.accept("middle"):
            return means.in_the_middle
        if (word := self.one_of(ORDINALS)) is not None:
            self.one_of(("block", "item"))
            return means.nth(ORDINALS[word], from_top=self._from_top())
        if (end := self.one_of(_ENDS)) is not None:
            test = means.nth(1, from_top=_ENDS[end])
            return means.every([test, self._of_what()]) if self.accept("of") else test
        if self.next_is("box") or self.next_is("tower"):
            return means.inside(self._after(self._named(Quantity())))
        raise self.fail()

    def _from_top(self) -> bool:
        if not self.accept("from"):
            return False
        self.accept("the")
        end = self.one_of(_ENDS)
        if end is None:
            raise self.fail()
        return _ENDS[end]

    def _carrying(self) -> Test:
        """with a blue square right on top of it"""
        carried = self._named(self.quantity())
        self.one_of(_NEARLY)
        if not (self.accept("on", "top") or self.accept("above") or self.accept("over")):
            raise self.fail()
        self.accept("of")
        self.one_of(("it", "which"))
        return means.related(carried, means.under)

    def _of_what(self) -> Test:
        """of a tower with three blocks, of small size"""
        if (size := self.one_of(SIZE_WORDS)) is not None:
            return means.sized(SIZE_WORDS[size])
        of = self._things(finite=False)
        if of.kind != "group" or ((of.quantity.number or 1) > 1 and not self.words[self.at - 1] == "tower"):
            raise self.fail()
        return means.inside(of)

    def _of_group(self, *, said: bool) -> Test:
        if self.one_of(_HAVE):
            return self._contents()
        if (quantity := self.maybe(self._of_many_colours)) is not None:
            return means.of_colours(quantity)
        if self.accept("of"):
            return self._contents()
        if said and (colours := self.colours()):
            return means.all_of(colours)
        raise self.fail()

    def _contents(self) -> Test:
        """a black item and two squares; only blue items; four items of which one is a circle; it is said of a group"""
        tests = [self._content()]
        while (more := self.maybe(self._more_content)) is not None:
            tests.append(more)
        return means.every(tests)

    def _more_content(self) -> Test:
        comma = self.accept(",")
        if self.accept("of", "which"):
            return self._share()
        if self.accept("one", "of", "which"):
            self.accept("is")
            return means.holding(Things(Quantity(1, 1, number=1), "item", (self._relation("item", said=True),)))
        if not (self.accept("and") or comma):
            raise self.fail()
        if self.one_of(("it", "which")) and not self.one_of(_HAVE):
            raise self.fail()
        return self._content()

    def _share(self) -> Test:
        """three are black"""
        quantity = self.quantity()
        self.accept("is")
        return means.holding(Things(quantity, "item", (self._relation("item", said=True),)))

    def _content(self) -> Test:
        if self.accept("all", "its", "block") or self.accept("all", "block"):
            self.accept("is")
            return means.all_of(self.colours())
        bare = self._named(self.quantity())
        if bare.kind == "colour":
            return means.of_colours(bare.quantity)
        if bare.kind != "item":
            raise self.fail()
        if self.accept("stacked"):
            self.accept("together")
            return means.stacked(bare)
        things = self._after(bare)
        if self.accept("is"):
            things = self._further(things, said=True)
        if bare.quantity.number is not None and not bare.tests and things.tests:
            return means.all_so(bare, things)
        return means.holding(things)
