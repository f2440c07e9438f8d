"""Other ways to say how long a unit has left: its age alone, and statistics of a window through boosted trees."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import CensoredData, weibull_min
from sklearn.ensemble import HistGradientBoostingRegressor

from dialog.telemetry.series import Floats, Series

WINDOW = 30
"""Samples of which the statistics are."""


class StillSeen:
    """How many units are still under observation at an age: Kaplan and Meier's estimate of the censoring, not of the
    failures."""

    def __init__(self, units: Sequence[Series]) -> None:
        ages = np.array([(s.failure if s.failure is not None else s.times[-1]) - s.times[0] for s in units if len(s)])
        censored = np.array([s.failure is None for s in units if len(s)])
        order = np.lexsort((censored, ages))  # who fails at an age fails before anybody leaves at it
        self._ages = ages[order]
        at_risk = len(ages) - np.arange(len(ages))
        self._share = np.concatenate([[1.0], np.cumprod(np.where(censored[order], 1.0 - 1.0 / at_risk, 1.0))])

    def __call__(self, ages: Floats) -> Floats:
        """The share seen just before those ages."""
        return np.asarray(self._share[np.searchsorted(self._ages, ages, side="left")])


def brier(told: Sequence[tuple[Series, NDArray[np.int64], Floats]], ends: Floats, seen: StillSeen) -> float:
    """The mean over the span told of the squared error of survival curves: 0 is best, 0.25 a coin's.

    told: a unit, places (m,) among its samples and the curves (m, K + 1) said there; units count alike. Who was seen to
    fail or to live by an end is weighed by how seldom a unit is watched so long, and an end beyond what anybody was
    watched for is not asked about   (Graf et al. 1999, eq. 3).
    """
    off, weight = np.zeros(len(ends) - 1), np.zeros(len(ends) - 1)
    for series, places, curves in told:
        if not len(places):
            continue
        left, age = series.remaining()[places][:, None], (series.times[places] - series.times[0])[:, None]
        failed = (series.failure is not None) & (left <= ends[1:])
        known = failed | (left > ends[1:])
        here = np.maximum(seen(age), 1e-9)
        share = seen(age + np.where(failed, left, ends[1:])) / here
        asked = known & (seen(age + ends[1:]) / here > _SELDOM)
        each = np.where(asked, 1.0 / np.maximum(share, _SELDOM), 0.0) / len(places)
        off += (each * (~failed - curves[:, 1:]) ** 2).sum(0)
        weight += each.sum(0)
    asked_at = weight > 0
    widths = np.diff(ends)[asked_at]
    return float((off[asked_at] / weight[asked_at] * widths).sum() / widths.sum()) if asked_at.any() else float("nan")


_SELDOM = 0.02
"""Of units watched so long: with fewer left, a figure is of those few."""


def mean_within(curves: Floats, ends: Floats, rest: Floats) -> Floats:
    """(n,) the mean of lives that end within `rest` (n,), of survival curves (n, K + 1), straight between ends.

    (integral of S to r, less r S(r)) / (1 - S(r)); where the curve leaves no such end, half of the rest.
    """
    lower, widths = ends[:-1], np.diff(ends)
    part = ((rest[:, None] - lower) / widths).clip(0.0, 1.0)  # of each bin, what lies within the rest
    start, drop = curves[:, :-1], curves[:, :-1] - curves[:, 1:]
    last = curves[:, 0] - (drop * part).sum(1)
    area = ((start - drop * part / 2) * widths * part).sum(1)
    ended = curves[:, 0] - last
    reach = np.minimum(rest, ends[-1])
    return np.asarray(np.where(ended > 1e-9, (area - reach * last) / np.maximum(ended, 1e-9), np.maximum(rest, 0) / 2))


class WeibullOnAge:
    """A Weibull distribution of a fleet's lives, censored ones included; what is left is conditional on the age."""

    def __init__(self, units: Sequence[Series], cap: float) -> None:
        lives = np.array([(s.failure if s.failure is not None else s.times[-1]) - s.times[0] for s in units])
        ended = np.array([s.failure is not None for s in units])
        known = lives > 0
        data = CensoredData(uncensored=lives[known & ended], right=lives[known & ~ended])
        self._shape, _, self._scale = weibull_min.fit(data, floc=0.0)
        self._grid, self._cap = np.linspace(0.0, cap, 201), cap

    def left(self, age: Floats) -> Floats:
        """(n,) the mean of the remaining life, no longer than the cap, at ages (n,)."""
        log_s = weibull_min.logsf(age[:, None] + self._grid, self._shape, scale=self._scale)
        alive = np.exp(log_s - log_s[:, :1])
        return np.asarray(np.trapezoid(alive, self._grid, axis=1))

    def curves(self, age: Floats, ends: Floats) -> Floats:
        """(n, K + 1) survival at ends (K + 1,) beyond ages (n,)."""
        log_s = weibull_min.logsf(age[:, None] + ends, self._shape, scale=self._scale)
        return np.asarray(np.exp(log_s - log_s[:, :1]))


def window_statistics(series: Series, channels: Sequence[int], at: Sequence[int]) -> Floats:
    """(len(at), 4 C + 1) of each channel the newest, mean, deviation and slope of the last samples, and the age."""
    rows = []
    for c in channels:
        y = series.values[:, c]
        newest = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(len(y)), -1))
        y = np.where(newest >= 0, y[newest], np.nan)
        padded = np.concatenate([np.full(WINDOW - 1, y[0]), y])
        windows = sliding_window_view(padded, WINDOW)[list(at)]
        centred = np.arange(WINDOW) - (WINDOW - 1) / 2
        slope = (windows * centred).sum(1) / (centred**2).sum()
        rows += [windows[:, -1], windows.mean(1), windows.std(1), slope]
    rows.append(series.times[list(at)] - series.times[0])
    return np.stack(rows, 1)


class BoostedTrees:
    """Gradient boosting (scikit-learn) of the capped remaining life on window statistics; units that failed alone."""

    def __init__(
        self, units: Sequence[Series], channels: Sequence[int], cap: float, near: float, every: int = 5
    ) -> None:
        self._channels, self._cap = channels, cap
        xs, ys = [], []
        for s in units:
            if s.failure is not None and len(s) > 1:
                at = [i for i in range(0, len(s), every) if s.remaining()[i] <= near] or [len(s) - 1]
                xs.append(window_statistics(s, channels, at))
                ys.append(np.minimum(s.remaining()[at], cap))
        self._trees = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, max_leaf_nodes=15, random_state=0)
        self._trees.fit(np.concatenate(xs), np.concatenate(ys))

    def left(self, series: Series, at: Sequence[int]) -> Floats:
        """(len(at),) at those samples."""
        said = self._trees.predict(window_statistics(series, self._channels, at))
        return np.asarray(np.clip(said, 0.0, self._cap))
