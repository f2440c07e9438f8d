"""A fleet: units, and what was measured of each over time until it failed or was last seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One unit. Raises ValueError where its parts do not fit together."""

    unit: str
    times: Floats  # (n,) strictly increasing, in the fleet's unit of time
    values: Floats  # (n, C), NaN where a value is missing
    failure: float | None = None
    """When it failed, at its last time or later; None is a unit that was alive when last seen (censored)."""
    lot: str = ""
    """Units made together are alike: splits keep a lot whole where lots are told."""

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or self.values.ndim != 2 or len(self.times) != len(self.values):
            raise ValueError(
                f"unit {self.unit}: times {self.times.shape} and values {self.values.shape}, expected (n,) and (n, C)"
            )
        if not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            raise ValueError(f"unit {self.unit}: its times must be numbers, each later than the one before")
        if self.failure is not None and len(self.times) and not self.failure >= self.times[-1]:
            raise ValueError(
                f"unit {self.unit}: it failed at {self.failure} but was measured until {self.times[-1]}; "
                "leave out what comes after the failure"
            )

    def __len__(self) -> int:
        return len(self.times)

    def remaining(self) -> Floats:
        """(n,) how long the unit had left at each sample; for a unit that did not fail, at least how long."""
        if not len(self.times):
            return self.times
        return (self.times[-1] if self.failure is None else self.failure) - self.times

    def until(self, n: int) -> "Series":
        """Its first n samples, as they were known then: of a failure still to come nothing but the date is kept."""
        return Series(self.unit, self.times[:n], self.values[:n], self.failure, self.lot)


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Units of the same channels. Raises ValueError for a unit named twice or with other channels."""

    channels: tuple[str, ...]
    series: tuple[Series, ...]
    time_unit: str = "h"
    """A word for people; times are never converted by it."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for one in self.series:
            if one.values.shape[1] != len(self.channels):
                raise ValueError(
                    f"unit {one.unit} has {one.values.shape[1]} channels, expected {len(self.channels)}: "
                    f"{', '.join(self.channels)}"
                )
            if one.unit in seen:
                raise ValueError(f"unit {one.unit} stands in the fleet twice")
            seen.add(one.unit)

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    def of(self, series: Sequence[Series]) -> "Fleet":
        """The same channels, other units."""
        return Fleet(self.channels, tuple(series), self.time_unit)

    @property
    def n_failed(self) -> int:
        return sum(one.failure is not None for one in self.series)


def split(fleet: Fleet, shares: Sequence[float], seed: int) -> list[Fleet]:
    """Parts of about these shares of the units. A lot is never divided; where no lots are told, each unit is one."""
    lots: dict[str, list[Series]] = {}
    for one in fleet:
        lots.setdefault(one.lot or f"unit {one.unit}", []).append(one)
    names = sorted(lots)
    np.random.default_rng(seed).shuffle(names)
    ends = np.cumsum(shares) * len(fleet)
    parts: list[list[Series]] = [[] for _ in shares]
    for name in names:  # to the part that lacks most of what it should have
        sizes = np.array([len(part) for part in parts])
        lacking = np.diff(ends, prepend=0.0) - sizes
        parts[int(lacking.argmax())] += lots[name]
    return [fleet.of(part) for part in parts]
