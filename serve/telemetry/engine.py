"""The model that watches fleets, in the process of the API: a hundred thousand parameters need no process of their own.

It is loaded when the first samples come, and runs in one thread, so that it never takes more than one core.
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serve.config import TelemetryConfig
from serve.edge import logs
from serve.edge.problems import Refusal, overloaded

if TYPE_CHECKING:
    from dialog.telemetry.state import UnitState
    from dialog.telemetry.watcher import Samples, Watched, Watcher

MISSING = "model-missing"


class Telemetry:
    """A Watcher, and what it costs: calls that wait are counted, and one too many is 429."""

    def __init__(self, config: TelemetryConfig | None = None) -> None:
        self._config = config or TelemetryConfig()
        self._watcher: Watcher | None = None
        self._loading = threading.Lock()
        self._threads = ThreadPoolExecutor(1, "telemetry")
        self._waiting = 0

    async def watcher(self) -> "Watcher":
        """The model; Refusal 503 where it cannot be loaded."""
        return self._watcher or await self._do(self._load)

    async def feed(self, batch: "Sequence[Samples]", *, history: bool = False) -> "list[Watched]":
        """As Watcher.feed."""
        watcher = await self.watcher()
        found: list[Watched] = await self._do(watcher.feed, batch, history=history)
        return found

    async def restore(self, data: bytes) -> "UnitState | None":
        """The state; None where it is of another model."""
        watcher = await self.watcher()
        try:
            return watcher.restore(data)
        except ValueError:
            return None

    async def _do(self, work: Any, *args: Any, **told: Any) -> Any:
        if self._waiting >= self._config.queued:
            raise overloaded("too many fleets are being looked at")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **told))
        finally:
            self._waiting -= 1

    def _load(self) -> "Watcher":
        from dialog.telemetry.watcher import Watcher

        with self._loading:
            if self._watcher is None:
                try:
                    self._watcher = Watcher.load(self._config.model, device="cpu")
                except Exception as error:  # weights that are missing or broken
                    logs.get().error("telemetry failed to load", **logs.about(error))
                    raise missing() from None
                logs.get().info("telemetry ready", model_version=self._watcher.version)
            return self._watcher


def missing() -> Refusal:
    """503: there is no model for telemetry, and waiting will not bring one."""
    return Refusal(503, MISSING, "the model that watches fleets cannot be loaded", retry_after=600)
