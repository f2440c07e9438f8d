"""Samples of units, one request after the other: what is known of each is kept in the database between them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from dialog.telemetry.advice import advice_of, standing_of, urgency
from dialog.telemetry.cells import SECONDS
from serve.database.tables import telemetry_units
from serve.edge.limits import Limits
from serve.edge.paging import Page, Paged, page_of
from serve.edge.problems import Fault, Refusal, not_found, overloaded
from serve.edge.reading import invalid, pointer
from serve.storage import Storage, now
from serve.telemetry import table as units_table
from serve.telemetry.engine import Telemetry
from serve.telemetry.schemas import FleetSamples, NewSamples
from serve.telemetry.table import StoredUnit

if TYPE_CHECKING:
    from dialog.telemetry.watcher import Samples, Watched, Watcher

_TRIES = 8


class Units:
    """The units of one database."""

    def __init__(self, storage: Storage, telemetry: Telemetry, limits: Limits) -> None:
        self._storage = storage
        self._telemetry = telemetry
        self._limits = limits

    async def watcher(self) -> "Watcher":
        """The model that watches; Refusal 503."""
        return await self._telemetry.watcher()

    async def fleet(self, asked: FleetSamples) -> tuple["Watcher", list[dict[str, Any]]]:
        """What is said of every unit, the worst first; nothing is kept. Refusal 422 with the place of each fault."""
        watcher = await self.watcher()
        self._refuse_many(sum(len(one.times) for one in asked.units))
        reads = _Reads(watcher, asked.channels, asked.time_unit, self._limits)
        names = [one.unit for one in asked.units]
        for i, name in enumerate(names):
            if name in names[:i]:
                reads.faults.append(Fault(pointer=pointer("units", i, "unit"), detail="the unit is there already"))
        samples = [reads.samples(one.unit, one.times, one.values, "units", i) for i, one in enumerate(asked.units)]
        reads.refuse()
        found = await self._telemetry.feed(samples, history=asked.history)
        found.sort(key=lambda one: (*urgency(one.outlook, standing_of(one.outlook)), one.unit))
        return watcher, [told(one, watcher) for one in found]

    async def put(self, unit: str, asked: NewSamples, owner: str) -> tuple[StoredUnit, dict[str, Any], bool]:
        """The unit after its next samples, and whether it had to be begun anew. Refusal 409, 422, 429 and 503."""
        from dataclasses import replace

        watcher = await self.watcher()
        self._refuse_many(len(asked.times))
        reads = _Reads(watcher, asked.channels, asked.time_unit, self._limits)
        samples = reads.samples(unit, asked.times, asked.values)
        reads.refuse()
        for _ in range(_TRIES):
            before = await self._find(unit, owner)
            if before is None and await self._count(owner) >= self._limits.units_kept:
                detail = f"{self._limits.units_kept:,} units are kept already; delete one"
                raise Refusal(409, "fleet-full", detail, limit="units_kept")
            state = None if before is None else await self._telemetry.restore(before.state)
            (watched,) = await self._telemetry.feed([replace(samples, state=state)])
            said = told(watched, watcher)
            if said["outlook"] is None and before is not None and state is not None:
                known = orjson.loads(before.told)  # this request brought no sample that could be read
                said |= {name: known[name] for name in ("outlook", "standing", "advice")}
            after = StoredUnit(
                id=uuid.uuid4().hex if before is None else before.id,
                unit=unit,
                created=now() if before is None else before.created,
                touched=now(),
                model_version=watcher.version,
                total=watched.state.n,
                state=watched.state.to_bytes(),
                told=orjson.dumps({**said, "left_out": {}}).decode(),
                owner=owner,
            )
            if await self._keep(before, after):
                return after, said, before is not None and state is None
        raise overloaded("too many requests bring samples of this unit at once")

    async def get(self, unit: str, owner: str) -> tuple[StoredUnit, dict[str, Any]]:
        """The unit as it was last told; Refusal 404."""
        found = await self._find(unit, owner)
        if found is None:
            raise not_found("unit")
        return found, orjson.loads(found.told)

    async def listed(self, owner: str, asked: Paged) -> Page:
        """A page of the owner's units, the newest first."""
        kept = telemetry_units.c
        columns = (kept.id, kept.unit, kept.created, kept.touched, kept.model_version, kept.told)
        page = await self._storage.do(
            lambda db: page_of(db, telemetry_units, owner, asked, columns=columns), writes=False
        )
        return Page([_listed(row) for row in page.rows], page.next)

    async def delete(self, unit: str, owner: str) -> None:
        """Forgets the unit; Refusal 404."""
        if not await self._storage.do(lambda db: units_table.delete(db, unit, owner), erases=True):
            raise not_found("unit")

    async def _find(self, unit: str, owner: str) -> StoredUnit | None:
        return await self._storage.do(lambda db: units_table.get(db, unit, owner), writes=False)

    async def _count(self, owner: str) -> int:
        return await self._storage.do(lambda db: units_table.count(db, owner), writes=False)

    async def _keep(self, before: StoredUnit | None, after: StoredUnit) -> bool:
        return await self._storage.do(lambda db: units_table.put(db, before, after))

    def _refuse_many(self, n: int) -> None:
        if n > (most := self._limits.samples_per_request):
            detail = f"{n:,} samples, the limit is {most:,}"
            raise invalid([Fault(pointer="", detail=detail)], self._limits, limit="samples_per_request")


class _Reads:
    """Makes samples of what came, and gathers what is wrong with it."""

    def __init__(self, watcher: "Watcher", channels: Sequence[str] | None, unit: str | None, limits: Limits) -> None:
        self.faults: list[Fault] = []
        self._limits = limits
        self._width = len(watcher.channels)
        self._order: list[int] | None = None
        self._scale = 1.0
        if channels is not None:
            lacking = [name for name in watcher.channels if name not in channels]
            if lacking or len(set(channels)) != len(channels):
                detail = f"expected each of {', '.join(watcher.channels)}, once"[:500]
                self.faults.append(Fault(pointer="/channels", detail=detail))
            else:
                self._width = len(channels)
                self._order = [list(channels).index(name) for name in watcher.channels]
        if unit is not None and unit != watcher.time_unit:
            if unit in SECONDS and watcher.time_unit in SECONDS:
                self._scale = SECONDS[unit] / SECONDS[watcher.time_unit]
            else:
                detail = f"the model counts in {watcher.time_unit}, which this cannot be turned into"
                self.faults.append(Fault(pointer="/time_unit", detail=detail))

    def samples(
        self, unit: str, times: Sequence[float], values: Sequence[Sequence[float | None]], *place: str | int
    ) -> "Samples":
        from dialog.telemetry.watcher import Samples

        if len(values) != len(times):
            detail = f"{len(values):,} rows for {len(times):,} times"
            self.faults.append(Fault(pointer=pointer(*place, "values"), detail=detail))
        for i, row in enumerate(values):
            if len(row) != self._width:
                detail = f"{len(row):,} values, expected {self._width:,}"
                self.faults.append(Fault(pointer=pointer(*place, "values", i), detail=detail))
        if self.faults:
            return Samples(unit, np.zeros(0), np.zeros((0, self._width)))
        read = np.array([[np.nan if v is None else v for v in row] for row in values], dtype=np.float64)
        read = read.reshape(len(times), self._width)
        read = read if self._order is None else read[:, self._order]
        return Samples(unit, np.array(times, dtype=np.float64) * self._scale, read)

    def refuse(self) -> None:
        if self.faults:
            raise invalid(self.faults, self._limits)


def told(watched: "Watched", watcher: "Watcher") -> dict[str, Any]:
    """What is said of a unit, as its JSON object."""
    standing = standing_of(watched.outlook)
    return {
        "unit": watched.unit,
        "standing": standing,
        "advice": advice_of(watched.outlook, standing, watcher.time_unit),
        "samples": watched.state.n,
        "left_out": dict(watched.left_out),
        "outlook": None if watched.outlook is None else watched.outlook.as_json(),
        "history": None if watched.history is None else watched.history.as_json(),
    }


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    said = orjson.loads(row["told"])
    kept = {name: row[name] for name in ("unit", "created", "touched", "model_version")}
    return {
        **kept,
        **{name: said[name] for name in ("standing", "advice", "samples")},
        "left": (said["outlook"] or {}).get("left"),
    }
