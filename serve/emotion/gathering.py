"""Requests that come together are labelled by one call: a hop between processes costs as much as a short chat does."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from serve.edge import metrics
from serve.emotion.deployment import Job, JobAnswer, padded_work


class _Waiting(NamedTuple):
    job: Job
    answer: asyncio.Future[JobAnswer]
    since: float


class Gatherer:
    """Jobs go out at once while fewer than `calls` are under way; those that wait go together in the next call.

    A call holds jobs of at most `work` padded utterances together, or one job. Used in one event loop only.
    """

    def __init__(self, call: Callable[[list[Job]], Awaitable[list[JobAnswer]]], *, calls: int, work: int) -> None:
        self._call = call
        self._calls = calls
        self._work = work
        self._waiting: deque[_Waiting] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer. What the call raises, every job in it raises."""
        answer: asyncio.Future[JobAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(job, answer, time.perf_counter()))
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

    def _take(self) -> list[_Waiting]:
        """The next jobs that go together; whoever has gone away in the meantime is left out."""
        taken: list[_Waiting] = []
        while self._waiting:
            first = self._waiting[0]
            if not first.answer.done():
                if taken and padded_work([*(waiting.job for waiting in taken), first.job]) > self._work:
                    break
                taken.append(first)
            self._waiting.popleft()
        return taken

    async def _run(self, taken: list[_Waiting]) -> None:
        waited = [time.perf_counter() - waiting.since for waiting in taken]
        try:
            answers = await self._call([waiting.job for waiting in taken])
            for waiting, answer, seconds in zip(taken, answers, waited, strict=True):
                metrics.QUEUE_SECONDS.observe(seconds)
                if not waiting.answer.done():
                    waiting.answer.set_result(replace(answer, queue_seconds=seconds))
            metrics.BATCH_MESSAGES.observe(sum(len(turns) for w in taken for turns in w.job.conversations))
            metrics.MODEL_SECONDS.observe(max(answer.model_seconds for answer in answers))
        except BaseException as error:
            for waiting in taken:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
