"""/v1/telemetry: a fleet's samples at once, of which nothing is kept; and units that are watched sample by sample."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from serve.edge import logs
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.paging import Asked, expect_own
from serve.edge.problems import Refusal, declared, declared_as
from serve.edge.reading import read
from serve.edge.replies import reply
from serve.telemetry.engine import missing
from serve.telemetry.schemas import (
    FleetModelReply,
    FleetReply,
    FleetSamples,
    NewSamples,
    UnitReply,
    UnitsReply,
)
from serve.telemetry.units import Units

UnitId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="The unit's name: letters, digits, . _ -")]

_SAMPLES = {"times": [1, 2], "values": [[641.8, 1589.7], [642.1, 1591.8]], "channels": ["s2", "s3"]}
_OUTLOOK = {
    "time": 2.0,
    "ready": True,
    "alarm": True,
    "alarm_since": 1.0,
    "score": 4.1,
    "threshold": 3.2,
    "forecast": [[[641.2, 641.9, 642.6], [1588.0, 1591.0, 1594.0]]],
    "forecast_times": [3.0],
    "left": 61.0,
    "left_low": 47.0,
    "left_high": 77.0,
    "beyond": False,
    "risk": 0.62,
}
_UNIT = {
    "unit": "engine-7",
    "standing": "alarm",
    "advice": "Replace it within 47 cycles: it no longer behaves as it did.",
    "samples": 2,
    "left_out": {},
    "outlook": _OUTLOOK,
    "history": None,
}
_ID = {"request_id": "6f1d8c3e9b7a4d22"}
_KEPT = {"created": "2026-01-31T12:00:00Z", "touched": "2026-01-31T12:00:00Z", "model_version": "1f0c7ad2b3e4"}
_MODEL = {"model": "telemetry/fd001", "model_version": "1f0c7ad2b3e4", "channels": ["s2", "s3"], "time_unit": "cycle"}


def telemetry_routes(units: Units, limits: Limits, *, may_list: bool) -> APIRouter:
    """The router. A unit belongs to the key that brought its first samples."""
    router = APIRouter(tags=["telemetry"])

    @router.get(
        "/telemetry",
        summary="Which model watches fleets",
        operation_id="read_fleet_model",
        response_model=FleetModelReply,
        responses={**declared(), **_no_model()},
    )
    async def model(request: Request) -> Response:
        """Its channels, its unit of time, how far it forecasts, and who raises alarms and tells lives."""
        watcher = await units.watcher()
        limit = watcher.limit
        shown = {name: getattr(limit, name) for name in ("channel", "value", "relative", "above")} if limit else None
        return reply(
            request,
            {
                **_named(watcher),
                "interval": watcher.interval,
                "horizons": list(watcher.horizons),
                "cap": watcher.cap,
                "limit": shown,
                "detector": watcher.detector,
                "life_by": watcher.life_by,
            },
        )

    @router.post(
        "/telemetry",
        summary="Look at a fleet",
        operation_id="look_at_fleet",
        response_model=FleetReply,
        responses={
            200: {"content": {"application/json": {"example": {**_MODEL, "units": [_UNIT], **_ID}}}},
            **declared(400, 408, 413, 415, 422),
            **_no_model(),
        },
        openapi_extra=body(
            FleetSamples,
            {
                "units": [{"unit": "engine-7", "times": _SAMPLES["times"], "values": _SAMPLES["values"]}],
                "channels": _SAMPLES["channels"],
            },
        ),
    )
    async def look(request: Request) -> Response:
        """Every unit with all its samples: forecasts with their bands, alarms, remaining lives and what to do.
        The worst unit comes first. Nothing is kept."""
        asked, _ = await read(request, FleetSamples, limits)
        watcher, found = await units.fleet(asked)
        logs.get().info("fleet", model_version=watcher.version)
        return reply(request, {**_named(watcher), "units": found})

    @router.put(
        "/telemetry/units/{unit_id}/samples",
        summary="Bring a unit's next samples",
        operation_id="put_samples",
        response_model=UnitReply,
        responses={
            200: {"content": {"application/json": {"example": {**_UNIT, **_KEPT, "begun_anew": False, **_ID}}}},
            **declared(400, 408, 413, 415, 422),
            **declared_as("The fleet is full", Refusal(409, "fleet-full", "10,000 units are kept already; delete one")),
            **_no_model(),
        },
        openapi_extra=body(NewSamples, _SAMPLES),
    )
    async def put(request: Request, unit_id: UnitId) -> Response:
        """What is known of the unit after them. Samples that are not later than the last one are left out, so that the
        same request may be sent again. The cost does not grow with the unit's age."""
        asked, _ = await read(request, NewSamples, limits)
        kept, said, anew = await units.put(unit_id, asked, owner_of(request.scope))
        return reply(request, {**said, **_when(kept), "begun_anew": anew})

    @router.get(
        "/telemetry/units",
        summary="List units",
        operation_id="list_units",
        response_model=UnitsReply,
        responses=declared(403, 422),
    )
    async def listing(request: Request, asked: Asked) -> Response:
        """The units of this key, the newest first. Without a key of one's own, only where the service listens on its
        own machine alone."""
        owner = owner_of(request.scope)
        expect_own(owner, "units", may_list=may_list)
        page = await units.listed(owner, asked)
        return reply(request, {"units": list(page.rows), "next": page.next})

    @router.get(
        "/telemetry/units/{unit_id}",
        summary="Read a unit",
        operation_id="read_unit",
        response_model=UnitReply,
        responses={
            200: {"content": {"application/json": {"example": {**_UNIT, **_KEPT, "begun_anew": False, **_ID}}}},
            **declared(404, 422),
        },
    )
    async def get(request: Request, unit_id: UnitId) -> Response:
        """What was last said of it."""
        kept, said = await units.get(unit_id, owner_of(request.scope))
        return reply(request, {**said, **_when(kept), "begun_anew": False})

    @router.delete(
        "/telemetry/units/{unit_id}",
        status_code=204,
        summary="Forget a unit",
        operation_id="forget_unit",
        response_class=Response,
        responses=declared(404, 422),
    )
    async def forget(request: Request, unit_id: UnitId) -> Response:
        """What is known of it is deleted for good."""
        await units.delete(unit_id, owner_of(request.scope))
        return Response(status_code=204)

    return router


def _named(watcher: Any) -> dict[str, Any]:
    return {
        "model": watcher.name if watcher.name.startswith("telemetry/") else "telemetry",
        "model_version": watcher.version,
        "channels": list(watcher.channels),
        "time_unit": watcher.time_unit,
    }


def _when(kept: Any) -> dict[str, Any]:
    return {"created": kept.created, "touched": kept.touched, "model_version": kept.model_version}


def _no_model() -> dict[int | str, dict[str, Any]]:
    return declared_as("No model for telemetry here, or too much to do; see Retry-After", missing())
