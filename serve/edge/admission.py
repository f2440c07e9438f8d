"""How much work may wait: so much of it, and no more than can be done soon."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.edge.limits import Limits
from serve.edge.problems import overloaded

_BUSY = 500
"""Utterances. With fewer waiting the models may be idle at times, and their speed does not show."""
_WINDOW_SECONDS = 0.5
_GAP_SECONDS = 0.05
"""Answers further apart than this are of two batches."""
_STEADY_SECONDS = 2.0
"""Answers that come so long without such a gap are of no batch."""
_KEPT = 3
"""Measurements that are kept; the quickest of them is the speed, since a batch may yet be half counted."""


class Admission:
    """Utterances accepted and not yet answered; beyond the limits a request is told to come back.

    What matters to whoever waits is not how much waits but how long it takes, and that differs between machines and
    models a hundredfold. So the speed is measured while there is a backlog. Answers come in batches, many at one
    moment and then none for seconds: only from the end of one batch to the end of another does the count say a speed.
    What comes while a batch is handed out must not make half of it count: a batch is whole when the next one begins.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._waiting = 0
        self._speeds: deque[float] = deque(maxlen=_KEPT)  # utterances a second
        self._since: float | None = None  # when the window began; None while there is no backlog
        self._last = 0.0  # when something was answered last, or something came where nothing waited
        self._done = 0  # utterances answered in the window, all of them by then
        self._batch_since = 0.0  # when the first answer of this batch came

    @contextmanager
    def admit(self, n_utterances: int) -> Iterator[None]:
        """For as long as the work waits or runs. Refusal 429. A request alone is always admitted."""
        self._look()
        wanted = self._waiting + n_utterances
        if self._waiting and wanted > self._limits.waiting_utterances:
            retry = self._seconds(self._waiting)
            raise overloaded("too many utterances are waiting", limit="waiting_utterances", retry_after=retry)
        if self._waiting > _BUSY and self._seconds(wanted) > self._limits.waiting_seconds:
            retry = self._seconds(self._waiting)
            raise overloaded("it would take too long", limit="waiting_seconds", retry_after=retry)
        if not self._waiting:
            self._last = self._clock()
        self._waiting = wanted
        if self._since is None and wanted >= _BUSY:
            self._since, self._done = self._last, 0
        try:
            yield
        finally:
            now = self._clock()
            if now - self._last > _GAP_SECONDS:
                self._measure()
                self._batch_since = now
            self._waiting -= n_utterances
            self._done += n_utterances
            self._last = now

    def _seconds(self, n_utterances: int) -> float:
        """How long so many take; 0 where that is not known."""
        return n_utterances / max(self._speeds) if self._speeds else 0.0

    def _look(self) -> None:
        """Asked when something comes: ends the window where there is no backlog any more, or no batches."""
        if self._waiting < _BUSY or self._last - self._batch_since >= _STEADY_SECONDS:
            self._measure()
            self._batch_since = self._last
        if self._waiting < _BUSY:
            self._since = None

    def _measure(self) -> None:
        """Takes the speed up to the last answer."""
        if self._since is not None and (seconds := self._last - self._since) >= _WINDOW_SECONDS:
            self._speeds.append(max(self._done, 1) / seconds)
            self._since, self._done = self._last, 0
