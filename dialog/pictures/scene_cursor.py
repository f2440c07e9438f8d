"""A place in the words of a saying, and the steps that pass some of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dialog.pictures.scene_meanings import MANY, Quantity
from dialog.pictures.scene_words import COLOUR_WORDS, NUMBERS, words_of

ARTICLES = ("a", "an", "the", "any", "some", "its", "other")
_T = TypeVar("_T")


class NotRead(ValueError):
    """A saying that the grammar does not cover."""


class Cursor:
    """What a recursive descent steps with."""

    def __init__(self, text: str) -> None:
        self.words, self.at = tuple(words_of(text)), 0

    def next_is(self, *words: str) -> bool:
        """Whether these words come next."""
        return self.words[self.at : self.at + len(words)] == words

    def accept(self, *words: str) -> bool:
        """Passes these words if they come next."""
        found = self.next_is(*words)
        self.at += len(words) * found
        return found

    def one_of(self, words: Sequence[str] | Mapping[str, object]) -> str | None:
        """The next word, passed, if it is of these."""
        if self.at == len(self.words) or self.words[self.at] not in words:
            return None
        self.at += 1
        return self.words[self.at - 1]

    def ended(self) -> bool:
        """Whether no word is left."""
        return self.at == len(self.words)

    def fail(self) -> NotRead:
        """What to raise where no rule goes on."""
        return NotRead(f"not understood: {' '.join(self.words[self.at :]) or 'the end'}")

    def maybe(self, rule: Callable[[], _T]) -> _T | None:
        """What a rule reads; nothing, and no word passed, where it reads none."""
        before = self.at
        try:
            return rule()
        except NotRead:
            self.at = before
            return None

    def number(self) -> int:
        """The number that comes next."""
        word = self.one_of(NUMBERS)
        if word is None:
            raise self.fail()
        return NUMBERS[word]

    def is_height(self) -> bool:
        """Whether a number of blocks comes that a tower is high."""
        return self.words[self.at + 1 : self.at + 3] == ("block", "tower")

    def colours(self) -> tuple[str, ...]:
        """The colours that come next: black; black and blue."""
        found = list[str]()
        while (colour := self.one_of(COLOUR_WORDS)) is not None:
            found.append(COLOUR_WORDS[colour])
            if not (self.words[self.at + 1 : self.at + 2] and self.words[self.at + 1] in COLOUR_WORDS):
                break
            if not (self.accept("and") or self.accept(",")):
                raise self.fail()
        return tuple(found)

    def quantity(self) -> Quantity:
        """How many are meant of what comes next."""
        definite = self.accept("the")
        only = self.accept("only")
        exactly = self.accept("exactly") or only
        bounds: dict[tuple[str, str], Callable[[int], tuple[int, int]]] = {
            ("at", "least"): lambda n: (n, MANY), ("at", "most"): lambda n: (0, n),
            ("more", "than"): lambda n: (n + 1, MANY),
            ("fewer", "than"): lambda n: (0, n - 1), ("less", "than"): lambda n: (0, n - 1),
        }  # fmt: skip
        for words, bound in bounds.items():
            if self.accept(*words):
                n = 1 if self.one_of(("a", "an")) else self.number()
                low, high = bound(n)
                self.of_so_many(named=False)
                return Quantity(low, high, number=n)
        if self.one_of(("all", "every", "each", "both")):
            self.of_so_many()
            return Quantity(every=True)
        if self.one_of(("no", "none")):
            self.of_so_many()
            return Quantity(0, 0, number=0)
        if self.one_of(("multiple", "several")):
            return Quantity(2)
        if not self.is_height() and (number := self.maybe(self.number)) is not None:
            self.of_so_many(named=False)
            return Quantity(number, number, only=only, number=number)
        article = self.one_of(ARTICLES)
        high = 1 if exactly and article in ("a", "an") else MANY
        return Quantity(1, high, definite=definite or article == "the", only=only)

    def of_so_many(self, *, named: bool = True) -> None:
        """of the three; `named`: also without "of", as in all the three"""
        if self.accept("of") or named:
            self.one_of(ARTICLES)
            if not self.is_height():
                self.one_of(NUMBERS)
