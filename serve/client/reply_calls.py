"""The calls about replies: OpenAI's chat completions, with the emotions rapport adds to them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from .calls import Call, message_of
from .conversation import Prediction
from .errors import ServiceError
from .picture_calls import answer_of
from .things import Message, Reply

PATH = "/chat/completions"


def reply(
    messages: Sequence[Mapping[str, Any]],
    *,
    responder: str | None,
    to_feel: str | None,
    instead_of: Sequence[str],
    emotions: bool,
    stream: bool = False,
) -> Call[Reply]:
    """Answers in a conversation."""
    options = {"to_feel": to_feel, "instead_of": list(instead_of), "emotions": emotions}
    body = {"model": responder, "messages": [dict(m) for m in messages], "stream": stream, "rapport": options}
    return Call(method="POST", path=PATH, content=orjson.dumps(body), read=_reply)


def answer(
    chat_id: str,
    *,
    responder: str | None,
    another: bool,
    total: int | None,
    to_feel: str | None,
    stream: bool = False,
) -> Call[Message]:
    """Has an assistant answer in a chat."""
    body = {"responder": responder, "another": another, "total": total, "to_feel": to_feel, "stream": stream}
    return Call(
        method="POST", path=f"/chats/{chat_id}/replies", content=orjson.dumps(body), read=message_of, makes=True
    )


class Answered:
    """A streamed answer in a chat as it comes: `add` gives the words of a line, and at the end `end` the message."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._error: Mapping[str, Any] | None = None

    def add(self, line: str) -> str:
        """The words in a line."""
        data = line.removeprefix("data: ")
        if data == line:
            return ""
        told: Mapping[str, Any] = orjson.loads(data)
        self._error = told.get("error", self._error)
        if "message" in told:
            self._message = message_of(told["message"])
        return str(told.get("text", ""))

    def end(self) -> Message:
        """The message it became; ServiceError where it became none."""
        if self._message is None:
            told = self._error or {"code": 503, "type": "unavailable", "message": "the answer broke off"}
            raise ServiceError(told["code"], told["type"], told["message"])
        return self._message


def answer_pieces(lines: Iterator[str]) -> Iterator[str | Message]:
    """The words of a streamed answer as they come, and at the end the message it became."""
    answered = Answered()
    for line in lines:
        if piece := answered.add(line):
            yield piece
    yield answered.end()


def event_of(line: str) -> Mapping[str, Any] | None:
    """The chunk in a line of a streamed answer; None for one without. ServiceError where the reply broke off."""
    data = line.removeprefix("data: ")
    if data == line or data == "[DONE]":
        return None
    chunk: Mapping[str, Any] = orjson.loads(data)
    if "error" in chunk:
        raise ServiceError(503, "unavailable", str(chunk["error"]["message"]))
    return chunk


class Gathered:
    """A streamed reply as it comes: `add` gives the words of a chunk, and at the end `whole` is there."""

    def __init__(self) -> None:
        self._text = ""
        self.whole: Reply | None = None

    def add(self, chunk: Mapping[str, Any]) -> str:
        """The words of the chunk."""
        choice = chunk["choices"][0]
        piece = str(choice["delta"].get("content") or "")
        self._text += piece
        if choice["finish_reason"] is not None:
            message = {"role": "assistant", "content": self._text}
            self.whole = _reply({**chunk, "choices": [{**choice, "message": message}]})
        return piece

    def end(self) -> Reply:
        """The whole reply; ServiceError where the answer ended before it."""
        if self.whole is None:
            raise ServiceError(503, "unavailable", "the reply broke off")
        return self.whole


def pieces(lines: Iterator[str]) -> Iterator[str | Reply]:
    """The words of a streamed answer as they come, and at the end the whole reply."""
    gathered = Gathered()
    for line in lines:
        chunk = event_of(line)
        if chunk is not None and (piece := gathered.add(chunk)):
            yield piece
    yield gathered.end()


def _reply(value: Mapping[str, Any]) -> Reply:
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
