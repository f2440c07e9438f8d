"""A second way of typing badly, which no corrector here was trained on: thumbs that miss, keys let go too soon.

After the open benchmark of keyboards kebbie: each tap falls around the middle of its key, normally distributed, half a
key's width being three deviations here times a clumsiness; letters are left out, doubled and swapped; spaces and
apostrophes are dropped. The last letter is never left out, which would be an unfinished word.
"""

import random
from collections.abc import Sequence

from dialog.correction.keyboard import PLACES


def mistype(word: str, rng: random.Random) -> str:
    """The word (lower case) with one slip or two in it, never as it was if it has three letters or more."""
    if "'" in word and rng.random() < 0.5:
        return word.replace("'", "")
    for _ in range(20):
        typed = _typed(word, rng)
        if typed != word:
            return typed
    return word[1] + word[0] + word[2:] if len(word) > 2 and word[0] != word[1] else word


def _typed(word: str, rng: random.Random) -> str:
    found = []
    i = 0
    while i < len(word):
        draw = rng.random()
        if draw < 0.05 and i + 1 < len(word):
            found += [word[i + 1], word[i]]
            i += 2
            continue
        if draw < 0.08 * (0.36 if i == 0 else 1.0) + 0.05 and i + 1 < len(word):
            i += 1
            continue
        found.append(_tapped(word[i], rng))
        if draw > 0.97:
            found.append(found[-1])
        i += 1
    return "".join(found)


def _tapped(letter: str, rng: random.Random) -> str:
    if letter not in PLACES:
        return letter
    x, y = PLACES[letter]
    x, y = rng.gauss(x, 0.3), rng.gauss(y, 0.3)
    return min(PLACES, key=lambda c: (PLACES[c][0] - x) ** 2 + (PLACES[c][1] - y) ** 2)


def mistyped(words: Sequence[str], may: Sequence[bool], rate: float, rng: random.Random) -> list[str]:
    """The words, each that `may` be hit with a slip in it at the rate given."""
    return [
        mistype(w, rng) if ok and len(w) > 1 and rng.random() < rate else w for w, ok in zip(words, may, strict=True)
    ]
