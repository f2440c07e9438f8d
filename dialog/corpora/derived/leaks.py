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


def expanded(text: str) -> str:
    """The normal form without what contractions hide: "that's" and "that is" come out alike, as do "can't" and
    "cannot". ECF's conversion expands contractions, so that its lines else differ from MELD's."""
    plain = text.lower().replace("\u2019", "'").replace("cannot", "can not")
    plain = plain.replace("can't", "can not").replace("won't", "will not").replace("n't", " not")
    return " ".join(word for word in normal(plain).split() if word not in _CONTRACTED)


_CONTRACTED = frozenset(["s", "is", "re", "are", "m", "am", "ll", "will", "ve", "have", "d", "would", "had"])


def long_utterances(conversations: Iterable[Conversation]) -> set[str]:
    """The expanded forms of all utterances that keep LONG words or more in it."""
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
    return [n for u in c.utterances if len((n := expanded(u.text)).split()) >= LONG]
