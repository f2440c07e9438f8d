"""Who looks at pictures: the same calls on a Ray Serve deployment or, in tests and notebooks, on an engine here."""

import asyncio
from typing import Any, Protocol

from serve.edge.calls import answer_of
from serve.pictures.deployment import Ask, Asked, Begin, Begun, Pictures

_QUEUE = "visual.queued"


class Viewer(Protocol):
    """What the routes need of the engine. Any call may raise a Refusal: 429 when full, 503 when nobody answers."""

    async def begin(self, asked: Begin) -> Begun:
        """Looks at the picture."""

    async def ask(self, asked: Ask) -> Asked:
        """One round."""


class LocalViewer:
    """An engine in this process, each call in a thread."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    async def begin(self, asked: Begin) -> Begun:
        """Looks at the picture."""
        return await asyncio.to_thread(self._pictures.begin, asked)

    async def ask(self, asked: Ask) -> Asked:
        """One round."""
        return await asyncio.to_thread(self._pictures.ask, asked)


class RemoteViewer:
    """The Visual deployment behind a handle. Nothing there keeps state, so a call may be made twice."""

    def __init__(self, handle: Any, answer_seconds: float) -> None:
        self._handle = handle
        self._answer_seconds = answer_seconds

    async def begin(self, asked: Begin) -> Begun:
        """Looks at the picture."""
        return await answer_of(lambda: self._handle.begin.remote(asked), self._answer_seconds, queue=_QUEUE)

    async def ask(self, asked: Ask) -> Asked:
        """One round."""
        return await answer_of(lambda: self._handle.ask.remote(asked), self._answer_seconds, queue=_QUEUE)
