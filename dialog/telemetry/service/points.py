"""What is known of a service each minute, and what of it is explained by how much there was to do.

Arrays have a row a service, R of them: one where it watches itself, hundreds where watching is measured.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dialog.telemetry.series import Floats

CHANNELS = ("latency", "queue", "errors", "memory", "disk")
"""What is watched, each as a share of its own limit: 1 is where it must not come."""
FILLING = np.array([name in ("memory", "disk") for name in CHANNELS])
"""What runs full, and is read as it is; the others are read on a log scale."""
FLOOR = 1e-3
"""On a log scale less of a limit is as good as nothing."""


class Minute(NamedTuple):
    """One minute of R services. Load and size are what there was to do; NaN is what could not be measured."""

    time: float  # minutes, on any clock
    load: Floats  # (R,) requests a second
    size: Floats  # (R,) messages a request
    channels: Floats  # (R, C) the mean time of an answer, the mean wait of a call, the share of 5xx, memory, disk


SPAN = 1440.0
"""Minutes that an expectation remembers: a day, which has every load."""
LEARNING = 120
"""Minutes before anything is judged by an expectation: a service that has just begun fills its caches."""
SLACK = np.array([0.08, 0.15, 0.5, 0.004, 0.002])
"""Deviations are at least this wide, by channel: below it a change is of no matter however even things were."""
FEW = 30.0
"""Answers in a minute; the mean of fewer says little, and counts for less."""
_FAR = 5.0  # deviations; what lies further out tells the variance no more than that


@dataclass(slots=True)
class Expected:
    """What each channel usually is at such a load: recursive least squares on [1, log load, log size], an old minute
    counting less and less.

    expected = Expected(n_services=1)
    z = expected.deviations(minute)
    """

    weights: Floats  # (R, C, 4)
    inverse: Floats  # (R, C, 4, 4)
    variance: Floats  # (R, C)
    seen: Floats  # (R, C) minutes
    usual: Floats  # (R,) the mean of load times size so far

    def __init__(self, n_services: int = 1) -> None:
        shape = (n_services, len(CHANNELS))
        self.weights = np.zeros((*shape, 4))
        self.inverse = np.tile(1e2 * np.eye(4), (*shape, 1, 1))
        self.usual = np.zeros(n_services)
        self.variance, self.seen = np.full(shape, 0.01), np.zeros(shape)

    def deviations(self, minute: Minute, trust: Floats | float = 1.0) -> Floats:
        """(R, C) how far the minute lies from what was expected, in deviations; 0 where nothing is known.

        trust (R, C) is how much the minute counts for what is expected afterwards: what stands out is not to become
        usual at once.
        """
        logs = np.log(np.maximum(minute.channels, FLOOR))
        y = np.where(FILLING, minute.channels, logs)
        load, size = np.maximum(minute.load, 0.0), np.maximum(minute.size, 0.0)
        n = self.seen.max(1)
        self.usual += (load * size - self.usual) / np.minimum(n + 1.0, SPAN)
        busy = np.minimum(load * size / np.maximum(self.usual, 1e-9), 6.0)
        u = np.stack([np.ones_like(load), np.log1p(load), np.log1p(size), busy], -1)  # (R, 4)
        evidence = np.where(FILLING, 1.0, (60.0 * load / (60.0 * load + FEW))[:, None])
        there = np.isfinite(y)
        off = np.where(there, y - np.einsum("rci,ri->rc", self.weights, u), 0.0)
        # Of a load never seen less is known: the filter's own uncertainty widens what is expected of it.
        doubt = np.maximum(np.einsum("ri,rcij,rj->rc", u, self.inverse, u), 0.0)
        wide = np.maximum(np.sqrt(self.variance * (1.0 + doubt)), SLACK)
        z = np.where(there & (self.seen >= LEARNING), np.sqrt(evidence) * off / wide, 0.0)
        self._learn(u, off, np.where(there, trust * evidence, 0.0), wide)
        return z

    def _learn(self, u: Floats, off: Floats, count: Floats, wide: Floats) -> None:
        some = count > 0
        kept = self.inverse / np.where(some, 1.0 - 1.0 / SPAN, 1.0)[..., None, None]
        pu = np.einsum("rcij,rj->rci", kept, u)
        room = 1.0 / np.where(some, count, 1.0) + np.einsum("rci,ri->rc", pu, u)
        gain = np.where(some[..., None], pu / room[..., None], 0.0)
        self.weights += gain * off[..., None]
        # What was never seen must not make the filter as good as empty: its uncertainty is bounded.
        self.inverse = np.clip(kept - gain[..., None] * pu[..., None, :], -1e2, 1e2)
        self.seen += some
        # At first the mean of the squares, then an exponential one; a single far one counts little.
        pace = count * np.maximum(1.0 / np.maximum(self.seen - 5.0, 1.0), 1.0 / SPAN)
        self.variance += pace * (np.minimum(off**2, (_FAR * wide) ** 2) - self.variance)
