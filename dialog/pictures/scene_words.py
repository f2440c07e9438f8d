"""The words of sayings about scenes, each by one name, however it is spelt."""

import re
from difflib import get_close_matches

from dialog.pictures.colours import COLOURS

COLOUR_WORDS = {colour: colour for colour in COLOURS} | {"grey": "gray"}
SIZE_WORDS = {"small": "small", "little": "small", "tiny": "small", "medium": "medium", "big": "big", "large": "big"}
EXTREMES = {
    "biggest": "big", "largest": "big", "smallest": "small", "tiniest": "small", "leftmost": "left",
    "rightmost": "right", "highest": "top", "topmost": "top", "lowest": "base",
}  # fmt: skip
LOOSE = frozenset({"bar", "ball", "disc", "dot"})
"""Names for shapes that other things have too: that there is no bar says little where nobody drew one as we think."""
SHAPE_WORDS = {
    "circle": "circle", "disc": "circle", "dot": "circle", "ball": "circle", "square": "square",
    "triangle": "triangle", "rectangle": "rectangle", "bar": "bar",
}  # fmt: skip
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: n for n, word in enumerate(_COUNTED)} | {str(n): n for n in range(65)} | {"single": 1}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_NAMES = {
    "item": "object thing shape element figure anything something",
    "block": "brick cube",
    "box": "boxes container card panel",
    "tower": "stack",
    "edge": "wall side border",
    "base": "bottom ground",
    "colour": "color colored coloured",
    "touching": "touch touches touched",
    "contain": "contains include includes",
    "having": "containing including",
    "has": "ha",
    "closely": "close",
    "which": "that where who",
    "picture": "image drawing scene",
    "does": "do",
    "is": "are",
}
_ALIASES = {form: name for name, forms in _NAMES.items() for form in forms.split()}
_OTHER = """
a an the there with have of than one and not only exactly at least most more fewer less all each every both no none any
some multiple several as in on over above below under beneath between right left directly nearly almost attached near
next to from corner top height middle together stacked same different it its what how many number you see being can
other
"""
KNOWN = tuple(sorted({*_OTHER.split(), *_NAMES, *_ALIASES, *COLOUR_WORDS, *SIZE_WORDS, *EXTREMES, *SHAPE_WORDS,
                      *NUMBERS, *ORDINALS}))  # fmt: skip
_KNOWN = frozenset(KNOWN)
_CUT = {"ll": "all", "ne": "one", "wo": "two", "tleast": "atleast", "t": "at", "he": "the"}
"""First words that have lost their first letter, as some of NLVR's have."""
_CLOSE = 0.78
"""How alike, by difflib's measure, an unknown word must be to a known one to be a slip for it."""
_SAID_OF_ALL = (("in", "the", "picture"), ("in", "this", "picture"), ("in", "picture"), ("can", "you", "see"),
                ("does", "you", "see"))  # fmt: skip


def words_of(text: str) -> list[str]:
    """The words of a saying, plurals and other names for a thing as one, slips of the pen undone."""
    words = re.findall(r"[a-z0-9]+|,", text.lower().replace("-", " "))
    if words:
        words[0] = _CUT.get(words[0], words[0])
    found = [name for word in words for name in _known(word)]
    for phrase in _SAID_OF_ALL:
        for start in range(len(found) - len(phrase), -1, -1):
            if tuple(found[start : start + len(phrase)]) == phrase:
                del found[start : start + len(phrase)]
    return found


def _known(word: str) -> list[str]:
    for name in (word, word.removesuffix("s")):
        if name in _KNOWN or name == ",":
            return [_ALIASES.get(name, name)]
    for first in ("at", "a"):  # atleast, ablue
        if word.startswith(first) and word[len(first) :] in _KNOWN:
            return [first, *_known(word[len(first) :])]
    for name in (word, word.removesuffix("s")):
        if len(name) > 3 and (close := get_close_matches(name, KNOWN, 1, _CLOSE)):
            return [_ALIASES.get(close[0], close[0])]
    return [word]
