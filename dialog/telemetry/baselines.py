"""The simple ways: control charts that notice, straight lines and power laws that say how long is left."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import lfilter

from dialog.telemetry.series import Floats

Known = NDArray[np.bool_]

LAMBDA = 0.1
"""Of the EWMA chart: the weight of the newest value."""
SLACK = 0.5
"""Of the CUSUM: so many standard deviations are no drift."""
WINDOW = 64
"""Samples that an extrapolation is fitted to."""


class Chart(NamedTuple):
    """A control chart's state, C channels: the means of an EWMA, or both sums of a CUSUM."""

    first: Floats  # (C,)
    second: Floats  # (C,)


def chart(n_channels: int) -> Chart:
    """Before the first value."""
    return Chart(np.zeros(n_channels), np.zeros(n_channels))


def ewma_scores(z: Floats, state: Chart) -> tuple[Floats, Chart]:
    """z (n, C), zero and one wide where all is well, to (n,): the largest channel's |mean| in its own deviations.

    m_t = lambda z_t + (1 - lambda) m_{t-1}, whose variance is lambda / (2 - lambda)   (Roberts 1959).
    """
    if not len(z):
        return np.zeros(0), state
    keep = 1.0 - LAMBDA
    if len(z) == 1:
        means = LAMBDA * z + keep * state.first
    else:
        means, _ = lfilter([LAMBDA], [1.0, -keep], z, axis=0, zi=keep * state.first[None])
    return np.abs(means).max(1) / np.sqrt(LAMBDA / (2.0 - LAMBDA)), Chart(means[-1], state.second)


def cusum_scores(z: Floats, state: Chart) -> tuple[Floats, Chart]:
    """z (n, C) to (n,): the larger of S_t = max(0, S_{t-1} + z_t - k) upwards and the same downwards (Page 1954)."""
    if not len(z):
        return np.zeros(0), state
    sums = []
    for sign, start in ((1.0, state.first), (-1.0, state.second)):
        total = np.cumsum(sign * z - SLACK, 0)
        # Unrolled: S_t is the sum since its last reset, which is where the running sum was least.
        sums.append(total + np.maximum(start, -np.minimum.accumulate(total, 0)))
    return np.maximum(*sums).max(1), Chart(sums[0][-1], sums[1][-1])


def linear_left(times: Floats, values: Floats, limit: float, *, above: bool = True, window: int = WINDOW) -> float:
    """How long after the last time a straight line through the last `window` values takes to the limit.

    0 where the limit is passed already, inf where the line does not lead to it or there are fewer than two values.
    """
    times, values = times[-window:], values[-window:]
    if not len(times):
        return float("inf")
    return float(linear_left_at(times, values, np.full(len(times), limit), above=above, window=window)[-1])


def linear_left_at(
    times: Floats, values: Floats, limits: Floats, *, above: bool = True, window: int = WINDOW
) -> Floats:
    """The same at every step (n,), each from what was known then; limits (n,). NaN values are missing."""
    t, y, known = _windows(times, values, window)
    level, slope = _line(t, y, known)
    return _until(level, slope, limits, above, known.sum(1) >= 2)


def power_left_at(
    times: Floats,
    values: Floats,
    levels: Floats,
    limits: Floats,
    start: float,
    *,
    above: bool = True,
    window: int = WINDOW,
) -> Floats:
    """(n,) how long a power law y = level + A (t - start)^m through the last `window` values takes to the limits (n,).

    It is a line in log t and log |y - level|; values on the other side of the level (n,) tell nothing.
    """
    sign = 1.0 if above else -1.0
    t, y, known = _windows(times, values, window)
    rise, age = sign * (y - levels[:, None]), t + (times - start)[:, None]
    known = known & (rise > 0) & (age > 0)
    log_age = np.log(np.where(known, age, 1.0))
    a, m = _line(log_age, np.log(np.where(known, rise, 1.0)), known)
    goal = sign * (limits - levels)
    with np.errstate(all="ignore"):
        at = np.exp((np.log(goal) - a) / m)
        left = at - (times - start)
    usable = (known.sum(1) >= 3) & (m > 0) & np.isfinite(left)
    return np.where(sign * (_newest(values) - limits) >= 0, 0.0, np.where(usable, np.maximum(left, 0.0), np.inf))


def _windows(times: Floats, values: Floats, window: int) -> tuple[Floats, Floats, Known]:
    """(n, window) times from the newest, values, and which of them there are."""
    pad = np.full(window - 1, np.nan)
    t = sliding_window_view(np.concatenate([pad, times]), window) - times[:, None]
    y = sliding_window_view(np.concatenate([pad, values]), window)
    known = np.isfinite(t) & np.isfinite(y)
    return np.where(known, t, 0.0), np.where(known, y, 0.0), known


def _line(t: Floats, y: Floats, known: Known) -> tuple[Floats, Floats]:
    """The value at t = 0 and the slope, (n,) each, by least squares; a slope of 0 where no line is told."""
    n = np.maximum(known.sum(1), 1)
    t_mean, y_mean = (t * known).sum(1) / n, (y * known).sum(1) / n
    off = (t - t_mean[:, None]) * known
    spread = (off**2).sum(1)
    slope = np.divide((off * (y - y_mean[:, None])).sum(1), spread, out=np.zeros_like(spread), where=spread > 0)
    return y_mean - slope * t_mean, slope


def _until(level: Floats, slope: Floats, limits: Floats, above: bool, usable: Known) -> Floats:
    sign = 1.0 if above else -1.0
    gap, speed = sign * (limits - level), sign * slope
    with np.errstate(all="ignore"):
        left = np.where(speed > 0, gap / speed, np.inf)
    return np.where(usable, np.where(gap <= 0, 0.0, left), np.inf)


def _newest(values: Floats) -> Floats:
    """(n,) the last value that is none of the missing."""
    at = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    return np.where(at >= 0, values[at], np.nan)
