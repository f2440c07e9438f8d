"""A poll in a WhatsApp export: a word, the question, and a line for each option with its votes, in any language.

POLL:
Where do we eat?
OPTION: At home (2 votes)
OPTION: At Bo's (1 vote)
"""

import re
from typing import NamedTuple

_TITLE = re.compile(r"[^\W\d_][\w' -]{1,20}\s?[:：]\s*(?P<question>.*)")
_OPTION = re.compile(
    r"(?P<word>[^\W\d_][\w' -]{1,20})\s?[:：]\s?(?P<option>.+?)\s?[(（][^()（）]{0,14}?\d+[^()（）]{0,14}[)）]"
)


class Poll(NamedTuple):
    """What is asked, and what one can answer."""

    question: str
    options: tuple[str, ...]


def read_poll(text: str) -> Poll | None:
    """The poll a message without marks is; None where it is none."""
    title, *others = (line.strip() for line in text.split("\n"))
    options: list[str] = []
    word = ""
    while others and (match := _OPTION.fullmatch(others[-1])) and word in ("", match["word"]):
        word = match["word"]
        options.insert(0, match["option"])
        others.pop()
    named = _TITLE.fullmatch(title)
    # Capitals, where the script has them, tell the program's words from somebody's own list.
    if not options or named is None or word != word.upper() or title[:2] != title[:2].upper():
        return None
    return Poll("\n".join(line for line in (named["question"], *others) if line), tuple(options))
