"""POST /v1/chat/completions: a conversation in, a reply out, at once or piece by piece, with the emotions of both."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from models.catalogue import REPLY
from serve.edge import logs
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.problems import Refusal, declared, declared_as
from serve.edge.reading import pointer, read, refuse_long
from serve.edge.replies import reply
from serve.emotion.routes import PREDICTION
from serve.replies.answering import Answered, Answering
from serve.replies.schemas import ChatReply, ChatRequest

_EXAMPLE: dict[str, Any] = {
    "model": REPLY,
    "messages": [{"role": "user", "content": "I finally got the job!!"}],
    "rapport": {"to_feel": "joy"},
}
_NOTES: dict[str, Any] = {
    "messages": [{**PREDICTION, "causes": []}],
    "reply": {**PREDICTION, "causes": []},
    "sure": True,
    "picture": None,
    "responder_version": f"{REPLY}@1f0c7ad2b3e4",
}
_ANSWER: dict[str, Any] = {
    "id": "chatcmpl-0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "object": "chat.completion",
    "created": 1767225600,
    "model": REPLY,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "That's wonderful! Congratulations!"},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": None,
    "rapport": _NOTES,
    "request_id": "6f1d8c3e9b7a4d22",
}
_EVENTS = "text/event-stream"


def reply_routes(answering: Answering, limits: Limits) -> APIRouter:
    """The router. Nothing is kept: the conversation comes whole each time."""
    router = APIRouter(tags=["replies"])

    @router.post(
        "/chat/completions",
        summary="Answer in a conversation",
        operation_id="create_chat_completion",
        response_model=ChatReply,
        responses={
            200: {"content": {"application/json": {"example": _ANSWER}, _EVENTS: {"schema": {"type": "string"}}}},
            **declared(400, 408, 413, 415, 422),
            **declared_as("There is no such responder", Refusal(404, "not-found", "there is no such responder")),
        },
        openapi_extra=body(ChatRequest, _EXAMPLE),
    )
    async def complete(request: Request) -> Response:
        """A reply to the last message, as clients of OpenAI's API ask for one, streamed or not. A picture in a message
        (a data: URI) is what that message, and the questions after it, are about. Emotions of the messages and of the
        reply are under `rapport`."""
        asked, _ = await read(request, ChatRequest, limits)
        refuse_long(_lengths(asked), limits)
        answered = await answering.answer(asked, owner_of(request.scope))
        logs.get().info("replying", responder=answered.model, messages=len(asked.messages), stream=bool(asked.stream))
        shell = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": answered.model}
        if asked.stream:
            return StreamingResponse(_events(answered, shell), media_type=_EVENTS)
        text = "".join([piece async for piece in answered.pieces()])
        if answered.error is not None:
            raise Refusal(503, "unavailable", answered.error, retry_after=10)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": answered.finish,
            "logprobs": None,
        }
        told = {**shell, "object": "chat.completion", "choices": [choice], "usage": None, "rapport": answered.notes()}
        return reply(request, told)

    return router


async def _events(answered: Answered, shell: dict[str, Any]) -> AsyncIterator[bytes]:
    """The reply as server-sent events. One that breaks off ends with an `error` in place of a reason."""

    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        chunk = {**shell, "object": "chat.completion.chunk", "choices": [choice], **more}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    yield event({"role": "assistant", "content": ""}, rapport={"messages": answered.messages})
    async with aclosing(answered.pieces()) as pieces:  # a client that hangs up stops the responder
        async for piece in pieces:
            yield event({"content": piece})
    if answered.error is not None:
        told = {"error": {"message": answered.error, "type": "unavailable", "code": 503}}
        yield b"data: " + orjson.dumps(told) + b"\n\n"
        return
    yield event({}, answered.finish, rapport=answered.notes())
    yield b"data: [DONE]\n\n"


def _lengths(asked: ChatRequest) -> list[tuple[str, str, int]]:
    """Everything that has a limit: where it is, the limit's name, its length."""
    found = [("/messages", "utterances_per_request", len(asked.messages))]
    for i, message in enumerate(asked.messages):
        found.append((pointer("messages", i, "name"), "characters_per_name", len(message.name or "")))
        if isinstance(message.content, str):
            found.append((pointer("messages", i, "content"), "characters_per_utterance", len(message.content)))
            continue
        words = sum(len(part.text) + 1 for part in message.content if part.type == "text")
        found.append((pointer("messages", i, "content"), "characters_per_utterance", words))
    for i, text in enumerate(asked.rapport.instead_of):
        found.append((pointer("rapport", "instead_of", i), "characters_per_utterance", len(text)))
    return found
