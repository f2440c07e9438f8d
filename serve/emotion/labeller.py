"""Who labels: the same calls on a Ray Serve deployment or, in tests and notebooks, on taggers in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from serve.edge.calls import answer_of, late
from serve.edge.problems import unavailable
from serve.emotion.deployment import CALLS, About, Job, JobAnswer, Taggers, padded_work
from serve.emotion.gathering import Gatherer
from serve.emotion.long import Heard, LongJob, followed
from serve.emotion.steps import Step, Stepped

T = TypeVar("T")

STEPS = 16
"""Messages of live chats in one call: more are hardly quicker together, and each waits for all of them."""


class Labeller(Protocol):
    """What the routes need of the models. Any call may raise a Refusal: 429 when full, 503 when nobody answers."""

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""

    async def label_log(self, job: Job) -> JobAnswer:
        """The same for a part of a log: it may take long, and runs beside the jobs somebody waits for."""

    async def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """The same for one long conversation; `heard` is told how many utterances are read. Cancelled, it is stopped,
        and what was read is kept where the job says."""

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

    async def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """The same for one long conversation."""

        def work(inside: Heard) -> JobAnswer:
            return self._taggers.label_long(job, inside)

        return await _last(followed(None, work), heard)

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""
        return (await asyncio.to_thread(self._taggers.step, [step]))[0]

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await asyncio.to_thread(self._taggers.about, model)


class RemoteLabeller:
    """The Emotion deployment behind a handle. Nothing here keeps state, so a call may be made twice.

    answer_seconds bounds every call, the second try included. Jobs for `label` go together in batches of `work` padded
    utterances, messages of live chats in batches of STEPS; `calls` batches of each are under way at once.
    """

    def __init__(self, handle: Any, answer_seconds: float, *, calls: int = CALLS, work: int = 4096) -> None:
        self._handle = handle
        self._answer_seconds = answer_seconds
        self._jobs = Gatherer(
            self._label_together, calls=calls, most=work, size=padded_work, messages=lambda job: job.n_utterances
        )
        self._steps = Gatherer(self._step_together, calls=calls, most=STEPS, size=len, messages=lambda step: 1)

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""
        return await self._in_time(self._jobs.ask(job))

    async def _label_together(self, jobs: list[Job]) -> list[JobAnswer]:
        return await self._call(lambda: self._handle.label.remote(jobs))

    async def label_log(self, job: Job) -> JobAnswer:
        """The same for a part of a log."""
        return await self._call(lambda: self._handle.label_log.remote(job))

    async def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """The same for one long conversation."""

        async def follow() -> JobAnswer:
            stream = self._handle.options(stream=True).label_long.remote(job)
            try:
                return await _last(stream, heard)
            except asyncio.CancelledError:
                stream.cancel()
                raise

        return await self._call(follow)

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""
        return await self._in_time(self._steps.ask(step))

    async def _step_together(self, steps: list[Step]) -> list[Stepped]:
        return await self._call(lambda: self._handle.step.remote(steps))

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await self._call(lambda: self._handle.about.remote(model))

    async def _call(self, start: Callable[[], Awaitable[T]]) -> T:
        return await answer_of(start, self._answer_seconds, queue="emotion.queued")

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await answer
        except TimeoutError:
            raise late(self._answer_seconds) from None


async def _last(said: AsyncIterator[int | JobAnswer], heard: Callable[[int], None]) -> JobAnswer:
    """The answer at the end; what comes before it is how far it is."""
    async for one in said:
        if isinstance(one, JobAnswer):
            return one
        heard(one)
    raise unavailable("the reading ended without an answer")
