"""What is said of a unit: now, and at every sample so far."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog.telemetry.series import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """As of one sample. Times and lives are in the fleet's unit of time, forecasts in the channels' own."""

    time: float
    ready: bool
    """False while the unit's own level is still being learned: no alarm is raised before."""
    alarm: bool
    alarm_since: float | None
    score: float
    threshold: float
    forecast: Floats  # (H, C, 3) quantiles 10, 50, 90 %
    forecast_times: Floats  # (H,)
    left: float
    """The median remaining life; where `beyond`, at least so much."""
    left_low: float
    left_high: float
    beyond: bool
    risk: float
    """The probability of a failure before the last forecast's time."""

    def as_json(self) -> dict[str, Any]:
        """JSON types; what is no number is None."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One entry a sample, (n,) each."""

    times: Floats
    score: Floats
    alarm: NDArray[np.bool_]
    left: Floats
    left_low: Floats
    left_high: Floats

    def as_json(self) -> dict[str, Any]:
        """JSON types; what is no number is None."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
