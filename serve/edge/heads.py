"""How long a connection may take over the head of a request, and how many of one address may be at it.

uvicorn has no limit for either, and no middleware hears of a request before its head is whole: whoever sends half a
head on each of many connections would hold all of them for ever.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.edge import metrics
from serve.edge.limits import Limits
from serve.edge.proxies import Network, is_in


def watched(limits: Limits, proxies: Sequence[Network] = ()) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with those limits. What comes from `proxies` is many clients', and is not counted."""
    at_it: dict[str, dict[HttpToolsProtocol, Callable[[str], None]]] = {}
    """Of each address the connections on which no whole head has come yet, the oldest first, and what ends each."""

    class Watched(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _address = ""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._address = self.client[0] if self.client else ""
            self._begin()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            is_http = self in self.connections  # and no web socket by now
            if is_http and (self.cycle is None or self.cycle.response_complete):
                self._begin()  # what came is not the whole of a head

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _begin(self) -> None:
            if self._timer is not None or self.transport.is_closing():
                return
            mine = at_it.setdefault(self._address, {})
            mine[self] = self._give_up
            self._timer = self.loop.call_later(limits.head_seconds, self._give_up, "head_seconds")
            if len(mine) > limits.heads_arriving_per_client and not is_in(self._address, proxies):
                # Whoever has taken longest: an honest sender, who has the whole of it ready, is never he.
                next(iter(mine.values()))("heads_arriving_per_client")

        def _end(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                del at_it[self._address][self]
                if not at_it[self._address]:
                    del at_it[self._address]

        def _give_up(self, limit: str) -> None:
            self._end()
            metrics.REFUSALS.labels("no-request", limit).inc()
            self.transport.close()

    return Watched


def watch(limits: Limits, proxies: Sequence[Network] = ()) -> None:
    """From now on the servers of this process have them. Ray begins its own, and lets nobody say by which protocol."""
    auto.AutoHTTPProtocol = watched(limits, proxies)
