"""Requests that come together are labelled by one call: a hop between processes costs as much as a short chat does."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from serve.emotion.deployment import Job, JobAnswer, padded_work


class Gatherer:
    """Jobs go out at once while fewer than `calls` are under way; those that wait go together in the next call.

    A call holds jobs of at most `work` padded utterances together, or one job. Used in one event loop only.
    """

    def __init__(self, call: Callable[[list[Job]], Awaitable[list[JobAnswer]]], *, calls: int, work: int) -> None:
        self._call = call
        self._calls = calls
        self._work = work
        self._waiting: deque[tuple[Job, asyncio.Future[JobAnswer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer. What the call raises, every job in it raises."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((job, answer))
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

    def _take(self) -> list[tuple[Job, asyncio.Future[JobAnswer]]]:
        """The next jobs that go together; whoever has gone away in the meantime is left out."""
        taken: list[tuple[Job, asyncio.Future[JobAnswer]]] = []
        while self._waiting:
            job, answer = self._waiting[0]
            if not answer.done():
                if taken and padded_work([*(job for job, _ in taken), job]) > self._work:
                    break
                taken.append((job, answer))
            self._waiting.popleft()
        return taken

    async def _run(self, taken: list[tuple[Job, asyncio.Future[JobAnswer]]]) -> None:
        try:
            answers = await self._call([job for job, _ in taken])
            for (_, future), answer in zip(taken, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except BaseException as error:
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
