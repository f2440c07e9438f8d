"""The calls of the service as values: what is sent, and how the answer is read. Who sends them, and how, is another
matter: a client that waits and one that does not send the same."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import orjson

from .conversation import Caveat, Conversation, Prediction
from .things import (
    Advice,
    AnswerNotes,
    ChangedChat,
    Chat,
    ChatSummary,
    Completion,
    Correction,
    Edit,
    EmotionsAnswer,
    HealthNow,
    Label,
    Message,
    Mode,
    Model,
    made,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[Any], T]
    """Of the JSON value; None where there is no body."""
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    kind: str = "application/json"
    """The type of the content."""
    makes: bool = False
    """Whether it makes something that must not be made twice: a key says so, however often it is tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages(Generic[T]):
    """A list that comes page by page, and how what stands on it is read."""

    path: str
    name: str
    read: Callable[[Any], T]
    asked: Mapping[str, str | None] = field(default_factory=dict)

    def page(self, cursor: str | None) -> Call[tuple[list[T], str | None]]:
        """The page at a cursor, and where the next one begins."""
        asked = {**self.asked, "cursor": cursor}
        return Call(
            method="GET",
            path=self.path,
            params={key: value for key, value in asked.items() if value is not None},
            read=lambda page: ([self.read(value) for value in page[self.name]], page["next"]),
        )


Steps = Generator[Call[T], T, T]
"""Several calls after one another, each given the answer to the one before it."""


def emotions(
    conversations: Sequence[Conversation], *, causes: bool, label_set: str | None, mode: Mode, model: str | None
) -> Call[EmotionsAnswer]:
    """Labels conversations."""
    options = {"causes": causes, "label_set": label_set, "mode": mode, "model": model}
    body = {"conversations": [c.to_dict() for c in conversations], "options": options}
    return Call(method="POST", path="/emotions", content=orjson.dumps(body), read=_emotions)


def start_chat(model: str | None, label_set: str | None) -> Call[Chat]:
    """Begins a chat."""
    body = orjson.dumps({"model": model, "label_set": label_set})
    return Call(method="POST", path="/chats", content=body, read=_chat, makes=True)


def add_message(chat_id: str, speaker: str, text: str, time: str | None) -> Call[Message]:
    """Says something."""
    body = orjson.dumps({"speaker": speaker, "text": text, "time": time})
    return Call(method="POST", path=f"/chats/{chat_id}/messages", content=body, read=message_of, makes=True)


def chat(chat_id: str, after: int, limit: int | None) -> Steps[Chat]:
    """Reads a chat, page by page."""
    messages: list[Message] = []
    while True:
        wanted = {"after": after + len(messages)}
        if limit is not None:
            wanted["limit"] = limit - len(messages)
        page = yield Call(method="GET", path=f"/chats/{chat_id}", params=wanted, read=_chat)
        messages += page.messages
        enough = limit is not None and len(messages) >= limit
        if enough or not page.messages or after + len(messages) >= page.total:
            return made(Chat, {name: getattr(page, name) for name in Chat.__slots__}, messages=tuple(messages))


def chats(since: str | None, before: str | None) -> Pages[ChatSummary]:
    """Lists chats."""
    asked = {"since": since, "before": before}
    return Pages(path="/chats", name="chats", read=lambda value: made(ChatSummary, value), asked=asked)


def delete(path: str) -> Call[None]:
    """Deletes what is there."""
    return Call(method="DELETE", path=path, read=lambda _: None)


def correct(chat_id: str, n: int, emotion: str | None) -> Call[Message]:
    """Corrects a label, or takes a correction back."""
    path = f"/chats/{chat_id}/messages/{n}/correction"
    if emotion is None:
        return Call(method="DELETE", path=path, read=message_of)
    return Call(method="PUT", path=path, content=orjson.dumps({"emotion": emotion}), read=message_of)


def edit_message(
    chat_id: str, n: int, *, text: str | None, speaker: str | None, time: str | None, total: int | None
) -> Call[ChangedChat]:
    """Changes a message."""
    given = {"text": text, "speaker": speaker, "time": time}
    body = orjson.dumps({name: value for name, value in given.items() if value is not None})
    path = f"/chats/{chat_id}/messages/{n}"
    return Call(method="PATCH", path=path, content=body, params=_total(total), read=_changed)


def delete_message(chat_id: str, n: int, total: int | None) -> Call[ChangedChat]:
    """Deletes a message."""
    return Call(method="DELETE", path=f"/chats/{chat_id}/messages/{n}", params=_total(total), read=_changed)


def rewrite_chat(chat_id: str, messages: Sequence[Mapping[str, Any]], total: int | None) -> Call[ChangedChat]:
    """Says all of a chat again."""
    body = orjson.dumps({"messages": [dict(message) for message in messages]})
    return Call(method="PUT", path=f"/chats/{chat_id}/messages", content=body, params=_total(total), read=_changed)


def responders() -> Call[tuple[str, ...]]:
    """Lists who can answer in a conversation."""
    return Call(method="GET", path="/models", read=lambda value: tuple(r["id"] for r in value.get("data", ())))


def models() -> Call[tuple[Model, ...]]:
    """Lists models."""
    return Call(
        method="GET",
        path="/models",
        read=lambda value: tuple(made(Model, m, labels=tuple(m["labels"])) for m in value["models"]),
    )


def labels() -> Call[dict[str, tuple[Label, ...]]]:
    """Lists labels."""
    return Call(
        method="GET",
        path="/labels",
        read=lambda value: {s["name"]: tuple(made(Label, one) for one in s["labels"]) for s in value["label_sets"]},
    )


def health() -> Call[HealthNow]:
    """Reads how the service is."""
    return Call(method="GET", path="/health", read=_health)


def limits() -> Call[Mapping[str, float]]:
    """Lists limits."""
    return Call(method="GET", path="/limits", read=lambda value: MappingProxyType(value["limits"]))


def _health(value: Mapping[str, Any]) -> HealthNow:
    seen = value["watch"] or {"state": None, "shares": {}, "advice": ()}
    advice = tuple(made(Advice, one) for one in seen["advice"])
    return made(HealthNow, value, watch=seen["state"], shares=MappingProxyType(seen["shares"]), advice=advice)


def mend(texts: Sequence[str], keep: Sequence[str], completions: int) -> Call[tuple[Correction, ...]]:
    """Corrects texts."""
    body = orjson.dumps({"texts": list(texts), "keep": list(keep), "completions": completions})
    return Call(method="POST", path="/corrections", content=body, read=_corrections)


def _corrections(value: Mapping[str, Any]) -> tuple[Correction, ...]:
    return tuple(
        made(
            Correction,
            c,
            edits=tuple(made(Edit, e) for e in c["edits"]),
            completions=tuple(made(Completion, w) for w in c["completions"]),
        )
        for c in value["corrections"]
    )


def _emotions(value: Mapping[str, Any]) -> EmotionsAnswer:
    return EmotionsAnswer(
        conversations=tuple(Conversation.from_dict(c) for c in value["conversations"]),
        model_version=value["model_version"],
        mode=value["mode"],
        warnings=tuple(Caveat.of(w) for w in value["warnings"]),
        request_id=value["request_id"],
    )


def _chat(value: Mapping[str, Any]) -> Chat:
    messages = tuple(message_of(m) for m in value["messages"])
    return made(Chat, value, labels=tuple(value["labels"]), messages=messages)


def _total(total: int | None) -> dict[str, int]:
    return {} if total is None else {"total": total}


def _changed(value: Mapping[str, Any]) -> ChangedChat:
    return made(ChangedChat, value, messages=tuple(message_of(m) for m in value["messages"]))


def message_of(value: Mapping[str, Any]) -> Message:
    """A message of a chat."""
    said, notes = value["prediction"], value.get("reply")
    return made(
        Message,
        value,
        prediction=None if said is None else Prediction.from_dict(said),
        warnings=tuple(Caveat.of(w) for w in value.get("warnings", ())),
        reply=None if notes is None else made(AnswerNotes, notes),
    )
