"""What is known of a service each minute, and what of it is explained by how much there was to do.

Arrays have a row a service, R of them: one where it watches itself, hundreds where watching is measured.
"""

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
_RIDGE = 0.01  # weights are zero as long as nothing tells them
_FAR = 5.0  # deviations; what lies further out tells the variance no more than that


class Expected:
    """What each channel usually is at such a load: least squares on [1, log load, log size, use], an old minute
    counting less and less. It keeps sums alone, so a minute costs the same however long a service runs.

    expected = Expected()
    z = expected.deviations(minute)
    """

    def __init__(self, n_services: int = 1) -> None:
        shape = (n_services, len(CHANNELS))
        self._squares = np.tile(_RIDGE * np.eye(4), (*shape, 1, 1))  # (R, C, 4, 4) the sum of u u', and
        self._products = np.zeros((*shape, 4))  # (R, C, 4) that of u y
        self._variance, self._seen = np.full(shape, 0.01), np.zeros(shape)  # (R, C); minutes
        self._usual = np.zeros(n_services)  # (R,) the mean of load times size so far

    def deviations(self, minute: Minute, trust: Floats | float = 1.0) -> Floats:
        """(R, C) how far the minute lies from what was expected, in deviations; 0 where nothing is known.

        trust (R, C) is how much the minute counts for what is expected afterwards: what stands out is not to become
        usual at once.
        """
        y = np.where(FILLING, minute.channels, np.log(np.maximum(minute.channels, FLOOR)))
        u, evidence = self._work(minute)
        there = np.isfinite(y)
        right = np.stack([self._products, np.broadcast_to(u[:, None], self._products.shape)], -1)
        solved = np.linalg.solve(self._squares, right)  # (R, C, 4, 2): the weights, and what tells their uncertainty
        off = np.where(there, y - np.einsum("rci,ri->rc", solved[..., 0], u), 0.0)
        # Of a load never seen less is known: that widens what is expected of it.
        doubt = np.einsum("rci,ri->rc", solved[..., 1], u)
        wide = np.maximum(np.sqrt(self._variance * (1.0 + doubt)), SLACK)
        z = np.where(there & (self._seen >= LEARNING), np.sqrt(evidence) * off / wide, 0.0)
        self._learn(u, np.where(there, y, 0.0), off, np.where(there, trust * evidence, 0.0), wide)
        return z

    def _work(self, minute: Minute) -> tuple[Floats, Floats]:
        """u (R, 4), and how much a minute of so many answers says of each channel (R, C)."""
        load, size = np.maximum(minute.load, 0.0), np.maximum(minute.size, 0.0)
        self._usual += (load * size - self._usual) / np.minimum(self._seen.max(1) + 1.0, SPAN)
        use = np.minimum(load * size / np.maximum(self._usual, 1e-9), 6.0)
        u = np.stack([np.ones_like(load), np.log1p(load), np.log1p(size), use], -1)
        answers = 60.0 * load
        return u, np.where(FILLING, 1.0, (answers / (answers + FEW))[:, None])

    def _learn(self, u: Floats, y: Floats, off: Floats, count: Floats, wide: Floats) -> None:
        some = count > 0
        keep = np.where(some, 1.0 - 1.0 / SPAN, 1.0)[..., None]
        self._products = keep * self._products + (count * y)[..., None] * u[:, None]
        ridge = (1.0 - keep[..., None]) * _RIDGE * np.eye(4)
        square = u[:, :, None] * u[:, None, :]
        self._squares = keep[..., None] * self._squares + ridge + count[..., None, None] * square[:, None]
        self._seen += some
        # At first the mean of the squares, then an exponential one; a single far one counts little.
        pace = count * np.maximum(1.0 / np.maximum(self._seen - 5.0, 1.0), 1.0 / SPAN)
        self._variance += pace * (np.minimum(off**2, (_FAR * wide) ** 2) - self._variance)
