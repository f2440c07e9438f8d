"""What chats write short, in full: an encoder whose words come from books and articles knows `for fuck's sake` and not
`ffs`.

Here stands only what changes how a message is understood, and means one thing: `wp` may be a blog, `idk` is neutral
either way.
"""

import re
from collections.abc import Iterator

from models.encoders.meanings import Meanings

_WRITTEN = {
    "for fuck's sake": "ff+s+",
    "fuck my life": "fml+",
    "shut the fuck up": "stfu+",
    "get the fuck out": "gtfo+",
    "what the hell": "wth",
    "what the actual fuck": "wtaf",
    "i don't give a fuck": "idgaf",
    "i don't care": "idc",
    "as fuck": "af(?=[\\s.!?]*$)",
    "fuck": r"f[*@#]{1,3}c?k|fck|f\*{3}",
    "fucking": r"f(?:[*@#]{1,3}c?k|c?k|uc?k)(?:ing|in|n|g)|f\*{2,4}ing",
    "shit": r"sh[*@#!1]{1,2}t|s\*{2}t|sh\*{2}",
    "bullshit": r"bull?sh[*@#!1]{1,2}t",
    "bitch": r"b[*@#!1]{1,2}tch|b\*{3}h",
    "how disappointing": "smh+",
    "ugh, annoying": r"^u+gh+(?=[\s.!]*$)|ar+gh+",
    "grr, angry": "gr{2,}",
    "i love you": r"ily+|ilu|(?:i )?lu+v (?:yo)?u+|(?:i )?lu+v y[ao]+",
    "i love you so much": "ily?sm+",
    "love": "lu+v",
    "i miss you": "imy+(?:sm+)?",
    "hugs and kisses": "(?:xo){2,}x?",
    "thank you so much": "tysm+|tyvm+",
    "happy birthday": "hbd+",
    "congratulations": "gratz?|congratz",
    "good game": "ggs?|ggwp|gg wp",
    "good job": "gj",
    "good luck have fun": "gl ?hf",
    "hooray": "ya+y+|w[o0]{2,}t",
    "let's go, hooray": "let'?s go{3,}",
    "great": "gr8",
    "thank god it's friday": "tgif",
    "rolling on the floor laughing": "rofl+(?:mf?ao+)?",
    "laughing out loud": "(?:lo){2,}l+|lmfao+|pmsl|mdr+",
    "hahaha": "(?:ja){3,}|k{5,}|(?:jeje)+(?:je)?",
    "just kidding": "(?-i:jk)",
    "i know right": "ikr+",
    "kill myself": "(?:(?<=to )|(?<=gonna )|(?<=wanna )|(?<=i'll )|(?<=should )|(?<=might )|(?<=just )|^)kms",
    "kill yourself": "kys",
    "on my way": "omw",
    "can't wait": "can'?t w8",
    "hate": "h8",
    "late": "l8",
    "mate": "m8",
    "tomorrow": "2mo?ro+w?|tmrw",
    "sorry": "sry|soz",
    "i'm shocked": "i'?m shook",
    "fear of missing out": "fomo",
}
"""What it says -> how it is written, letters of either size, the last one drawn out as people do."""

_MEANINGS = Meanings(_WRITTEN)
_SHORT = re.compile(rf"(?<![\w@/.*'’-])(?:{_MEANINGS.pattern})(?![\w@/*'’-]|\.\w)", re.IGNORECASE)
_PART = re.compile(r"\b(?:go{3,}|hf|w8|shook)\b", re.IGNORECASE)


def abbreviations(text: str) -> Iterator[tuple[int, int, str]]:
    """Where an abbreviation stands in the text (start, end), and what it says."""
    for match in _SHORT.finditer(text):
        yield *match.span(), _MEANINGS.of(match)


def may_abbreviate(word: str) -> bool:
    """Whether a word between spaces holds an abbreviation, or is the telling part of one that has several words."""
    return _SHORT.search(word) is not None or _PART.search(word) is not None
