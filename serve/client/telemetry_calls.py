"""The calls about telemetry. Samples are rows of numbers in the order of the channels; None is missing."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .calls import Call, Pages
from .things import FleetModel, KeptUnit, WatchedFleet, WatchedUnit, made

Rows = Sequence[Sequence[float | None]]


def model() -> Call[FleetModel]:
    """Reads which model watches."""
    return Call(method="GET", path="/telemetry", read=_model)


def look(
    units: Mapping[str, tuple[Sequence[float], Rows]],
    *,
    channels: Sequence[str] | None,
    time_unit: str | None,
    history: bool,
) -> Call[WatchedFleet]:
    """Looks at a fleet."""
    sent = [{"unit": name, "times": list(times), "values": list(values)} for name, (times, values) in units.items()]
    content = orjson.dumps({"units": sent, **_told(channels, time_unit), "history": history})
    return Call(method="POST", path="/telemetry", content=content, read=_fleet)


def put(
    unit: str, times: Sequence[float], values: Rows, *, channels: Sequence[str] | None, time_unit: str | None
) -> Call[WatchedUnit]:
    """Brings a unit's next samples."""
    content = orjson.dumps({"times": list(times), "values": list(values), **_told(channels, time_unit)})
    return Call(method="PUT", path=f"/telemetry/units/{unit}/samples", content=content, read=_unit)


def unit(name: str) -> Call[WatchedUnit]:
    """Reads a unit."""
    return Call(method="GET", path=f"/telemetry/units/{name}", read=_unit)


def units(*, since: str | None, before: str | None) -> Pages[KeptUnit]:
    """Lists units."""
    return Pages(
        path="/telemetry/units",
        name="units",
        read=lambda value: made(KeptUnit, value),
        asked={"since": since, "before": before},
    )


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
