"""Clean messages typed badly, with what was meant by each word: the noise a corrector learns from.

After the recipe of Ghosh and Kristensson (2017): errors with the frequencies that real slips have, put into clean
conversations. Which edits are made is counted on pairs of words people really mistyped; a part of the slips is such a
typo itself; and chats have more than slips of the keys: spaces and apostrophes left out, words that sound alike.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dialog.correction.keyboard import NEIGHBOURS, Slips
from dialog.correction.lexicon import CONFUSED

_DOUBLING = 0.08
_RUN = re.compile(r"(.)\1*")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Typed(NamedTuple):
    """Tokens as typed, and what was meant by each, in lower case: two words where a space was left out."""

    typed: tuple[str, ...]
    meant: tuple[str, ...]


class Noise:
    """Draws slips. `typos` are, by word, what people typed in its place."""

    def __init__(self, slips: Slips, typos: Mapping[str, Sequence[str]]) -> None:
        self.slips, self.typos = slips, typos

    def type(self, words: Sequence[str], may: Sequence[bool], rate: float, rng: random.Random) -> Typed:
        """The words (lower case) as somebody types them who slips in `rate` of those that `may` be hit."""
        typed, meant = [], []
        i = 0
        while i < len(words):
            word = words[i]
            i += 1
            if not may[i - 1] or rng.random() >= rate:
                typed.append(word)
                meant.append(word)
                continue
            if rng.random() < 0.06 and i < len(words) and may[i] and len(word) > 1 and len(words[i]) > 1:
                typed.append(word + words[i])
                meant.append(f"{word} {words[i]}")
                i += 1
                continue
            typed.append(self.slip(word, rng))
            meant.append(word)
        return Typed(tuple(typed), tuple(meant))

    def slip(self, word: str, rng: random.Random) -> str:
        """One word mistyped; now and then as it is, where the slip came to nothing."""
        kind = rng.random()
        if "'" in word and kind < 0.5:
            return word.replace("'", "")
        if word in CONFUSED and kind < 0.25:
            return rng.choice(CONFUSED[word])
        if word in self.typos and kind < 0.35:
            return rng.choice(self.typos[word])
        if len(word) < 2:
            return word
        if len(word) > 5 and rng.random() < _DOUBLING and (other := self._doubling(word, rng)) != word:
            return other
        n = 1 if (draw := rng.random()) < 0.85 else 2 if draw < 0.98 else 3
        for _ in range(n if len(word) > 3 else 1):
            word = self._edit(word, rng)
        return word

    def _doubling(self, word: str, rng: random.Random) -> str:
        """A consonant or two doubled that are single, or single that are doubled: "tommorow", "accomodate"."""
        runs = [m[0] for m in _RUN.finditer(word)]
        inner = [i for i in range(1, len(runs) - 1) if runs[i][0] not in "aeiouhjqvwxy'"]
        double = [i for i in inner if len(runs[i]) == 2]
        for i in {*double[:1], *rng.sample(inner, min(len(inner), rng.choice((0, 1, 1))))} if inner else ():
            runs[i] = runs[i][0] * (1 if len(runs[i]) == 2 else 2)
        return "".join(runs)

    def _edit(self, word: str, rng: random.Random) -> str:
        kind = rng.choices(list(self.slips.kinds), list(self.slips.kinds.values()))[0]
        first, last, _ = self.slips.places[kind]
        draw = rng.random()
        inner = rng.randrange(1, max(2, len(word) - 1))
        i = min(0 if draw < first else len(word) - 1 if draw < first + last else inner, len(word) - 1)
        if kind == "swap" and len(word) > 1:
            i = min(i, len(word) - 2)
            return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        if kind == "delete" and len(word) > 2:
            pairs = [k for k in range(1, len(word)) if word[k] == word[k - 1]]
            if pairs and rng.random() < self.slips.doubled:
                i = rng.choice(pairs)
            return word[:i] + word[i + 1 :]
        if kind == "insert":
            letter = word[i] if rng.random() < self.slips.doubled else self._beside(word[i], rng)
            return word[: i + 1] + letter + word[i + 1 :]
        return word[:i] + self._instead(word[i], rng) + word[i + 1 :]

    def _beside(self, letter: str, rng: random.Random) -> str:
        keys = NEIGHBOURS.get(letter)
        return rng.choice(keys) if keys and rng.random() < 0.7 else rng.choice(_LETTERS)

    def _instead(self, letter: str, rng: random.Random) -> str:
        """Half by the keys beside, half by what people typed: pairs of words are few, and from spelling as much as
        from fingers."""
        table = self.slips.replaced.get(letter)
        if table and rng.random() < 0.5:
            return rng.choices(list(table), list(table.values()))[0]
        return self._beside(letter, rng)
