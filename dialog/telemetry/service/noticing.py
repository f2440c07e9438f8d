"""What is noticed in a service's figures: a straight line to a limit, and a chart of what load does not explain."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dialog.telemetry.series import Floats
from dialog.telemetry.service.points import CHANNELS, Expected, Minute

WINDOW = 60
"""Minutes that a line is drawn through."""
LAMBDA = 0.03
"""Of the chart: the weight of the newest minute."""
M, N = 3, 5
"""So many of the last minutes must say so."""
QUIET = 10
"""Minutes running without a word after which an alarm has ended."""
_USUAL = 3.0  # deviations of the chart; further out a minute counts less for what is expected from then on
_FEWEST = 10  # minutes that a line needs
_ERRORS = 2.0  # standard errors of a slope, for the earliest and latest end


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """From where on something is said. The defaults are those that the validation bed chose: see
    `dialog.evaluation.telemetry.service`."""

    line: float = 50.0
    """Minutes to the limit; fewer are an alarm."""
    chart: tuple[float, ...] = (23.0, 14.0, 7.0, 21.0, math.inf)
    """Deviations of the chart, by channel."""


class Judged(NamedTuple):
    """One minute, (R, C) each."""

    left: Floats  # minutes until the limit by a straight line; 0 past it, inf where none leads there
    earliest: Floats  # the same by a slope two standard errors steeper,
    latest: Floats  # and by one as much flatter
    chart: Floats  # the mean of the deviations from what was expected, in its own deviations; worse is above 0


def straight(times: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """(R, C) minutes from 0 until a value of 1, by the least-squares line through values (w, R, C) at times (w,), and
    with its slope two standard errors steeper and flatter. NaN is missing; fewer than ten tell nothing."""
    there = np.isfinite(values)
    n = there.sum(0)
    y, t = np.where(there, values, 0.0), np.where(there, times[:, None, None], 0.0)
    count = np.maximum(n, 1)
    t_mean, y_mean = t.sum(0) / count, y.sum(0) / count
    off, high = (t - t_mean) * there, (y - y_mean) * there
    spread = np.maximum((off**2).sum(0), 1e-12)
    slope = (off * high).sum(0) / spread
    scatter = ((high - slope * off) ** 2).sum(0) / np.maximum(n - 2, 1)
    error = _ERRORS * np.sqrt(scatter / spread)
    level = y_mean - slope * t_mean

    def until(pace: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(pace > 0, (1.0 - level) / pace, np.inf)
        return np.where(n >= _FEWEST, np.where(level >= 1.0, 0.0, left), np.inf)

    return until(slope), until(slope + error), until(slope - error)


class Judge:
    """Judges services minute by minute, at the same small cost however long they run.

    judge = Judge()
    judged = judge.step(minute)
    """

    def __init__(self, n_services: int = 1, window: int = WINDOW) -> None:
        shape = (n_services, len(CHANNELS))
        self._expected = Expected(n_services)
        self._means = np.zeros(shape)
        self._times, self._values = np.zeros(window), np.full((window, *shape), np.nan)
        self._n = 0

    def step(self, minute: Minute) -> Judged:
        """What the next minute says."""
        place = self._n % len(self._times)
        self._times[place], self._values[place] = minute.time, minute.channels
        self._n += 1
        left, earliest, latest = straight(self._times - minute.time, self._values)
        trust = np.minimum(1.0, _USUAL / np.maximum(np.abs(self._means), _USUAL))
        z = self._expected.deviations(minute, trust)
        self._means = LAMBDA * z + (1.0 - LAMBDA) * self._means
        return Judged(left, earliest, latest, self._means / math.sqrt(LAMBDA / (2.0 - LAMBDA)))


class Alarms:
    """Which alarms stand, of one service: begun by m of n minutes, ended by QUIET minutes without one."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self._said = np.zeros((N, len(CHANNELS), 2), bool)
        self._quiet = np.zeros(len(CHANNELS), int)
        self._n = 0
        self.since: list[float | None] = [None] * len(CHANNELS)
        """The time at which each channel's alarm began, None where none stands."""
        self.by_line: NDArray[np.bool_] = np.zeros(len(CHANNELS), bool)
        """Whether it is a limit that comes near; else it is other than it was."""

    def step(self, minute: Minute, judged: Judged) -> None:
        """After every minute."""
        t = self._thresholds
        now = np.stack([judged.left[0] < t.line, judged.chart[0] > np.array(t.chart)], -1)
        self._said[self._n % N] = now
        self._n += 1
        begun = self._said.sum(0) >= M  # (C, 2)
        self._quiet = np.where(now.any(-1), 0, self._quiet + 1)
        for c in range(len(CHANNELS)):
            if begun[c].any():
                self.since[c] = minute.time if self.since[c] is None else self.since[c]
                self.by_line[c] = begun[c, 0]
            elif self._quiet[c] >= QUIET:
                self.since[c] = None
