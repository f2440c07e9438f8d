"""Replies: OpenAI's chat completions with the emotions rapport adds to them, and an assistant's answers in a chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from ..answers import Answer
from ..conversation import Prediction
from ..errors import ServiceError
from .chats import Message, message_of
from .kinds import Call, Stream
from .pictures import answer_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A reply in a conversation, whole. `messages` are what each message feels, `prediction` what the reply does; None
    where nobody looked."""

    text: str
    finish: Literal["stop", "length"]
    messages: tuple[Prediction | None, ...]
    prediction: Prediction | None
    sure: bool
    """False where it says that there is nothing to say."""
    picture: Answer | None
    """The answer about the picture, where it is one."""
    responder: str
    responder_version: str


def reply(
    messages: Sequence[Mapping[str, Any]],
    *,
    responder: str | None = None,
    to_feel: str | None = None,
    instead_of: Sequence[str] = (),
    emotions: bool = True,
) -> Call[Reply]:
    """The reply to messages of a `role` and a `content` each, as OpenAI's API takes them; the service keeps nothing.
    `to_feel` is the emotion to answer with, `instead_of` are replies that will not do; without `emotions` nothing is
    labelled."""
    return _reply(messages, responder, to_feel, instead_of, emotions, stream=False)


def stream_reply(
    messages: Sequence[Mapping[str, Any]],
    *,
    responder: str | None = None,
    to_feel: str | None = None,
    instead_of: Sequence[str] = (),
    emotions: bool = True,
) -> Stream[Reply]:
    """The same piece by piece: words as they come, and at the end the whole reply. Tried once; to close it stops the
    reply."""
    return Stream(_reply(messages, responder, to_feel, instead_of, emotions, stream=True), _Replying)


def answer_chat(
    chat_id: str,
    *,
    responder: str | None = None,
    another: bool = False,
    total: int | None = None,
    to_feel: str | None = None,
) -> Call[Message]:
    """An assistant's answer to the chat's last message, which becomes a message of it; with `another`, one in the
    place of the last answer. ServiceError 409 where the chat has not `total` messages, where there is nothing to
    answer, or no other answer."""
    return _answer(chat_id, responder, another, total, to_feel, stream=False)


def stream_chat_answer(
    chat_id: str,
    *,
    responder: str | None = None,
    another: bool = False,
    total: int | None = None,
    to_feel: str | None = None,
) -> Stream[Message]:
    """The same piece by piece: words as they come, and at the end the message. Tried once; to close it stops the
    answer, and what has come is kept."""
    return Stream(_answer(chat_id, responder, another, total, to_feel, stream=True), _Answering)


def _reply(
    messages: Sequence[Mapping[str, Any]],
    responder: str | None,
    to_feel: str | None,
    instead_of: Sequence[str],
    emotions: bool,
    *,
    stream: bool,
) -> Call[Reply]:
    options = {"to_feel": to_feel, "instead_of": list(instead_of), "emotions": emotions}
    body = {"model": responder, "messages": [dict(m) for m in messages], "stream": stream, "rapport": options}
    return Call(method="POST", path="/chat/completions", content=orjson.dumps(body), read=_reply_of)


def _answer(
    chat_id: str, responder: str | None, another: bool, total: int | None, to_feel: str | None, *, stream: bool
) -> Call[Message]:
    body = {"responder": responder, "another": another, "total": total, "to_feel": to_feel, "stream": stream}
    path = f"/chats/{chat_id}/replies"
    return Call(method="POST", path=path, content=orjson.dumps(body), read=message_of, makes=True)


class _Answering:
    """A streamed answer in a chat as it comes, and at the end the message it became."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._error: Mapping[str, Any] | None = None

    def add(self, line: str) -> str:
        data = line.removeprefix("data: ")
        if data == line:
            return ""
        told: Mapping[str, Any] = orjson.loads(data)
        self._error = told.get("error", self._error)
        if "message" in told:
            self._message = message_of(told["message"])
        return str(told.get("text", ""))

    def end(self) -> Message:
        if self._message is None:
            told = self._error or {"code": 503, "type": "unavailable", "message": "the answer broke off"}
            raise ServiceError(told["code"], told["type"], told["message"])
        return self._message


class _Replying:
    """A streamed reply as it comes, and at the end the whole of it."""

    def __init__(self) -> None:
        self._text = ""
        self._whole: Reply | None = None

    def add(self, line: str) -> str:
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            return ""
        chunk: Mapping[str, Any] = orjson.loads(data)
        if "error" in chunk:
            raise ServiceError(503, "unavailable", str(chunk["error"]["message"]))
        choice = chunk["choices"][0]
        piece = str(choice["delta"].get("content") or "")
        self._text += piece
        if choice["finish_reason"] is not None:
            message = {"role": "assistant", "content": self._text}
            self._whole = _reply_of({**chunk, "choices": [{**choice, "message": message}]})
        return piece

    def end(self) -> Reply:
        if self._whole is None:
            raise ServiceError(503, "unavailable", "the reply broke off")
        return self._whole


def _reply_of(value: Mapping[str, Any]) -> Reply:
    choice, notes = value["choices"][0], value["rapport"]
    said, seen = notes["reply"], notes["picture"]
    return Reply(
        text=choice["message"]["content"],
        finish=choice["finish_reason"],
        messages=tuple(None if p is None else Prediction.from_dict(p) for p in notes["messages"]),
        prediction=None if said is None else Prediction.from_dict(said),
        sure=notes["sure"],
        picture=None if seen is None else answer_of(seen),
        responder=value["model"],
        responder_version=notes["responder_version"],
    )
