"""Emoji and emoticons in words: vocabularies of words know neither, and a chat says half of what it feels with them."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from models.encoders.meanings import Meanings

_COLOURED_HEARTS = "\u2764\u2665\u2763\U0001f5a4\U0001f90d\U0001f90e\U0001f9e1" + "".join(
    chr(heart) for heart in range(0x1F499, 0x1F49D)
)
_READ_AS = dict.fromkeys(_COLOURED_HEARTS, "growing heart") | {
    "\U0001f914": "hmm, thinking",  # "thinking face" was read as grief
    "\U0001f60f": "smirk",
    "\U0001f610": "neutral",
    "\U0001f62c": "awkward, yikes",
    "\U0001f92b": "hush, a secret",
    "\U0001f9d0": "hmm, curious",
    "\U0001f971": "yawn, bored",
    "\U0001fae1": "yes sir",
    "\U0001f47f": "angry devil",
    "\U0001f912": "feeling sick, fever",
    "\U0001f915": "hurt, injured",
    "\U0001f637": "feeling sick",
    "\U0001f927": "feeling sick, sneezing",
    "\U0001f975": "sweating, too hot",
    "\U0001f976": "so cold",
    "\U0001f44e": "thumbs down, bad",
    "\U0001f44f": "applause, bravo",
    "\U0001f926": "facepalm, how stupid",
    "\U0001f61b": "just kidding, haha",
}
"""Emoji whose names in Unicode mislead: the red heart is "heavy black heart" there, which reads as grief."""

# The blocks of pictographs, emoticons, transport and supplemental symbols, and the older dingbats used as emoji.
_EMOJI = (
    r"(?P<emoji>[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55])(?:[\ufe0f\u200d\U0001f3fb-\U0001f3ff]|(?P=emoji))*"
)

_APART, _END = r"(?<![\w:;=/\\\[])", r"(?![\w/\\])"
"""Eyes or a mouth that are letters stand apart from words: `ID:P`, `x=D` and `http:/` are no faces."""
_EMOTICONS = {
    "crying": rf"[:=;]['´,][-~]?\(+|{_APART}(?:T[._]+T|Q[._]+Q|;[_-]+;){_END}",
    "angry": rf"{_APART}>[:=]-?\(+(?!\w)|[(（]╯[^\s)）]{{1,6}}[)）]╯\s?︵\s?┻━┻",
    "broken heart": r"<[/\\]3+(?![\w.])",
    "love, growing heart": rf"{_APART}<3+(?![\w.])",
    "kiss": rf"{_APART}[:;=]-?\*+(?!\w)",
    "smiling face": r"(?<![:;=(\d])[:=]-?\)+(?!\w)|(?<!\S)(?:\(-?[:=]|:3|:-?\])(?!\S)|(?<![\w^])\^[_.]*\^(?![\w^])",
    "smiling face with open mouth": rf"{_APART}[:=]-?D+{_END}|{_APART}[xX]+[dD]+{_END}",
    "frowning face, sad": r"(?<![:;=])[:=]-?\(+(?!\w)|(?<!\S):-?\[(?!\S)",
    "winking face": rf"(?<!&\w{{2}})(?<!&\w{{3}})(?<!&\w{{4}});-?\)+(?!\w)|{_APART};-?D{_END}",
    "just kidding, haha": rf"{_APART}[:=;]-?[pP]+{_END}",
    "confused face": rf"{_APART}[:=]-?[/\\]{_END}",
    "face with open mouth": rf"{_APART}[:=]-?[oO0]{_END}|{_APART}[oO0]_+[oO0]{_END}",
    "annoyed": rf"{_APART}-_+-(?![\w-])|ಠ_+ಠ",
    "not amused": rf"{_APART}[:=]-?\|(?![\w|])",
    "shrug": r"¯?\\_+[(（]ツ[)）]_+/¯?",
}
"""What an emoticon says -> how it is written. Where one fits, it is an emoji's name: those the encoder has learned."""

_MEANINGS = Meanings(_EMOTICONS)
_FACE = re.compile(f"{_EMOJI}|{_MEANINGS.pattern}")


def faces(text: str) -> Iterator[tuple[int, int, str]]:
    """Where an emoji or emoticon stands in the text (start, end), and what it says, a space on either side.

    One emoji several times in a row is one face. Skin tones, joiners and variation selectors belong to it.
    """
    for match in _FACE.finditer(text):
        yield *match.span(), f" {_name(match)} "


def has_face(text: str) -> bool:
    """Whether an emoji or emoticon stands in the text: of a text in any language that can be read."""
    return _FACE.search(text) is not None


def _name(match: re.Match[str]) -> str:
    if emoji := match["emoji"]:
        return _emoji_name(emoji)
    return _MEANINGS.of(match)


@lru_cache(maxsize=4096)
def _emoji_name(emoji: str) -> str:
    return _READ_AS.get(emoji) or unicodedata.name(emoji, "").lower()
