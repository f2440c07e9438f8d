"""Units under watch in the database: functions of a connection, to be handed to `Storage.do`."""

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy import delete as deleting
from sqlalchemy.exc import IntegrityError

from serve.database.tables import telemetry_units


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredUnit:
    """What the model of `model_version` knows of a unit after `total` samples. `told`: what was last said, as JSON."""

    id: str
    unit: str
    created: str
    touched: str
    model_version: str
    total: int
    state: bytes
    told: str
    owner: str = ""


def get(db: Connection, unit: str, owner: str) -> StoredUnit | None:
    """The unit; None where there is none."""
    wanted = select(telemetry_units).where(telemetry_units.c.owner == owner, telemetry_units.c.unit == unit)
    row = db.execute(wanted).mappings().first()
    return None if row is None else StoredUnit(**row)


def count(db: Connection, owner: str) -> int:
    """How many units are kept for an owner."""
    return int(db.execute(select(func.count()).where(telemetry_units.c.owner == owner)).scalar_one())


def put(db: Connection, before: StoredUnit | None, after: StoredUnit) -> bool:
    """Keeps what is known now. False where it is no longer as `before` says: others were faster."""
    if before is None:
        try:
            with db.begin_nested():
                db.execute(insert(telemetry_units), asdict(after))
        except IntegrityError:
            return False
        return True
    kept = telemetry_units.c
    same = (kept.id == before.id, kept.total == before.total, kept.model_version == before.model_version)
    told = asdict(replace(after, id=before.id, created=before.created))
    return bool(db.execute(update(telemetry_units).where(*same).values(told)).rowcount)


def delete(db: Connection, unit: str, owner: str) -> bool:
    """Forgets the unit. False where there was none."""
    own = (telemetry_units.c.owner == owner, telemetry_units.c.unit == unit)
    return db.execute(deleting(telemetry_units).where(*own)).rowcount > 0
