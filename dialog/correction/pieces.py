"""A message in pieces: words that may be corrected, and all else, which never is.

What carries feeling or means one thing only is protected: numbers, links, addresses, @names, #tags, emoji, words in
capitals ("WHAT"), stretched ones ("sooo", "nooooo"), laughter, names, and words of other scripts.
"""

import re
from typing import Literal, NamedTuple

Kind = Literal["word", "protected", "mark"]

_PIECE = re.compile(
    r"(?P<protected>"
    r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+|[@#][\w-]+|\S*[/\\_]\S*"
    r"|(?:[:;=8xX][-'^]?[)(\]\[DPpOo/\\|*3]+)(?![A-Za-z])|<3+"
    r"|\w*\d[\w.,:%-]*"
    r")|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*['’]?)|(?P<mark>[^\w\s])"
)
_STRETCHED = re.compile(r"([a-z])\1\1", re.IGNORECASE)
_LAUGHTER = re.compile(
    r"a?(?:ha|he|hi|hu|ja|xa|ah|eh){2,}h?a?|lo+l(?:ol)*|lmf?ao+|rofl|xd+"
    r"|hm+|mm+|uh+|um+|ah+|oh+|aw+|ugh+|grr+|shh+|psst",
    re.IGNORECASE,
)
_SENTENCE_END = frozenset(".!?…\n")


class Piece(NamedTuple):
    """One piece, text[start:end] of the message; what stands between pieces is white space."""

    text: str
    start: int
    end: int
    kind: Kind
    first: bool
    """Whether it begins a sentence, where a capital says nothing."""


def pieces(text: str) -> list[Piece]:
    """The pieces of a message, in order."""
    found: list[Piece] = []
    first = True
    for match in _PIECE.finditer(text):
        kind = match.lastgroup or "mark"
        piece = match[0]
        if kind == "word" and is_protected(piece, first=first):
            kind = "protected"
        found.append(Piece(piece, match.start(), match.end(), kind, first))  # type: ignore[arg-type]
        first = piece[-1] in _SENTENCE_END or (first and kind == "mark") or "\n" in text[match.end() : match.end() + 2]
    return found


def is_protected(word: str, *, first: bool) -> bool:
    """Whether a word of letters is left as it is for its looks."""
    if not word.isascii() and not word.replace("’", "'").isascii():
        return True
    letters = word.replace("'", "").replace("’", "")
    if len(letters) > 1 and letters.isupper():
        return True
    if letters[:1].isupper() and not first and letters != "I":
        return True  # A name, as far as anybody can tell.
    if any(c.isupper() for c in letters[1:]):
        return True
    return len(letters) > 30 or _STRETCHED.search(letters) is not None or _LAUGHTER.fullmatch(letters) is not None


def in_case_of(typed: str, meant: str) -> str:
    """What was meant, with a capital where the typed word has one."""
    if meant == "i" or meant.startswith("i'"):
        return "I" + meant[1:]
    return meant[:1].upper() + meant[1:] if typed[:1].isupper() else meant
