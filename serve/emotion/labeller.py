"""Who labels: the same calls on a Ray Serve deployment or, in tests and notebooks, on taggers in this process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from serve.edge.calls import answer_of, late
from serve.emotion.deployment import CALLS, About, Job, JobAnswer, Step, Stepped, Taggers
from serve.emotion.gathering import Gatherer

T = TypeVar("T")


class Labeller(Protocol):
    """What the routes need of the models. Any call may raise a Refusal: 429 when full, 503 when nobody answers."""

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""

    async def label_log(self, job: Job) -> JobAnswer:
        """The same for a part of a log: it may take long, and runs beside the jobs somebody waits for."""

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""

    async def about(self, model: str) -> About:
        """Labels and version of a model."""


class LocalLabeller:
    """Taggers in this process, each call in a thread."""

    def __init__(self, taggers: Taggers) -> None:
        self._taggers = taggers

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""
        return (await asyncio.to_thread(self._taggers.label, [job]))[0]

    async def label_log(self, job: Job) -> JobAnswer:
        """The same."""
        return await self.label(job)

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""
        return await asyncio.to_thread(self._taggers.step, step)

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await asyncio.to_thread(self._taggers.about, model)


class RemoteLabeller:
    """The Emotion deployment behind a handle. Nothing here keeps state, so a call may be made twice.

    answer_seconds bounds every call, the second try included. Jobs for `label` go together in batches of `work` padded
    utterances, `calls` of which are under way at once.
    """

    def __init__(self, handle: Any, answer_seconds: float, *, calls: int = CALLS, work: int = 4096) -> None:
        self._handle = handle
        self._answer_seconds = answer_seconds
        self._gatherer = Gatherer(self._label_together, calls=calls, work=work)

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._gatherer.label(job)
        except TimeoutError:
            raise late(self._answer_seconds) from None

    async def _label_together(self, jobs: list[Job]) -> list[JobAnswer]:
        return await self._call(lambda: self._handle.label.remote(jobs))

    async def label_log(self, job: Job) -> JobAnswer:
        """The same for a part of a log."""
        return await self._call(lambda: self._handle.label_log.remote(job))

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""
        return await self._call(lambda: self._handle.step.remote(step))

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await self._call(lambda: self._handle.about.remote(model))

    async def _call(self, start: Callable[[], Awaitable[T]]) -> T:
        return await answer_of(start, self._answer_seconds, queue="emotion.queued")
