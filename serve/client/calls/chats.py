"""Live chats: a message is labelled as it is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from ..conversation import Caveat, Prediction
from .kinds import Call, Pages, Steps, deletion, given, made


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerNotes:
    """What is known of an assistant's answer in a chat. `finish` says why it ended: it was said, it was as long as it
    may be, somebody stopped it, or it broke off; `felt` is the emotion it answers."""

    responder: str
    responder_version: str
    finish: Literal["stop", "length", "stopped", "broken"]
    sure: bool
    """False where it says that there is nothing to say."""
    felt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message of a live chat. `n` counts from 0; `error` says why there is no prediction."""

    n: int
    speaker: str
    text: str
    time: str | None
    prediction: Prediction | None
    error: str | None
    correction: str | None
    warnings: tuple[Caveat, ...] = ()
    reply: AnswerNotes | None = None
    """There where an assistant said it."""

    @property
    def emotion(self) -> str | None:
        """The label to show: a person's where there is one, else the model's."""
        return self.correction or (self.prediction.emotion if self.prediction else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A live chat. `messages` may be a part of its `total`."""

    id: str
    created: str
    model: str
    model_version: str
    labels: tuple[str, ...]
    total: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedChat:
    """A chat after a change: its messages from the first changed one on, which were read again."""

    chat: str
    model_version: str
    total: int
    first: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatSummary:
    """A chat in a list. `touched` is when something was last said in it."""

    id: str
    created: str
    touched: str | None
    model: str
    model_version: str
    total: int


def start_chat(*, model: str | None = None, label_set: str | None = None) -> Call[Chat]:
    """A new, empty chat."""
    body = orjson.dumps({"model": model, "label_set": label_set})
    return Call(method="POST", path="/chats", content=body, read=_chat, makes=True)


def add_message(chat_id: str, speaker: str, text: str, *, time: str | None = None) -> Call[Message]:
    """The message, labelled from what came before it."""
    body = orjson.dumps({"speaker": speaker, "text": text, "time": time})
    return Call(method="POST", path=f"/chats/{chat_id}/messages", content=body, read=message_of, makes=True)


def chat(chat_id: str, *, after: int = 0, limit: int | None = None) -> Steps[Chat]:
    """The chat with its messages from `after` on: all of them, or at most `limit`."""
    messages: list[Message] = []
    while True:
        wanted = {"after": after + len(messages)}
        if limit is not None:
            wanted["limit"] = limit - len(messages)
        page = yield Call(method="GET", path=f"/chats/{chat_id}", params=wanted, read=_chat)
        messages += page.messages
        enough = limit is not None and len(messages) >= limit
        if enough or not page.messages or after + len(messages) >= page.total:
            return replace(page, messages=tuple(messages))


def chats(*, since: str | None = None, before: str | None = None) -> Pages[ChatSummary]:
    """All chats of this key."""
    asked = {"since": since, "before": before}
    return Pages(path="/chats", name="chats", read=lambda value: made(ChatSummary, value), asked=asked)


def delete_chat(chat_id: str) -> Call[None]:
    """Deletes the chat and its messages for good; a chat that is gone already is fine."""
    return deletion(f"/chats/{chat_id}", may_be_gone=True)


def correct(chat_id: str, n: int, emotion: str | None) -> Call[Message]:
    """Message n with the label a person thinks right; None takes a correction back."""
    path = f"/chats/{chat_id}/messages/{n}/correction"
    if emotion is None:
        return Call(method="DELETE", path=path, read=message_of)
    return Call(method="PUT", path=path, content=orjson.dumps({"emotion": emotion}), read=message_of)


def edit_message(
    chat_id: str,
    n: int,
    *,
    text: str | None = None,
    speaker: str | None = None,
    time: str | None = None,
    total: int | None = None,
) -> Call[ChangedChat]:
    """The chat with other words, another speaker or another time in message n; None leaves what stands there.

    total: how many messages you think the chat has; ServiceError 409 where it has others, or too many to be read again.
    """
    body = orjson.dumps(given(text=text, speaker=speaker, time=time))
    path = f"/chats/{chat_id}/messages/{n}"
    return Call(method="PATCH", path=path, content=body, params=given(total=total), read=_changed)


def delete_message(chat_id: str, n: int, *, total: int | None = None) -> Call[ChangedChat]:
    """The chat without message n; those after it move up. `total` as for `edit_message`."""
    return Call(method="DELETE", path=f"/chats/{chat_id}/messages/{n}", params=given(total=total), read=_changed)


def rewrite_chat(chat_id: str, messages: Sequence[Mapping[str, Any]], *, total: int | None = None) -> Call[ChangedChat]:
    """The chat in which these messages were said instead: `speaker` and `text` each, and `time`, `correction` and
    `reply`.

    To rename somebody, to undo a change, to bring a chat in. `total` as for `edit_message`.
    """
    body = orjson.dumps({"messages": [dict(message) for message in messages]})
    path = f"/chats/{chat_id}/messages"
    return Call(method="PUT", path=path, content=body, params=given(total=total), read=_changed)


def _chat(value: Mapping[str, Any]) -> Chat:
    messages = tuple(message_of(m) for m in value["messages"])
    return made(Chat, value, labels=tuple(value["labels"]), messages=messages)


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
