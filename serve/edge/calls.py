"""One call of a deployment: made again where its replica dies, bounded in time, its failures turned into refusals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serve.edge.problems import Refusal, overloaded, unavailable

T = TypeVar("T")


async def answer_of(start: Callable[[], Awaitable[T]], seconds: float, *, queue: str) -> T:
    """What `start` gives, tried twice within `seconds`: nothing it calls may keep state.

    `queue` is the setting that bounds how much may wait. Refusal 429 where that is full, 503 where nobody answers.
    """
    try:
        async with asyncio.timeout(seconds):
            try:
                return await start()
            except died():  # a replica that dies takes its requests along; another one answers
                return await start()
    except TimeoutError:
        raise late(seconds) from None
    except died():
        raise unavailable("the models are not there at the moment") from None
    except full() as error:
        asked = getattr(error, "retry_after_s", None) or 1.0
        raise overloaded("the models have too much to do", limit=queue, retry_after=asked) from None


def late(seconds: float) -> Refusal:
    """503: it took too long."""
    return unavailable(f"no answer within {seconds:g} s")


def died() -> tuple[type[BaseException], ...]:
    """What Ray raises where a replica is gone."""
    from ray.exceptions import RayActorError, TaskCancelledError, WorkerCrashedError
    from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError

    return (
        RayActorError,
        WorkerCrashedError,
        TaskCancelledError,
        DeploymentUnavailableError,
        ReplicaUnavailableError,
    )


def full() -> type[BaseException]:
    """What Ray raises where too many calls wait."""
    from ray.serve.exceptions import BackPressureError

    found: type[BaseException] = BackPressureError
    return found
