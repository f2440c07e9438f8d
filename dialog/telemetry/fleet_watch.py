"""A fleet under watch: samples as they come, and at any time every unit, the worst first."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.telemetry.advice import Standing, advice_of, standing_of, urgency
from dialog.telemetry.cells import SECONDS
from dialog.telemetry.layout import UNTOLD
from dialog.telemetry.outlook import Outlook
from dialog.telemetry.series import Fleet, Floats, Series
from dialog.telemetry.state import UnitState
from dialog.telemetry.watcher import Samples, Watched, Watcher

_POINTS = 600  # of a unit's curve that are kept; with more every second one goes
_UNITS, _STEPS = 64, 2048  # fed at once: what memory it takes does not grow with the fleet or its years


@dataclass(slots=True)
class UnitNow:
    """One unit: what is said of it, and its curve, thinned."""

    unit: str
    outlook: Outlook | None = None
    n: int = 0
    failure: float | None = None
    began: datetime | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    times: Floats = field(default_factory=lambda: np.zeros(0))  # (p,)
    values: Floats = field(default_factory=lambda: np.zeros((0, 0)))  # (p, C)
    alarms: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))  # (p,)

    @property
    def standing(self) -> Standing:
        return standing_of(self.outlook, failed=self.failure is not None)

    def advice(self, unit_of_time: str) -> str:
        """What to do about it first."""
        return advice_of(self.outlook, self.standing, unit_of_time)

    def as_json(self, unit_of_time: str) -> dict[str, Any]:
        """Without the curve."""
        return {
            "unit": self.unit,
            "standing": self.standing,
            "advice": self.advice(unit_of_time),
            "samples": self.n,
            "failed_at": self.failure,
            "began": self.began.isoformat() if self.began else None,
            "left_out": dict(self.left_out),
            "outlook": self.outlook.as_json() if self.outlook else None,
        }


class FleetWatch:
    """The units of one model, with their states.

    watch = FleetWatch(Watcher.load("lasers"))
    watch.read(read_fleet("lasers.csv", channels=watch.channels).fleet)
    worst = watch.units()[0]
    """

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.channels, self.time_unit = watcher.channels, watcher.time_unit
        self._states: dict[str, UnitState] = {}
        self._units: dict[str, UnitNow] = {}

    def read(
        self,
        fleet: Fleet,
        *,
        began: Mapping[str, datetime] | None = None,
        left_out: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """The fleet's samples, after those that came before. Raises ValueError for other channels, or a unit of time
        that cannot be turned into the model's."""
        if fleet.channels != self.channels:
            raise ValueError(f"channels {', '.join(fleet.channels)}; expected {', '.join(self.channels)}")
        scale = factor(fleet.time_unit, self.time_unit)
        for at in range(0, len(fleet.series), _UNITS):
            self._feed([_scaled(one, scale) for one in fleet.series[at : at + _UNITS]])
        for name, when in (began or {}).items():
            if name in self._units:
                self._units[name].began = when
        for name, why in (left_out or {}).items():
            if name:
                self._units.setdefault(name, UnitNow(name)).left_out.update(why)

    def units(self) -> list[UnitNow]:
        """Every unit, the worst first."""
        return sorted(self._units.values(), key=lambda u: (*urgency(u.outlook, u.standing), u.unit))

    def as_json(self) -> dict[str, Any]:
        """All that is known, as JSON types."""
        return {
            "model": self.watcher.name,
            "model_version": self.watcher.version,
            "channels": list(self.channels),
            "time_unit": self.time_unit,
            "units": [unit.as_json(self.time_unit) for unit in self.units()],
        }

    def _feed(self, series: Sequence[Series]) -> None:
        longest = max((len(one) for one in series), default=0)
        for at in range(0, longest, _STEPS):
            part = [one for one in series if at < len(one)]
            samples = [
                Samples(one.unit, one.times[at : at + _STEPS], one.values[at : at + _STEPS], self._states.get(one.unit))
                for one in part
            ]
            for sample, told in zip(samples, self.watcher.feed(samples, history=True), strict=True):
                self._take(sample, told)
        for one in series:
            unit = self._units.setdefault(one.unit, UnitNow(one.unit))
            unit.failure = one.failure if one.failure is not None else unit.failure

    def _take(self, samples: Samples, told: Watched) -> None:
        unit = self._units.setdefault(told.unit, UnitNow(told.unit))
        self._states[told.unit] = told.state
        unit.outlook = told.outlook or unit.outlook
        unit.n = told.state.n
        unit.left_out.update(told.left_out)
        if told.history is None or not len(told.history.times):
            return
        kept = np.isin(samples.times, told.history.times)
        _, first = np.unique(samples.times[kept], return_index=True)
        values = samples.values[kept][first]
        unit.times = np.concatenate([unit.times, told.history.times])
        unit.values = np.concatenate([unit.values.reshape(-1, len(self.channels)), values])
        unit.alarms = np.concatenate([unit.alarms, told.history.alarm])
        while len(unit.times) > _POINTS:
            _thin(unit)


def factor(given: str, wanted: str) -> float:
    """What times in one unit are to be multiplied by. Times whose unit nobody told count as the wanted ones."""
    if given in (wanted, UNTOLD):
        return 1.0
    if given in SECONDS and wanted in SECONDS:
        return SECONDS[given] / SECONDS[wanted]
    raise ValueError(f"the times are in {given}, and the model counts in {wanted}; say which unit they are in")


def _scaled(one: Series, scale: float) -> Series:
    failure = None if one.failure is None else one.failure * scale
    return one if scale == 1.0 else Series(one.unit, one.times * scale, one.values, failure, one.lot)


def _thin(unit: UnitNow) -> None:
    """Every second point goes, but the last stays; an alarm at a point that goes is kept on the one before."""
    n = len(unit.times) // 2 * 2
    pairs = unit.alarms[:n].reshape(-1, 2).any(1)
    keep = np.arange(0, n, 2)
    rest = slice(n - 1 if n == len(unit.times) else n, None)
    unit.times = np.concatenate([unit.times[keep], unit.times[rest]])
    unit.values = np.concatenate([unit.values[keep], unit.values[rest]])
    unit.alarms = np.concatenate([pairs, unit.alarms[rest]])


def first_words(notes: Sequence[str], left_out: Mapping[str, Mapping[str, int]], most: int = 20) -> Iterator[str]:
    """What is to be said about a table that was read, a line each."""
    yield from notes[:most]
    for unit, why in list(left_out.items())[:most]:
        told = ", ".join(f"{n:,} x {reason}" for reason, n in why.items())
        yield f"left out of {f'unit {unit}' if unit else 'the table'}: {told}"
    if (more := max(0, len(notes) - most) + max(0, len(left_out) - most)) > 0:
        yield f"and {more:,} more such words"
