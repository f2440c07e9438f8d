"""When a call is made again, and when not: as late as the service asks, with some chance in it, and never for ever."""

from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from .errors import ServiceError


class Patience:
    """429 and 503 are tried again `retries` times, no later than `longest_wait` seconds each; a 500 once."""

    def __init__(self, retries: int, longest_wait: float) -> None:
        self._retries = retries
        self._longest_wait = longest_wait
        self._wait = wait_exponential_jitter(multiplier=0.2, max=longest_wait, jitter=0.5)

    def waiting(self) -> Retrying:
        """For one call of a client that waits."""
        return Retrying(**self._how())

    def awaiting(self) -> AsyncRetrying:
        """For one call of a client that does not."""
        return AsyncRetrying(**self._how())

    def _how(self) -> dict[str, Any]:
        return {
            "retry": retry_if_exception(_Again()),
            "wait": self._seconds,
            "stop": stop_after_attempt(self._retries + 1),
            "reraise": True,
        }

    def _seconds(self, state: RetryCallState) -> float:
        """How long to wait: what the service asked for, and a little more so that not everybody returns at once."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ServiceError) and error.retry_after else 0.0
        return min(asked + self._wait(state), self._longest_wait)


class _Again:
    """Whether a call is made again after this error; remembers the one second chance that a 500 has."""

    def __init__(self) -> None:
        self._chances = 1

    def __call__(self, error: BaseException) -> bool:
        if not isinstance(error, ServiceError):
            return False
        if error.kind == "model-missing":
            return False
        if error.overloaded or error.kind == "in-progress":
            return True
        if error.status == 500 and self._chances:
            self._chances -= 1
            return True
        return False
