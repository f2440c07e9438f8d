"""POST /v1/chats/{id}/replies: an assistant's answer in a live chat, at once or piece by piece, kept as a message."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from serve.chats.routes import MODE, ChatId, told_of
from serve.edge import logs
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.problems import Refusal, declared
from serve.edge.reading import read
from serve.edge.replies import reply
from serve.replies.conversing import Answer, Conversing
from serve.replies.schemas import ChatAnswerReply, ChatAnswerRequest

_EVENTS = "text/event-stream"
_EVENT = {"type": "object", "properties": {"data": {"type": "string", "contentMediaType": "application/json"}}}


def chat_answer_routes(conversing: Conversing, limits: Limits) -> APIRouter:
    """The router. Nothing is kept beside the chat."""
    router = APIRouter(prefix="/chats", tags=["chats"])

    @router.post(
        "/{chat_id}/replies",
        status_code=201,
        summary="Have an assistant answer",
        operation_id="answer_in_chat",
        response_model=ChatAnswerReply,
        responses={
            201: {"content": {"application/json": {}, _EVENTS: {"schema": _EVENT}}},
            **declared(400, 404, 408, 409, 413, 415, 422),
        },
        openapi_extra=body(ChatAnswerRequest, {"stream": True, "total": 5}),
    )
    async def answer(request: Request, chat_id: ChatId) -> Response:
        """Answers the chat's last message, or with `another` puts another answer in place of the last one; none comes
        twice in a chat. The answer is a message of the chat. Streamed, each event has a piece of the `text` and the
        last one the `message`; hanging up stops it, and what has come by then is kept."""
        asked, _ = await read(request, ChatAnswerRequest, limits)
        answer = await conversing.answer(chat_id, asked, owner_of(request.scope))
        logs.get().info("replying", responder=answer.wanted.responder, messages=answer.total, stream=asked.stream)
        if asked.stream:
            return StreamingResponse(_events(answer), 201, media_type=_EVENTS)
        async for _ in answer.pieces():
            pass
        if answer.message is None:
            raise Refusal(503, "unavailable", answer.error or "the reply broke off", retry_after=10)
        return reply(request, _told(answer), 201)

    return router


async def _events(answer: Answer) -> AsyncIterator[bytes]:
    """The answer as server-sent events. What broke off has an `error` before its message, or in place of it."""

    def event(**told: Any) -> bytes:
        return b"data: " + orjson.dumps(told) + b"\n\n"

    try:
        async with aclosing(answer.pieces()) as pieces:  # a client that hangs up stops the responder
            async for piece in pieces:
                yield event(text=piece)
    except Refusal as refusal:  # it could not be kept
        yield event(error={"type": refusal.kind, "message": refusal.detail, "code": refusal.status})
        return
    if answer.error is not None:
        yield event(error={"type": "unavailable", "message": answer.error, "code": 503})
    if answer.message is not None:
        yield event(message=_told(answer))


def _told(answer: Answer) -> dict[str, Any]:
    assert answer.message is not None
    return {**told_of(answer.message), "chat": answer.chat, "mode": MODE, "warnings": list(answer.warnings)}
