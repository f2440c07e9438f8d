"""What the JSON exports of chat programs have in common: a list of messages, some of which nobody wrote."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dialog.conversation import Conversation, Utterance
from dialog.formats.jsonl import load
from dialog.formats.source import Source, Unreadable

SYSTEM = "system message(s)"
MEDIA = "media message(s)"


class BadMessage(ValueError):
    """A message that has not the shape its program gives it."""


class Gathering:
    """One conversation on its way: utterances, what was left out, and what could not be read."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._utterances: list[Utterance] = []
        self._left_out: Counter[str] = Counter()
        self._unreadable: list[Unreadable] = []

    def add(self, message: Utterance | str) -> None:
        """An utterance, or the kind of thing that is left out and counted."""
        if isinstance(message, str):
            self._left_out[message] += 1
        else:
            self._utterances.append(message)

    def take(self, messages: Sequence[Any], read: Callable[[Any], Utterance | str], place: str = "messages") -> None:
        """Every message in turn, as `read` has it; one that cannot be read is refused, and the others stay."""
        for i, message in enumerate(messages):
            try:
                self.add(read(message))
            except BadMessage as error:
                self.refuse(f"{place}[{i}]", error)

    def refuse(self, place: str, error: BadMessage) -> None:
        """A message that cannot be read; the others stay."""
        self._unreadable.append(Unreadable.at(1, f"{place}: {error}"))

    def items(
        self, warnings: tuple[str, ...] = (), extra: dict[str, Any] | None = None
    ) -> Iterator[Conversation | Unreadable]:
        """What came of it: the unreadable messages, then the conversation."""
        yield from self._unreadable
        if self._left_out:
            counts = " and ".join(f"{n} {kind}" for kind, n in sorted(self._left_out.items()))
            warnings += (f"left out: {counts}",)
        yield Conversation(id=self.id, utterances=tuple(self._utterances), warnings=warnings, extra=extra or {})


def document(source: Source) -> tuple[Any, tuple[str, ...]] | Unreadable:
    """The JSON value of the whole file, and what to know about it."""
    text, fault = source.text()
    if fault:
        return Unreadable.at(0, fault)
    try:
        return load(text), source.take_warnings()
    except ValueError as error:
        return Unreadable.at(0, str(error))


def string(message: Any, key: str, *, optional: bool = False) -> str:
    """A field that must be text; BadMessage where it is not. An optional one may be missing or null."""
    if not isinstance(message, dict):
        raise BadMessage(f"expected an object, got {type(message).__name__}")
    value = message.get(key)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise BadMessage(f"{key}: expected a string, got {value!r}"[:120])
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
