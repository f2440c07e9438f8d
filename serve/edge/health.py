"""Whether the service can do its work, known beforehand: whoever asks is answered at once, however busy it is."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from serve.edge import logs

Check = Callable[[], Awaitable[str | None]]
"""What is wrong, in words for an operator; None where nothing is. What it raises is wrong too."""


class Health:
    """The last known state of a few checks. They run beside the questions, each at most once in `every` seconds.

    A question waits `patience` seconds for checks whose result is older than that, and then goes by what is known. A
    check that has not ended after `seconds` has failed.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, every: float = 1.0, patience: float = 0.05, seconds: float = 5.0
    ) -> None:
        self._checks = dict(checks)
        self._every = every
        self._patience = patience
        self._seconds = seconds
        self._found: dict[str, str | None] = dict.fromkeys(checks, "not known yet")
        self._looked: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def state(self) -> dict[str, str | None]:
        """What is wrong with each part, or None; within `patience` seconds."""
        now = time.monotonic()
        for name in self._checks:
            if name not in self._running and now - self._looked.get(name, -self._every) >= self._every:
                self._looked[name] = now
                self._running[name] = asyncio.create_task(self._look(name))
        if self._running:
            await asyncio.wait(self._running.values(), timeout=self._patience)
        return dict(self._found)

    async def _look(self, name: str) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._checks[name]()
        except TimeoutError:
            found = f"no answer within {self._seconds:g} s"
        except Exception as error:
            logs.get().error("check failed", check=name, **logs.about(error))
            found = "the check failed; the log says more"
        if found != self._found[name]:
            logs.get().info("health", check=name, healthy=found is None)
        self._found[name] = found
        del self._running[name]
