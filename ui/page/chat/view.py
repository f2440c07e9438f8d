"""What a browser shows of a chat: read from what it asks, and rendered for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from serve.client import Chat, Client
from ui.messages import ShownMessage
from ui.page.drawing import render
from ui.page.drawing.people import Person, people_of, read_people
from ui.page.drawing.timeline import strip

MOST_SEARCHED = 10_000
"""A search looks through this many of the last messages."""
_END = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatView:
    """The chat by its id, who is known in it, the message whose details are open, and what is hidden.

    `warnings` are those of each message: the service says them once, so the browser keeps them.
    """

    chat: str | None = None
    people: tuple[Person, ...] = ()
    selected: int | None = None
    query: str = ""
    emotion: str = ""
    person: str = ""
    warnings: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Self:
        """What the browser sent; whatever is not as it should be counts as nothing."""
        selected = asked.get("selected")
        return cls(
            chat=_text(asked, "chat") or None,
            people=read_people(asked.get("people")),
            selected=selected if isinstance(selected, int) and selected >= 0 else None,
            query=_text(asked, "query").strip().casefold(),
            emotion=_text(asked, "emotion"),
            person=_text(asked, "person"),
            warnings=_warnings(asked.get("warnings")),
        )

    @property
    def hides(self) -> bool:
        """Whether some messages may not be shown."""
        return bool(self.query or self.emotion or self.person)

    def shows(self, message: ShownMessage) -> bool:
        """Whether this message is among those asked for."""
        return (
            (not self.query or self.query in message.text.casefold())
            and (not self.emotion or message.emotion == self.emotion)
            and (not self.person or message.speaker == self.person)
        )


def look(view: ChatView, client: Client) -> dict[str, Any]:
    """The pieces of the tab as HTML, and what the browser keeps of the chat. ServiceError."""
    if view.chat is None:
        return _pieces(view, (), 0, ())
    total = client.chat(view.chat, after=_END, limit=1).total
    back = MOST_SEARCHED if view.hides else render.CHAT_SHOWN
    chat = client.chat(view.chat, after=max(0, total - back))
    return _pieces(view, _messages(chat, view), total, chat.labels)


def _messages(chat: Chat, view: ChatView) -> tuple[ShownMessage, ...]:
    found = (ShownMessage.of(m) for m in chat.messages)
    return tuple(m if m.warnings or m.n not in view.warnings else _warned(m, view.warnings[m.n]) for m in found)


def _warned(message: ShownMessage, warnings: tuple[str, ...]) -> ShownMessage:
    return replace(message, warnings=warnings)


def _pieces(view: ChatView, messages: Sequence[ShownMessage], total: int, labels: Sequence[str]) -> dict[str, Any]:
    people = people_of(view.people, messages)
    found = [m for m in messages if view.shows(m)]
    chosen = next((m for m in messages if m.n == view.selected), None)
    shown = found[-render.CHAT_SHOWN :]
    return {
        "chat": view.chat,
        "log": render.transcript(
            shown, view.selected, people=people, hidden=total - len(shown), hides=view.hides, all_of_them=messages
        ),
        "strip": strip(messages, people=people),
        "details": render.details(chosen, messages, labels=labels) if chosen else render.moods(messages, people),
        "selected": chosen.n if chosen else None,
        "people": [_told(person, messages) for person in people.values()],
        "emotions": list(dict.fromkeys(m.emotion for m in messages if m.emotion)),
        "total": total,
        "answered": bool(messages and messages[-1].reply),
        "found": len(found),
    }


def _told(person: Person, messages: Sequence[ShownMessage]) -> dict[str, Any]:
    own = [m for m in messages if m.speaker == person.name]
    answers = bool(own) and all(m.reply is not None for m in own)
    return {"name": person.name, "colour": person.colour, "speaks": bool(own), "assistant": answers}


def _text(asked: dict[str, Any], key: str) -> str:
    value = asked.get(key)
    return value if isinstance(value, str) else ""


def _warnings(value: Any) -> dict[int, tuple[str, ...]]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {
        int(n): tuple(w for w in told if isinstance(w, str))
        for n, told in pairs
        if str(n).isdecimal() and isinstance(told, list)
    }
