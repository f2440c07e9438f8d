"""Texts cut where a reader sees a boundary: a family emoji or a flag is one sign, however many code points it has."""

from itertools import islice

import regex

_GRAPHEME = regex.compile(r"\X")


def beginning(text: str, n: int) -> str:
    """At most the first n signs."""
    # A sign has at least one code point, so a text this short has no more signs than that.
    return text if len(text) <= n else "".join(m.group() for m in islice(_GRAPHEME.finditer(text), n))


def shortened(text: str, n: int) -> str:
    """The text with at most n signs, an ellipsis for the rest among them."""
    return text if beginning(text, n) == text else f"{beginning(text, n - 1)}…"


def initial(name: str) -> str:
    """What stands for a name where there is room for one sign."""
    return beginning(name.strip(), 1).upper()
