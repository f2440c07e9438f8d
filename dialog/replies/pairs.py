"""What was said and what was answered: the pairs of a conversation, and their texts as people write them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dialog.conversation import Conversation, Utterance

_BEFORE = re.compile(r"\s+([,.!?;:%)\]}])")
_AFTER = re.compile(r"([(\[{$])\s+")
_APOSTROPHE = re.compile(r"(?<=\w)\s*['’]\s*(?=(?:s|t|m|d|re|ve|ll|em)\b)", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[a-z])([.!?])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Pair:
    """One reply and the messages it answers, the last one first."""

    messages: tuple[str, ...]
    reply: str
    felt: str | None
    """The emotion of the last message, in the corpus's words."""
    to_feel: str | None
    """That of the reply."""


def pairs(conversation: Conversation, n_messages: int = 4) -> Iterator[Pair]:
    """Every message that answers somebody else's, with up to `n_messages` before it."""
    utterances = conversation.utterances
    for i, reply in enumerate(utterances):
        if i == 0 or reply.speaker == utterances[i - 1].speaker or not reply.text.strip():
            continue
        before = utterances[max(0, i - n_messages) : i][::-1]
        yield Pair(messages_of(before), tidy(reply.text), utterances[i - 1].emotion, reply.emotion)


def messages_of(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """The texts, tidied."""
    return tuple(tidy(u.text) for u in utterances)


def tidy(text: str) -> str:
    """The text as one would write it: no spaces before a full stop, round an apostrophe, or two in a row.

    >>> tidy("You ' re right . Let ’ s go !It's late .")
    "You're right. Let's go! It's late."
    """
    text = " ".join(text.split())
    text = _APOSTROPHE.sub("'", text.replace("’", "'").replace("“", '"').replace("”", '"'))
    text = _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text))
    return _SENTENCE.sub(r"\1 ", text.replace(" n't", "n't"))


def same_text(text: str) -> str:
    """What two texts have in common that say the same: lower-case words."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
