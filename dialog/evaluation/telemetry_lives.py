"""Other ways to say how long a unit has left: its age alone, and statistics of a window through boosted trees."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import CensoredData, weibull_min
from sklearn.ensemble import HistGradientBoostingRegressor

from dialog.telemetry.series import Floats, Series

WINDOW = 30
"""Samples of which the statistics are."""


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
