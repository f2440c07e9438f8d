"""What can be done to a chat: say something, correct a label, change what was said or who said it, delete, bring back.

Plain functions of a chat's id and a client; all raise ServiceError. A label is read from what was said before it, so
the service reads a chat that is changed again from its start; what fails before that is done leaves it as it was.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from serve.client import ChangedChat, Client, ServiceError
from ui.messages import ShownMessage

MOST_BROUGHT_BACK = 10_000
"""A browser keeps so many messages at most, to undo what was done to them."""
_RECENT = 20
"""So many of the last messages are looked through for one that may have arrived already."""
_END = 2**31 - 1


class TooLong(ValueError):
    """The chat has more messages than are read again; the message says how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What was said: the words, who said them and when, and the label a person gave them. `reply` is what is known of
    an assistant's answer."""

    speaker: str
    text: str
    time: str | None = None
    correction: str | None = None
    reply: dict[str, Any] | None = None

    @classmethod
    def of(cls, message: Any) -> Self:
        """What was said, of a message of the client's."""
        return cls(
            speaker=message.speaker,
            text=message.text,
            time=message.time,
            correction=message.correction,
            reply=None if message.reply is None else asdict(message.reply),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A chat read again (None: nothing is left of it), what stood before, and the warnings of its messages from `first`
    on, which is the first that is another now."""

    chat: str | None
    before: tuple[Said, ...]
    warnings: dict[int, tuple[str, ...]]
    first: int = 0


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
    before = _whole(chat, client)
    return _changed(client.edit_message(chat, n, text=text.strip(), total=len(before)), before)


def remove(chat: str, n: int, client: Client) -> Changed:
    """The chat without message n; without its only message it is no chat."""
    before = _whole(chat, client)
    if n == 0 and len(before) == 1:
        client.delete_chat(chat)
        return Changed(chat=None, before=tuple(before), warnings={})
    return _changed(client.delete_message(chat, n, total=len(before)), before)


def rename(chat: str, old: str, new: str, client: Client) -> Changed:
    """The chat with a person under another name. Under the name of somebody else, the two become one."""
    before = _whole(chat, client)
    after = [replace(s, speaker=new) if s.speaker == old else s for s in before]
    return _changed(client.rewrite_chat(chat, _sent(after), total=len(before)), before)


def forget(chat: str, client: Client) -> tuple[Said, ...]:
    """Deletes the chat for good; gives what was said, so that it can be said again. Nothing of a very long one."""
    before: tuple[Said, ...] = ()
    with suppress(TooLong):
        before = tuple(_whole(chat, client))
    client.delete_chat(chat)
    return before


def bring_back(before: Sequence[Said], instead_of: str | None, client: Client) -> Changed:
    """The chat in which all of this was said, in place of what stands there; a new one where there is none."""
    chat = client.start_chat().id if instead_of is None else instead_of
    try:
        return _changed(client.rewrite_chat(chat, _sent(before)), ())
    except ServiceError:
        if instead_of is None:
            with suppress(ServiceError):
                client.delete_chat(chat)
        raise


def _whole(chat: str, client: Client) -> list[Said]:
    most = min(int(client.limits()["messages_reread"]), MOST_BROUGHT_BACK)
    found = client.chat(chat, limit=most + 1)
    if found.total > most:
        told = f"This chat has {found.total:,} messages; one of up to {most:,} can be read again from its start."
        raise TooLong(told)
    return [Said.of(message) for message in found.messages]


def _sent(said: Sequence[Said]) -> list[dict[str, Any]]:
    return [asdict(s) for s in said]


def _changed(after: ChangedChat, before: Sequence[Said]) -> Changed:
    shown = [ShownMessage.of(message) for message in after.messages]
    warnings = {m.n: m.warnings for m in shown if m.warnings}
    return Changed(chat=after.chat, before=tuple(before), warnings=warnings, first=after.first)
