"""What the JSON exports of chat programs have in common: a list of messages, some of which nobody wrote."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from dialog.conversation import Caveat, Conversation, Utterance
from dialog.formats.jsonl import dump
from dialog.formats.left_out import EMPTY, LeftOut, is_silent
from dialog.formats.source import Unreadable

SORTED = Caveat("sorted", "the messages did not stand in the order of their times; they were put in it")


class BadMessage(ValueError):
    """A message that has not the shape its program gives it."""


class _Timed(NamedTuple):
    """An utterance and when it was said, in seconds; None where that is not known. `local`: with no time zone."""

    utterance: Utterance
    at: float | None
    local: bool


class Gathering:
    """One conversation on its way: utterances, what was left out, and what could not be read."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.left_out = LeftOut()
        self._said: list[_Timed] = []
        self._unreadable: list[Unreadable] = []

    def add(self, message: Utterance | str) -> None:
        """An utterance, or the kind of thing that is left out and counted. A text that shows nothing is left out."""
        if isinstance(message, str):
            self.left_out.add(message)
        elif is_silent(message.text):
            self.left_out.add(EMPTY)
        else:
            self._said.append(_Timed(message, *_seconds(message.time)))

    def take(
        self,
        messages: Sequence[Any],
        read: Callable[[Any], Utterance | str],
        place: str = "messages",
        line_of: Callable[[int], int] = lambda _: 0,
    ) -> None:
        """Every message in turn, as `read` has it; one that cannot be read is refused, and the others stay."""
        for i, message in enumerate(messages):
            try:
                self.add(read(message))
            except BadMessage as error:
                self.refuse(f"{place}[{i}]", error, line_of(i), dump(message))

    def refuse(self, place: str, error: BadMessage, line: int = 0, text: str = "") -> None:
        """A message that cannot be read; the others stay."""
        self._unreadable.append(Unreadable.at(line, f"{place}: {error}", text))

    def items(
        self, warnings: tuple[str, ...] = (), extra: dict[str, Any] | None = None
    ) -> Iterator[Conversation | Unreadable]:
        """What came of it: the unreadable messages, then the conversation, in the order of its times."""
        yield from self._unreadable
        said, moved = _in_order(self._said)
        yield Conversation(
            id=self.id,
            utterances=tuple(timed.utterance for timed in said),
            warnings=(*warnings, *((SORTED,) if moved else ()), *self.left_out.warnings()),
            extra={**(extra or {}), **self.left_out.extra()},
        )


def name_of(value: Any, default: str) -> str:
    """A chat's name, where it is a string with something in it."""
    return value.strip() if isinstance(value, str) and value.strip() else default


def string(message: Any, key: str, *, optional: bool = False) -> str:
    """A field that must be text; BadMessage where it is not. An optional one may be missing or null."""
    if not isinstance(message, dict):
        raise BadMessage(f"expected an object, got {type(message).__name__}")
    value = message.get(key)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise BadMessage(f"{key}: expected a string, got {value!r}"[:120])
    return encodable(value)


def encodable(text: str) -> str:
    """Half a surrogate pair is valid in JSON and in no encoding."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def moment(seconds: Any) -> str | None:
    """ISO time in UTC, to the second, of a Unix time; None where it is none."""
    try:
        return datetime.fromtimestamp(float(seconds), UTC).isoformat(timespec="seconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; none where it is no array."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def words_in(value: Any, keys: frozenset[str]) -> str:
    """Every text that stands under one of these keys, however deep, a line each."""
    found: list[str] = []
    _collect(value, keys, found)
    return "\n".join(found)


def _collect(value: Any, keys: frozenset[str], found: list[str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key in keys and not is_silent(inner):
                found.append(encodable(inner).strip())
            else:
                _collect(inner, keys, found)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, keys, found)


def oldest_first(said: Sequence[Utterance]) -> tuple[Sequence[Utterance], bool]:
    """The utterances turned round, where every time is known and none is later than the one before it; and whether."""
    times = [_seconds(utterance.time)[0] for utterance in said]
    known = [time for time in times if time is not None]
    falling = all(later <= earlier for earlier, later in pairwise(known))
    turned = len(known) == len(said) > 1 and falling and known[0] > known[-1]
    return (said[::-1], True) if turned else (said, False)


def _seconds(time: str | None) -> tuple[float | None, bool]:
    try:
        at = datetime.fromisoformat((time or "").removesuffix(" UTC"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp(), at.tzinfo is None
    except (ValueError, OverflowError):
        return None, False


def _in_order(said: Sequence[_Timed]) -> tuple[Sequence[_Timed], bool]:
    """By time, if every time is known and some step backwards; equal times stay as they stood."""
    times = [timed.at for timed in said if timed.at is not None]
    slack = 3600 if any(timed.local for timed in said) else 0  # in autumn a local clock is put back an hour
    back = sum(later < earlier - slack for earlier, later in pairwise(times))
    if len(times) < len(said) or not back:
        return said, False
    forth = sum(later > earlier for earlier, later in pairwise(times))
    newest_first = said[::-1] if back > forth else said
    return sorted(newest_first, key=lambda timed: timed.at or 0.0), True
