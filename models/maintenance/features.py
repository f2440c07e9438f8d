"""Raw samples of one unit to what the networks read: normalised, gaps marked, the time between samples told."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Level = Literal["fleet", "relative", "offset"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """How values become features. Centre and scale are those of the training units alone."""

    levels: tuple[Level, ...]
    """One a channel: "fleet" is (x - centre) / scale; "relative" divides by the unit's own mean m of its first samples,
    (x / m - 1) / scale, so that a factor on all of a unit's values changes nothing; "offset" is (x - m) / scale."""
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    interval: float = 1.0
    """The usual time between samples."""
    burn_in: int = 16
    """Samples of a channel from which m is taken; until then m is the mean of those so far."""
    smooth: tuple[float, ...] = ()
    """Each adds the channels' exponential means over about so many samples."""
    age: bool = False
    """Adds the logarithm of the time since the first sample."""
    squash: bool = False
    """Takes asinh of the normalised values: noise stays as it is, what grows a hundredfold is read on a log scale."""
    clip: float = 1e4
    """No normalised value is further from zero, so that one absurd sample cannot drown a state."""

    def __post_init__(self) -> None:
        if not self.levels or not len(self.levels) == len(self.centre) == len(self.scale):
            raise ValueError(
                f"{len(self.levels)} levels, {len(self.centre)} centres and {len(self.scale)} scales: expected one of "
                "each a channel"
            )
        if unknown := set(self.levels) - {"fleet", "relative", "offset"}:
            raise ValueError(f"levels {sorted(unknown)}: expected fleet, relative or offset")
        if not all(np.isfinite(self.centre)) or not all(s > 0 and np.isfinite(s) for s in self.scale):
            raise ValueError("every centre must be a number and every scale one above 0")
        if not self.interval > 0 or self.burn_in < 1 or not self.clip > 0 or any(s < 1 for s in self.smooth):
            raise ValueError("interval and clip must be above 0, burn_in and every span of smooth 1 or more")

    @property
    def n_channels(self) -> int:
        return len(self.levels)

    @property
    def n_features(self) -> int:
        return self.n_channels * (2 + len(self.smooth)) + 1 + self.age


class UnitSoFar(NamedTuple):
    """What is remembered of a unit's raw samples. C channels, S spans of `smooth`."""

    n: Floats  # (2,) samples read; the time of the first
    last_time: Floats  # (1,) -inf before the first sample
    seen: Floats  # (C,) samples that the mean is of, at most burn_in
    mean: Floats  # (C,) of the first samples
    last: Floats  # (C,) the last normalised value, 0 before there is one
    means: Floats  # (S, C) the exponential means


class Read(NamedTuple):
    features: NDArray[np.float32]  # (n, F)
    values: Floats  # (n, C) normalised; where one is missing, the last one known
    level: Floats  # (n, C) and
    unit: Floats  # (n, C): a normalised value v is `raw` of it in the channel's own unit
    mean: Floats  # (n, C) of the unit's first samples, as far as they were known then


class Features:
    """`read` a unit's next samples; the same whether they come at once or one by one."""

    def __init__(self, config: FeaturesConfig) -> None:
        self.config = config
        self._centre, self._scale = np.array(config.centre), np.array(config.scale)
        self._relative = np.array([level == "relative" for level in config.levels])
        self._fleet = np.array([level == "fleet" for level in config.levels])

    def initial_state(self) -> UnitSoFar:
        c, s = self.config.n_channels, len(self.config.smooth)
        return UnitSoFar(np.zeros(2), np.full(1, -np.inf), np.zeros(c), np.zeros(c), np.zeros(c), np.zeros((s, c)))

    def read(self, times: Floats, values: Floats, state: UnitSoFar) -> tuple[Read, UnitSoFar]:
        """times (n,), each later than the one before and than the last read; values (n, C), not finite is missing."""
        c = self.config
        n = len(times)
        there = np.isfinite(values)
        x = np.where(there, values, 0.0)
        level, unit, count, mean, means_so_far = self._levels(x, there, state)
        with np.errstate(over="ignore", invalid="ignore"):
            z = np.nan_to_num((x - level) / unit).clip(-c.clip, c.clip)
        # The last one known stands in for a missing one.
        newest = np.maximum.accumulate(np.where(there, np.arange(1, n + 1)[:, None], 0), 0)
        z = np.arcsinh(z) if c.squash else z
        z = np.take_along_axis(np.concatenate([state.last[None], z]), newest, 0)
        before = np.concatenate([state.last_time, times[:-1]])
        first = state.n[1] if state.n[0] else (times[0] if n else 0.0)
        with np.errstate(invalid="ignore"):
            gap = np.where(np.isfinite(before), times - before, c.interval)
        parts = [z, ~there, np.log1p(gap / c.interval)[:, None] - np.log(2.0)]
        means = []
        for span, mean_before in zip(c.smooth, state.means, strict=True):
            keep = 1.0 - 1.0 / span
            start = mean_before if state.n[0] else (z[0] if n else mean_before)
            if n > 1:
                smooth, _ = lfilter([1.0 - keep], [1.0, -keep], z, axis=0, zi=keep * start[None])
            else:
                smooth = (1.0 - keep) * z + keep * start[None]
            parts.append(smooth[:n])
            means.append(smooth[-1] if n else mean_before)
        if c.age:
            parts.append(np.log1p((times - first) / c.interval)[:, None] / 5.0)
        after = UnitSoFar(
            np.array([state.n[0] + n, first]),
            times[-1:].copy() if n else state.last_time,
            count,
            mean,
            z[-1] if n else state.last,
            np.array(means).reshape(state.means.shape),
        )
        return Read(np.concatenate(parts, 1, dtype=np.float32, casting="unsafe"), z, level, unit, means_so_far), after

    def raw(self, values: Floats, level: Floats, unit: Floats) -> Floats:
        """Normalised values (..., C) in the channels' own units, level and unit (..., C) being those of `Read`."""
        return level + unit * (np.sinh(values) if self.config.squash else values)

    def _levels(self, x: Floats, there: NDArray[np.bool_], state: UnitSoFar) -> tuple[Floats, ...]:
        """level and unit (n, C), the count and mean (C,) after the samples, and the mean at each (n, C)."""
        so_far = state.seen + np.cumsum(there, 0)
        used = there & (so_far <= self.config.burn_in)
        count = np.minimum(so_far, self.config.burn_in)
        total = state.seen * state.mean + np.cumsum(np.where(used, x, 0.0), 0)
        mean = np.divide(total, count, out=np.zeros_like(x), where=count > 0)
        level = np.where(self._fleet, self._centre, mean)
        with np.errstate(over="ignore"):
            unit = np.where(self._relative, np.where(mean == 0, 1.0, np.abs(mean)), 1.0) * self._scale
        after = (count[-1], mean[-1]) if len(x) else (state.seen, state.mean)
        return level, unit, *after, mean
