"""Everyday chats with the emotion of every message, written for this project as training data (Apache-2.0).

The files beside this one, a conversation a line, in Rapport's own format:

- `chats-*.jsonl`: whole chats of 3 to 14 messages: flats, families, work, customer services, clubs, hospitals, games.
  Most feelings go unnamed ("he knows where i work" is fear); plain lines stand amid strong ones and stay neutral.
- `pairs-*.jsonl`: items of one to three messages that share a line and differ in a word, a sign or a neighbour; those
  that belong together carry the same `pair`.

Labels are Ekman's seven: what the writer of the message most likely feels, there and then, as a fair reader takes it.
Relief, pride and gratitude are joy; disappointment, embarrassment and longing sadness; annoyance and sarcasm anger;
worry fear; being polite ("sorry, which room?", "thanks!") neutral. `accepted` holds every label that is fair, where
more than one is. One author gave the labels; nobody checked how far a second one would agree.

Nothing here is taken from a data set, and it is held apart from what scores us: no line of more than three words is
also in `tests/dialog/everyday.jsonl` or `tests/dialog/own_chats.jsonl`, which a test checks. It is for training and
for choosing, never for a figure that is reported.
"""

import hashlib
from pathlib import Path
from typing import Literal

from dialog.conversation import Conversation, Utterance
from dialog.corpora import read_jsonl

Part = Literal["train", "validation"]

FOLDER = Path(__file__).parent


def read(part: Part | None = None) -> list[Conversation]:
    """The conversations of one part, or of both, in the order of the files. ValueError for a part that is neither."""
    if part not in (None, "train", "validation"):
        raise ValueError(f"no part {part!r} of the chats: expected train, validation, or None for both")
    conversations = (c for path in sorted(FOLDER.glob("*.jsonl")) for c in read_jsonl(path))
    return [c for c in conversations if part is None or part_of(c) == part]


def part_of(conversation: Conversation) -> Part:
    """A tenth is validation, told by a hash of the id, or of the pair: what belongs together is never parted."""
    key = str(conversation.extra.get("pair") or conversation.id)
    return "validation" if hashlib.sha256(key.encode()).digest()[0] < 26 else "train"


def accepted(utterance: Utterance) -> tuple[str, ...]:
    """Every label that is fair for the message, its own first."""
    own = () if utterance.emotion is None else (utterance.emotion,)
    return tuple(dict.fromkeys((*own, *utterance.extra.get("accepted", ()))))
