"""What a reader leaves out because nobody said it, counted by its name.

The counts stand in the conversation's warnings as a sentence and in its field `left_out`, so that they reach every
output; `annotate` adds them up for the terminal and for `--json`.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dialog.conversation import Caveat

SYSTEM = "system line"
MEDIA = "media message"
DELETED = "deleted message"
EMPTY = "empty message"
CALL = "call"
LOCATION = "location"
CONTACT = "contact"
POLL = "poll"
STICKER = "sticker"
HIDDEN = "view-once message"
PICTURE, VIDEO, SOUND, GIF, DOCUMENT = "picture", "video", "sound", "GIF", "document"

FIELD = "left_out"

_PLURALS = {
    "row without text": "rows without text",
    "caption without text": "captions without text",
    "caption of a sound": "captions of sounds",
    "comment that was not loaded": "comments that were not loaded",
    "message that was not decrypted": "messages that were not decrypted",
}
_ENDINGS = {
    **dict.fromkeys(("jpg", "jpeg", "png", "heic", "webp", "bmp"), PICTURE),
    **dict.fromkeys(("mp4", "mov", "3gp", "webm", "avi"), VIDEO),
    **dict.fromkeys(("opus", "m4a", "mp3", "aac", "ogg", "oga", "wav"), SOUND),
    "gif": GIF,
    "vcf": CONTACT,
}
_BLANK = "\u2800\u3164\u115f\u1160\uffa0\ufe0f"  # letters that show nothing


class LeftOut:
    """How many of each kind were left out of one conversation."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str) -> None:
        """One more of a kind, named in the singular."""
        self._counts[kind] += 1

    def __bool__(self) -> bool:
        return bool(self._counts)

    def total(self) -> int:
        """All kinds together."""
        return self._counts.total()

    def warnings(self) -> tuple[str, ...]:
        """The sentence, if there is something to say."""
        return (Caveat("left-out", f"left out: {sentence(self._counts)}"),) if self._counts else ()

    def extra(self) -> dict[str, Any]:
        """The field of the conversation, if there is something to count."""
        return {FIELD: dict(sorted(self._counts.items()))} if self._counts else {}


def counts_of(extra: Mapping[str, Any]) -> dict[str, int]:
    """What a conversation's fields say was left out; a field of that name in another shape is somebody else's."""
    found = extra.get(FIELD)
    if not isinstance(found, Mapping):
        return {}
    return {k: n for k, n in found.items() if isinstance(k, str) and isinstance(n, int) and not isinstance(n, bool)}


def sentence(counts: Mapping[str, int]) -> str:
    """`2 polls, 1 sticker and 3 system lines`."""
    parts = [f"{n:,} {kind if n == 1 else plural(kind)}" for kind, n in sorted(counts.items())]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def plural(kind: str) -> str:
    """More than one of a kind."""
    if kind in _PLURALS:
        return _PLURALS[kind]
    if kind.endswith("y") and kind[-2:-1] not in tuple("aeiou"):
        return kind[:-1] + "ies"
    return kind if kind.endswith(("s", "dice", "media")) else kind + "s"


def is_silent(text: str) -> bool:
    """Whether a text shows nothing: spaces, invisible marks and blank letters only. Nobody said that."""
    return all(c.isspace() or c in _BLANK or unicodedata.category(c) in ("Cf", "Cc") for c in text)


def kind_of_file(name: str) -> str:
    """What a file is counted as, by its ending."""
    return _ENDINGS.get(name.rpartition(".")[2].lower(), DOCUMENT)
