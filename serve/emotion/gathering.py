"""What comes together is done by one call: a hop between processes costs as much as a short chat does."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, TypeVar

from serve.edge import metrics


class Answered(Protocol):
    """An answer that says how long it waited, and how long the model had the call it was in."""

    @property
    def queue_seconds(self) -> float: ...

    @property
    def model_seconds(self) -> float: ...


Asked = TypeVar("Asked")
Answer = TypeVar("Answer", bound=Answered)


class _Waiting(NamedTuple, Generic[Asked, Answer]):
    asked: Asked
    answer: "asyncio.Future[Answer]"
    since: float


class Gatherer(Generic[Asked, Answer]):
    """What is asked goes out at once while fewer than `calls` are under way; what waits goes together in the next call.

    A call holds at most `most` by the measure of `size`, or one thing. Used in one event loop only.
    """

    def __init__(
        self,
        call: Callable[[list[Asked]], Awaitable[list[Answer]]],
        *,
        calls: int,
        most: int,
        size: Callable[[list[Asked]], int],
        messages: Callable[[Asked], int],
    ) -> None:
        """`messages` is how many there are in one thing asked, for the figures."""
        self._call = call
        self._calls = calls
        self._most = most
        self._size = size
        self._messages = messages
        self._waiting: deque[_Waiting[Asked, Answer]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Answer:
        """The answer. What the call raises, everything in it raises."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, answer, time.perf_counter()))
        self._start()
        return await answer

    def _start(self) -> None:
        while len(self._under_way) < self._calls and (taken := self._take()):
            task = asyncio.ensure_future(self._run(taken))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start()

    def _take(self) -> list[_Waiting[Asked, Answer]]:
        """What goes together next; whoever has gone away in the meantime is left out."""
        taken: list[_Waiting[Asked, Answer]] = []
        while self._waiting:
            first = self._waiting[0]
            if not first.answer.done():
                if taken and self._size([*(waiting.asked for waiting in taken), first.asked]) > self._most:
                    break
                taken.append(first)
            self._waiting.popleft()
        return taken

    async def _run(self, taken: list[_Waiting[Asked, Answer]]) -> None:
        waited = [time.perf_counter() - waiting.since for waiting in taken]
        try:
            answers = await self._call([waiting.asked for waiting in taken])
            for waiting, answer, seconds in zip(taken, answers, waited, strict=True):
                metrics.QUEUE_SECONDS.observe(seconds)
                if not waiting.answer.done():
                    waiting.answer.set_result(replace(answer, queue_seconds=seconds))  # type: ignore[type-var]
            metrics.BATCH_MESSAGES.observe(sum(self._messages(w.asked) for w in taken))
            metrics.MODEL_SECONDS.observe(max(answer.model_seconds for answer in answers))
        except BaseException as error:
            for waiting in taken:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
