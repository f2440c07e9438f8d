"""The assistant's answer in the Chat tab: its words as they come, then the chat it has become a message of.

A component of Gradio answers a browser once; this comes piece by piece, so it has an address of its own: a line of JSON
a piece. The browser hangs up to stop it, and what has come by then is kept by the service.
"""

import json
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool

from serve.client import Client, ServiceError
from ui.messages import ShownMessage
from ui.page.chat.tab import after, failed, opened, text_of
from ui.page.drawing import render

PATH = "/rapport/answer"
_MOVED_ON = ("chat-changed", "nothing-to-answer", "nothing-answered")
"""The chat is another than the browser thought: it is shown as it is, and that is all."""


def answers(asked: dict[str, Any], client: Client) -> Generator[dict[str, Any], None, None]:
    """Pieces of `text`, and at the end what is `told` as for any act. To close it stops the answer."""
    total = asked.get("total")
    try:
        pieces = client.stream_chat_answer(
            text_of(asked, "chat"),
            responder=text_of(asked, "responder") or None,
            another=asked.get("another") is True,
            total=total if isinstance(total, int) else None,
        )
        with closing(pieces):
            for piece in pieces:
                if isinstance(piece, str):
                    yield {"text": piece}
                    continue
                message = ShownMessage.of(piece)
                warnings = {message.n: message.warnings} if message.warnings else {}
                yield {"told": after(asked, text_of(asked, "chat"), warnings, client, first=message.n)}
    except ServiceError as error:
        yield {"told": _told(error, asked, client)}


def _told(error: ServiceError, asked: dict[str, Any], client: Client) -> dict[str, Any]:
    if error.kind == "no-other-answer":
        return {"notice": render.notice("info", "It has no other answer to this.")}
    if error.kind not in _MOVED_ON:
        return failed(error)
    try:
        return opened(asked, client)
    except ServiceError as another:
        return failed(another)


def add_route(app: FastAPI, client: Client, path: str) -> None:
    """Answers at PATH below the page's own path."""

    @app.post(path.rstrip("/") + PATH, include_in_schema=False)
    async def answer(request: Request) -> Response:
        # A form of another page cannot send this type unasked.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return Response("expected application/json", 415)
        try:
            asked = json.loads(await request.body())
        except ValueError:
            asked = None
        if not isinstance(asked, dict) or not text_of(asked, "chat"):
            return Response("expected a JSON object that names a chat", 400)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_lines(answers(asked, client)), media_type="application/x-ndjson", headers=headers)


async def _lines(pieces: Generator[dict[str, Any], None, None]) -> AsyncIterator[bytes]:
    try:
        async for piece in iterate_in_threadpool(pieces):
            yield json.dumps(piece).encode() + b"\n"
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(pieces.close)
