"""The part of the client from memory about fleets: whatever ends higher than it began is ill."""

from collections.abc import Mapping, Sequence
from typing import Any

from serve.client import FleetModel, WatchedFleet, WatchedUnit

MODEL = FleetModel(
    model="telemetry/test",
    model_version="1",
    channels=("current", "temperature"),
    time_unit="h",
    interval=5.0,
    horizons=(1, 8),
    cap=300.0,
    limit={"channel": "current", "value": 1.2, "relative": True, "above": True},
    detector="ewma",
    life_by="linear",
)


class FleetInMemory:
    """Answers without a model."""

    fleets: list[int]
    """How many samples each request brought."""

    def _check(self) -> None:
        raise NotImplementedError

    def fleet_model(self) -> FleetModel:
        self._check()
        return MODEL

    def look_at_fleet(
        self,
        units: Mapping[str, tuple[Sequence[float], Sequence[Sequence[float | None]]]],
        *,
        channels: Sequence[str] | None = None,
        time_unit: str | None = None,
        history: bool = False,
    ) -> WatchedFleet:
        self._check()
        self.fleets = [*getattr(self, "fleets", []), sum(len(times) for times, _ in units.values())]
        found = [_unit(name, times, values) for name, (times, values) in units.items()]
        found.sort(key=lambda unit: unit.standing)
        return WatchedFleet(
            model=MODEL.model, model_version="1", channels=MODEL.channels, time_unit="h", units=tuple(found)
        )


def _unit(name: str, times: Sequence[float], values: Sequence[Sequence[float | None]]) -> WatchedUnit:
    first, last = values[0][0] or 0.0, values[-1][0] or 0.0
    ill = last > 1.05 * first
    outlook: dict[str, Any] = {
        "time": times[-1],
        "ready": True,
        "alarm": ill,
        "alarm_since": times[len(times) // 2] if ill else None,
        "score": 3.0 if ill else 0.1,
        "threshold": 1.0,
        "forecast": [[[last - d, last, last + d], [24.0, 25.0, 26.0]] for d in (0.01, 0.03)],
        "forecast_times": [times[-1] + 5, times[-1] + 40],
        "left": 50.0 if ill else 300.0,
        "left_low": 40.0 if ill else 250.0,
        "left_high": 70.0 if ill else 300.0,
        "beyond": not ill,
        "risk": 0.4 if ill else 0.01,
    }
    told = {
        "times": list(times),
        "score": [None] * len(times),
        "alarm": [ill and i >= len(times) // 2 for i in range(len(times))],
        "left": [None] * len(times),
        "left_low": [None] * len(times),
        "left_high": [None] * len(times),
    }
    return WatchedUnit(
        unit=name,
        standing="alarm" if ill else "steady",
        advice="",
        samples=len(times),
        left_out={},
        outlook=outlook,
        history=told,
    )
