"""Who answers: the same call on a Ray Serve deployment or, in tests and notebooks, on responders here."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from serve.edge.calls import answer_of
from serve.edge.problems import unavailable
from serve.replies.deployment import Reply, Responders, Said, in_thread

_QUEUE = "replies.queued"


class Answerer(Protocol):
    """What the routes need of the responders. May raise a Refusal before the first piece: 429 when full, 503."""

    def pieces(self, asked: Reply) -> AsyncGenerator[Said, None]:
        """The reply, piece by piece."""
        ...


class LocalAnswerer:
    """Responders in this process, each reply in a thread."""

    def __init__(self, responders: Responders) -> None:
        self._responders = responders

    async def pieces(self, asked: Reply) -> AsyncGenerator[Said, None]:
        """The reply, piece by piece."""
        async with aclosing(in_thread(self._responders.pieces(asked))) as pieces:
            async for said in pieces:
                yield said


class RemoteAnswerer:
    """The Replies deployment behind a handle. A piece may take `answer_seconds` at most."""

    def __init__(self, handle: Any, answer_seconds: float) -> None:
        self._handle = handle
        self._answer_seconds = answer_seconds

    async def pieces(self, asked: Reply) -> AsyncGenerator[Said, None]:
        """The reply, piece by piece; whoever stops asking stops the responder too, which Ray does not do by itself."""
        stream: Any = None

        async def begin() -> Said | None:
            nonlocal stream
            stream = self._handle.options(stream=True).reply.remote(asked)
            return await anext(stream, None)

        try:
            said = await answer_of(begin, self._answer_seconds, queue=_QUEUE)
            while said is not None:
                yield said
                if said.finish is not None or said.error is not None:
                    return
                try:
                    async with asyncio.timeout(self._answer_seconds):
                        said = await anext(stream, None)
                except Exception:  # its replica died, or it takes too long: what was said stays said
                    yield Said(error="the reply broke off")
                    return
            raise unavailable("the reply ended without an end")
        finally:
            if stream is not None:
                stream.cancel()
