"""Keeps what is tested out of what is trained on: conversations that share utterances across corpora.

MELD, EmoryNLP and ECF come from the same scripts; RECCON's test conversations stand in DailyDialog's train part.
"""

import re
from collections.abc import Iterable

from dialog.conversation import Conversation

LONG = 5
"""Words from which an utterance found elsewhere counts as the same one; shorter ones recur by themselves."""


def normal(text: str) -> str:
    """The text as compared: letters and digits in lower case, one space between words."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def long_utterances(conversations: Iterable[Conversation]) -> set[str]:
    """The normal forms of all utterances of LONG words or more."""
    return {n for c in conversations for n in _long(c)}


def without(conversations: Iterable[Conversation], held_out: set[str], *, share: float = 0.0) -> list[Conversation]:
    """The conversations of whose long utterances no more than `share` stand in `held_out`."""
    kept = []
    for c in conversations:
        utterances = _long(c)
        found = sum(n in held_out for n in utterances)
        if found == 0 or (share > 0 and found < share * len(utterances)):
            kept.append(c)
    return kept


def _long(c: Conversation) -> list[str]:
    return [n for u in c.utterances if len((n := normal(u.text)).split()) >= LONG]
