"""Fleets of machines. Samples are rows of numbers in the order of the channels; None is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .kinds import Call, Pages, deletion, made

Rows = Sequence[Sequence[float | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetModel:
    """The model that watches fleets. `limit` is what counts as a failure: channel, value, relative, above."""

    model: str
    model_version: str
    channels: tuple[str, ...]
    time_unit: str
    interval: float
    horizons: tuple[int, ...]
    cap: float
    limit: Mapping[str, Any] | None
    detector: str
    life_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedUnit:
    """A unit, and what to do about it. `outlook` has the forecast, the alarm and the remaining life, None before the
    first sample; `history` the alarms and lives at every sample, where it was asked for."""

    unit: str
    standing: str
    advice: str
    samples: int
    left_out: Mapping[str, int]
    outlook: Mapping[str, Any] | None
    history: Mapping[str, Any] | None = None
    begun_anew: bool = False
    model_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedFleet:
    """Every unit of a fleet, the worst first."""

    model: str
    model_version: str
    channels: tuple[str, ...]
    time_unit: str
    units: tuple[WatchedUnit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptUnit:
    """A unit in a list, as of its last samples."""

    unit: str
    created: str
    touched: str
    standing: str
    advice: str
    samples: int
    left: float | None
    model_version: str


def fleet_model() -> Call[FleetModel]:
    """Which model watches fleets: its channels and its unit of time."""
    return Call(method="GET", path="/telemetry", read=_model)


def look_at_fleet(
    units: Mapping[str, tuple[Sequence[float], Rows]],
    *,
    channels: Sequence[str] | None = None,
    time_unit: str | None = None,
    history: bool = False,
) -> Call[WatchedFleet]:
    """Every unit with all its (times, values), the worst first; the service keeps nothing."""
    sent = [{"unit": name, "times": list(times), "values": list(values)} for name, (times, values) in units.items()]
    content = orjson.dumps({"units": sent, **_told(channels, time_unit), "history": history})
    return Call(method="POST", path="/telemetry", content=content, read=_fleet)


def put_samples(
    unit: str,
    times: Sequence[float],
    values: Rows,
    *,
    channels: Sequence[str] | None = None,
    time_unit: str | None = None,
) -> Call[WatchedUnit]:
    """The unit after its next samples; those that are not later than the last are left out."""
    content = orjson.dumps({"times": list(times), "values": list(values), **_told(channels, time_unit)})
    return Call(method="PUT", path=f"/telemetry/units/{unit}/samples", content=content, read=_unit)


def unit(name: str) -> Call[WatchedUnit]:
    """The unit as it was last told."""
    return Call(method="GET", path=f"/telemetry/units/{name}", read=_unit)


def units(*, since: str | None = None, before: str | None = None) -> Pages[KeptUnit]:
    """All units of this key."""
    return Pages(
        path="/telemetry/units",
        name="units",
        read=lambda value: made(KeptUnit, value),
        asked={"since": since, "before": before},
    )


def delete_unit(name: str) -> Call[None]:
    """Forgets the unit for good. ServiceError 404 where there is none any more."""
    return deletion(f"/telemetry/units/{name}")


def _told(channels: Sequence[str] | None, time_unit: str | None) -> dict[str, Any]:
    return {"channels": None if channels is None else list(channels), "time_unit": time_unit}


def _model(value: Mapping[str, Any]) -> FleetModel:
    return made(FleetModel, value, channels=tuple(value["channels"]), horizons=tuple(value["horizons"]))


def _unit(value: Mapping[str, Any]) -> WatchedUnit:
    return made(WatchedUnit, value)


def _fleet(value: Mapping[str, Any]) -> WatchedFleet:
    return made(
        WatchedFleet, value, channels=tuple(value["channels"]), units=tuple(_unit(one) for one in value["units"])
    )
