"""The port behind which whatever answers in a conversation stands: ours, a language model, or another service.

Nothing here is heavy to import.
"""

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple, Protocol

from dialog.conversation import Conversation

Finish = Literal["stop", "length"]
"""Why a reply ended: it was said, or it was as long as it may be."""


class ResponderUnavailable(ValueError):
    """The responder cannot be had, or did not answer; says what was tried."""


class Piece(NamedTuple):
    """A piece of a reply as it comes. The last one has `finish`, and may be empty."""

    text: str
    finish: Finish | None = None
    emotion: str | None = None
    """What the whole reply feels, in Ekman's words, on the last piece; None of a responder that cannot say."""
    sure: bool = True
    """False on the last piece of a reply that says there is nothing to say."""


class Responder(Protocol):
    """Answers in a conversation. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What it is asked for by."""
        ...

    @property
    def version(self) -> str:
        """Of the model; whatever changes an answer changes it."""
        ...

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        """What `speaker` says next, piece by piece; who stops asking for pieces (or closes the iterator) stops it.

        The emotion of the last message is read from its prediction, or its `emotion`. `to_feel` is the emotion to
        answer with, in Ekman's words; `instead_of` are replies that will not do; `most` how many tokens it may have.
        ValueError for a conversation that has no message, ResponderUnavailable where nothing answers.
        """
        ...


def whole(pieces: Iterator[Piece]) -> Piece:
    """The whole reply in one piece."""
    some = list(pieces)
    last = some[-1] if some else Piece("", "stop")
    return last._replace(text="".join(p.text for p in some), finish=last.finish or "stop")
