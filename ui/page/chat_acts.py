"""What can be done to a chat: say something, correct a label, change what was said or who said it, delete, bring back.

Plain functions of a chat's id and a client; all raise ServiceError. A label is read from what was said before it, so
when that changes the chat is read again from its start, as a new chat of the service; the old one is deleted once the
new one is whole, and whatever fails before leaves the old one as it was.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from serve.client import Client, ServiceError
from ui.messages import ShownMessage

MOST_REREAD = 300
"""A chat of more messages is not read again from its start: that would take longer than anybody waits."""
_RECENT = 20
"""So many of the last messages are looked through for one that may have arrived already."""
_END = 2**31 - 1


class TooLong(ValueError):
    """The chat has more messages than are read again; the message says how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a person did: the words, who said them and when, and the label that person gave them."""

    speaker: str
    text: str
    time: str | None = None
    correction: str | None = None

    @classmethod
    def of(cls, message: Any) -> Self:
        """What a person did of a message of the client's."""
        return cls(speaker=message.speaker, text=message.text, time=message.time, correction=message.correction)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A chat read again: its new id (None: nothing is left of it), what stood before, and the new warnings."""

    chat: str | None
    before: tuple[Said, ...]
    warnings: dict[int, tuple[str, ...]]


def say(chat: str | None, said: Said, client: Client, *, again: bool = False) -> tuple[str, ShownMessage]:
    """The chat's id, a new one where there was none, and the message. again: it may have arrived already."""
    if chat is None:
        chat = client.start_chat().id
    elif again:
        total = client.chat(chat, after=_END, limit=1).total
        for message in client.chat(chat, after=max(0, total - _RECENT)).messages:
            if Said.of(message) == replace(said, correction=message.correction) and said.time is not None:
                return chat, ShownMessage.of(message)
    return chat, ShownMessage.of(client.add_message(chat, said.speaker, said.text, time=said.time))


def edit(chat: str, n: int, text: str, client: Client) -> Changed:
    """The chat with other words in message n; a label that was given to the old words goes with them."""
    return _changed(chat, lambda all_of_it: _with(all_of_it, n, text=text.strip(), correction=None), client)


def remove(chat: str, n: int, client: Client) -> Changed:
    """The chat without message n."""
    return _changed(chat, lambda all_of_it: [s for i, s in enumerate(all_of_it) if i != n], client)


def rename(chat: str, old: str, new: str, client: Client) -> Changed:
    """The chat with a person under another name. Under the name of somebody else, the two become one."""
    return _changed(
        chat, lambda all_of_it: [replace(s, speaker=new) if s.speaker == old else s for s in all_of_it], client
    )


def forget(chat: str, client: Client) -> tuple[Said, ...]:
    """Deletes the chat for good; gives what was said, so that it can be said again. Nothing of a very long one."""
    before: tuple[Said, ...] = ()
    with suppress(TooLong):
        before = tuple(_whole(chat, client))
    client.delete_chat(chat)
    return before


def bring_back(before: Sequence[Said], instead_of: str | None, client: Client) -> Changed:
    """A chat in which all of this was said; the chat it stands for is deleted."""
    chat, warnings = _said_again(before, client)
    if instead_of is not None:
        client.delete_chat(instead_of)
    return Changed(chat=chat, before=(), warnings=warnings)


def _changed(chat: str, change: Callable[[list[Said]], list[Said]], client: Client) -> Changed:
    before = _whole(chat, client)
    after = change(before)
    new, warnings = _said_again(after, client) if after else (None, {})
    client.delete_chat(chat)
    return Changed(chat=new, before=tuple(before), warnings=warnings)


def _whole(chat: str, client: Client) -> list[Said]:
    found = client.chat(chat, limit=MOST_REREAD + 1)
    if found.total > MOST_REREAD:
        raise TooLong(
            f"This chat has {found.total:,} messages; one of up to {MOST_REREAD} can be read again from its start."
        )
    return [Said.of(message) for message in found.messages]


def _with(all_of_it: list[Said], n: int, **fields: Any) -> list[Said]:
    return [replace(s, **fields) if i == n else s for i, s in enumerate(all_of_it)]


def _said_again(all_of_it: Sequence[Said], client: Client) -> tuple[str, dict[int, tuple[str, ...]]]:
    chat = client.start_chat().id
    warnings = {}
    try:
        for said in all_of_it:
            message = ShownMessage.of(client.add_message(chat, said.speaker, said.text, time=said.time))
            if message.warnings:
                warnings[message.n] = message.warnings
            if said.correction is not None:
                client.correct(chat, message.n, said.correction)
    except ServiceError:
        with suppress(ServiceError):
            client.delete_chat(chat)
        raise
    return chat, warnings
