"""How much work may wait: so much of it, and no more than can be done soon."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.edge.limits import Limits
from serve.edge.problems import overloaded

_BUSY = 500
"""Utterances. With fewer waiting the models may be idle at times, and their speed does not show."""
_WINDOW_SECONDS = 0.5
_NEW = 0.5
"""The part of a new measurement in the speed."""


class Admission:
    """Utterances accepted and not yet answered; beyond the limits a request is told to come back.

    What matters to whoever waits is not how much waits but how long it takes, and that differs between machines and
    models a hundredfold. So the speed is measured while there is a backlog. Answers come in batches, many at one
    moment and then none for seconds: only from the end of one batch to the end of another does the count say a speed.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._waiting = 0
        self._speed: float | None = None  # utterances a second
        self._since: float | None = None  # when the window began; None while there is no backlog
        self._last = 0.0  # when something was answered last, or something came where nothing waited
        self._done = 0  # utterances answered in the window, all of them by then

    @contextmanager
    def admit(self, n_utterances: int) -> Iterator[None]:
        """For as long as the work waits or runs. Refusal 429. A request alone is always admitted."""
        self._measure()
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
            self._waiting -= n_utterances
            self._done += n_utterances
            self._last = self._clock()

    def _seconds(self, n_utterances: int) -> float:
        """How long so many take; 0 where that is not known."""
        return n_utterances / self._speed if self._speed else 0.0

    def _measure(self) -> None:
        """Takes the speed up to the last answer. Asked when something comes, for then no batch is half counted."""
        if self._since is not None and (seconds := self._last - self._since) >= _WINDOW_SECONDS:
            measured = self._done / seconds
            self._speed = measured if self._speed is None else (1 - _NEW) * self._speed + _NEW * measured
            self._since, self._done = self._last, 0
        if self._waiting < _BUSY:
            self._since = None
