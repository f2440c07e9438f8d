"""A chat's shorthand read aloud: emoji, emoticons and abbreviations in words.

Only what the encoder reads is changed. What somebody wrote is shown, kept and answered as it was written.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from heapq import merge

from models.encoders.abbreviations import abbreviations, may_abbreviate
from models.encoders.faces import faces


def spoken(text: str) -> str:
    """The text as it is read: "crying face" for U+1F622, "crying" for :'( and "for fuck's sake" for ffs."""
    return _spoken(text, _shorthand(text))


def spoken_places(text: str) -> tuple[str, Sequence[tuple[int, int]]]:
    """`spoken(text)`, and for each of its code points the piece (start, end) of `text` it came from."""
    found = list(_shorthand(text))
    places, done = list[tuple[int, int]](), 0
    for start, end, words in found:
        places += [(i, i + 1) for i in range(done, start)] + [(start, end)] * len(words)
        done = end
    places += [(i, i + 1) for i in range(done, len(text) + 1)]  # One more, for a token that stands after the end.
    return _spoken(text, found), places


def _spoken(text: str, found: Iterable[tuple[int, int, str]]) -> str:
    said, done = "", 0
    for start, end, words in found:
        said += text[done:start] + words
        done = end
    return said + text[done:]


def _shorthand(text: str) -> Iterator[tuple[int, int, str]]:
    if not any(map(_may_be_short, text.split())):
        return
    done = 0
    for start, end, words in merge(faces(text), abbreviations(text)):
        if start >= done:
            yield start, end, words
            done = end


@lru_cache(maxsize=1 << 15)
def _may_be_short(word: str) -> bool:
    """Whether a text with this word has to be looked through: few have, and most words are soon known."""
    return len(word) > 40 or may_abbreviate(word) or any(faces(word))
