"""The port behind which whatever labels conversations stands, and how a call that fails is kept from its neighbours.

Nothing here is heavy to import: who only passes conversations on needs no model.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from dialog.conversation import Conversation, Prediction

Mode = Literal["offline", "live"]
"""How an utterance is read: with all of its conversation, or with what came before it alone."""


class Tagger(Protocol):
    """Labels whole conversations, which is all a log needs: our models, workers on a cluster, a service."""

    @property
    def version(self) -> str:
        """Of the model; whatever changes an answer changes it."""
        ...

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        """The conversations with a prediction on every utterance, in the same order."""
        ...


@runtime_checkable
class LongTagger(Protocol):
    """Says how far it is inside one long conversation, and goes on there after it was stopped."""

    def tag_long(
        self,
        conversation: Conversation,
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
        keep: Path | None = None,
    ) -> Conversation:
        """What `tag` says of it. `progress` is told how many utterances' worth of work is done; `keep` is a file for
        what was read so far, which a second call with the same conversation goes on from."""
        ...


class LiveTagger(Protocol):
    """Follows a chat message by message."""

    @property
    def version(self) -> str: ...

    def start(self) -> Any:
        """A `LiveChat` before its first message."""
        ...

    def step(self, state: Any, speaker: str, text: str) -> tuple[Prediction, Any]:
        """The prediction for one new message, and the `LiveChat` after it."""
        ...


class LiveChat(Protocol):
    """A chat between two messages. A value: a step returns a new one and the old one stays good."""

    @property
    def n_messages(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        ...

    def head(self) -> bytes:
        """For a database: what a message changes. Nothing in it can be executed."""
        ...

    def rows(self, newest: int) -> list[bytes]:
        """For a database: one for each of the newest so many messages, or of as many as are remembered, oldest first.
        A message adds one and changes none."""
        ...


class EmotionEngine(LiveTagger, Protocol):
    """What a service puts in front of people: `dialog.emotion.EmotionTagger` is ours."""

    def tag(
        self,
        conversations: Sequence[Conversation],
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
    ) -> list[Conversation]:
        """As a `Tagger` does. `progress` is told of utterances that were read, and now and then of none, some tenths of
        a second apart; what it raises ends the call."""
        ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def without_causes(self) -> "EmotionEngine":
        """The same model that names no causes, at no second loading; itself where it names none."""
        ...

    @property
    def reach(self) -> int:
        """How many rows a stored chat goes on from at most."""
        ...

    def steps(self, states: Sequence[Any], messages: Sequence[tuple[str, str]]) -> list[tuple[Prediction, Any]]:
        """`step` for several chats at once, (speaker, text) a chat: each is what it would be alone."""
        ...

    def restore(self, head: bytes, rows: Sequence[tuple[bytes, str]]) -> Any:
        """The `LiveChat` that wrote them: the rows of the last `reach` messages, or of all there were, oldest first,
        each with its message's text. ValueError for anything else, or another version's."""
        ...


class EngineClass(Protocol):
    """Where an engine comes from: a class with `load`."""

    def load(self, name: str, *, causes: bool | None = None, device: str | None = None) -> EmotionEngine:
        """The engine by name or folder; `causes` and `device` as EmotionTagger.load takes them. ValueError for none."""
        ...


def label_each(
    tagger: Tagger,
    conversations: Sequence[Conversation],
    *,
    mode: Mode,
    reason: Callable[[Exception], str],
    failed: Callable[[Exception, int], None] | None = None,
) -> list[Conversation]:
    """The conversations labelled, but an exception falls on the one that caused it and on no other.

    Where a call fails each is tried alone; one that fails alone comes back with the `reason` as its error. `failed` is
    told of every call that failed and how many conversations it held.
    """
    if not conversations:
        return []
    try:
        tagged = tagger.tag(conversations, mode=mode)
        if len(tagged) != len(conversations):
            raise RuntimeError(f"the tagger gave {len(tagged)} conversations back for {len(conversations)}")
        return tagged
    except Exception as error:
        if failed is not None:
            failed(error, len(conversations))
        if len(conversations) == 1:
            return [conversations[0].with_error(reason(error))]
        alone = (label_each(tagger, [c], mode=mode, reason=reason, failed=failed) for c in conversations)
        return [one for some in alone for one in some]
