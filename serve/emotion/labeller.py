"""Who labels: models in this process, or a Ray Serve deployment, behind the same calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from serve.edge.calls import answer_of, late
from serve.edge.problems import unavailable
from serve.emotion.deployment import CALLS, About, Job, JobAnswer, Models, Taggers, padded_work
from serve.emotion.gathering import Gatherer
from serve.emotion.long import LongJob
from serve.emotion.steps import Step, Stepped

T = TypeVar("T")

WORK = 512
"""Padded utterances in one call, by default: more are hardly quicker together."""
LARGE = 128
"""A request of more utterances goes by itself: the others need not wait for it."""
STEPS = 16
"""Messages of live chats in one call: more are hardly quicker together, and each waits for all of them."""
PATIENCE = 0.25
"""Seconds. Where there is one model, short requests wait so long for the end of a call, and then go between its
pieces."""


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


class _Gathering:
    """Jobs go together in batches of `work` padded utterances, messages of live chats in batches of STEPS; `calls`
    batches of each are under way at once, or with `patience` as few as will do. answer_seconds bounds every call."""

    def __init__(self, answer_seconds: float, calls: int, work: int, patience: float = 0.0) -> None:
        self._answer_seconds = answer_seconds
        self._jobs = Gatherer(
            self._label_together,
            calls=calls,
            most=work,
            size=padded_work,
            messages=lambda job: job.n_utterances,
            owner=lambda job: job.owner,
            large=lambda job: job.n_utterances > LARGE,
            patience=patience,
        )
        self._steps = Gatherer(
            self._step_together,
            calls=1 if patience else calls,  # nothing goes between the pieces of so short a call
            most=STEPS,
            size=len,
            messages=lambda step: 1,
            patience=patience,
        )

    async def label(self, job: Job) -> JobAnswer:
        """The job's answer."""
        return await self._in_time(self._jobs.ask(job))

    async def step(self, step: Step) -> Stepped:
        """One message of a live chat."""
        return await self._in_time(self._steps.ask(step))

    async def _label_together(self, jobs: list[Job]) -> list[JobAnswer]:
        raise NotImplementedError

    async def _step_together(self, steps: list[Step]) -> list[Stepped]:
        raise NotImplementedError

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await answer
        except TimeoutError:
            raise late(self._answer_seconds) from None


class LocalLabeller(_Gathering):
    """Models in this process: nothing travels, nothing is parsed twice."""

    def __init__(
        self, taggers: Taggers, answer_seconds: float = 120.0, *, calls: int = CALLS, work: int = WORK
    ) -> None:
        super().__init__(answer_seconds, calls, work, PATIENCE)
        self._models = Models(taggers)

    async def label_log(self, job: Job) -> JobAnswer:
        """A part of a log."""
        return await self._models.label_log(job)

    async def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """One long conversation."""
        return await _last(self._models.label_long(job), heard)

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await self._models.about(model)

    async def _label_together(self, jobs: list[Job]) -> list[JobAnswer]:
        return await self._models.label(jobs)

    async def _step_together(self, steps: list[Step]) -> list[Stepped]:
        return await self._models.step(steps)


class RemoteLabeller(_Gathering):
    """The Emotion deployment behind a handle. Nothing here keeps state, so a call may be made twice; answer_seconds
    bounds the second try too."""

    def __init__(self, handle: Any, answer_seconds: float, *, calls: int = CALLS, work: int = WORK) -> None:
        super().__init__(answer_seconds, calls, work)
        self._handle = handle

    async def label_log(self, job: Job) -> JobAnswer:
        """A part of a log."""
        return await self._call(lambda: self._handle.label_log.remote(job))

    async def label_long(self, job: LongJob, heard: Callable[[int], None]) -> JobAnswer:
        """One long conversation."""

        async def follow() -> JobAnswer:
            stream = self._handle.options(stream=True).label_long.remote(job)
            try:
                return await _last(stream, heard)
            except asyncio.CancelledError:
                stream.cancel()
                raise

        return await self._call(follow)

    async def about(self, model: str) -> About:
        """Labels and version of a model."""
        return await self._call(lambda: self._handle.about.remote(model))

    async def _label_together(self, jobs: list[Job]) -> list[JobAnswer]:
        return await self._call(lambda: _ended_with(self._handle.label.remote(jobs)))

    async def _step_together(self, steps: list[Step]) -> list[Stepped]:
        return await self._call(lambda: self._handle.step.remote(steps))

    async def _call(self, start: Callable[[], Awaitable[T]]) -> T:
        return await answer_of(start, self._answer_seconds, queue="emotion.queued")


async def _ended_with(response: Any) -> Any:
    """What a deployment answers. Whoever no longer waits for it ends the work there too, which Ray does not do."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise


async def _last(said: AsyncIterator[int | JobAnswer], heard: Callable[[int], None]) -> JobAnswer:
    """The answer at the end; what comes before it is how far it is."""
    async for one in said:
        if isinstance(one, JobAnswer):
            return one
        heard(one)
    raise unavailable("the reading ended without an answer")
