"""Batches in the database: functions of a connection, to be handed to `Storage.do`."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Column, Connection, case, func, insert, select
from sqlalchemy import delete as deleting
from sqlalchemy.sql.elements import ColumnElement

from serve.batches import turns
from serve.batches.turns import Waiting
from serve.database import leases
from serve.database.engine import alone
from serve.database.tables import batch_parts, batches
from serve.edge.paging import Paged, page_of
from serve.leased import rows
from serve.leased.rows import State
from serve.storage import now


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBatch:
    """A log that is to be labelled, is being, or has been. Its files lie in a folder called after its id."""

    id: str
    created: str
    filename: str
    input_format: str
    output_format: str
    model: str
    anonymise: bool
    bytes: int
    state: State = "queued"
    started: str | None = None
    finished: str | None = None
    fraction: float = 0.0
    done: int = 0
    """Conversations labelled."""
    failed: int = 0
    utterances: int = 0
    failures: tuple[dict[str, Any], ...] = ()
    """The first of them: id, line and error each."""
    error: str | None = None
    """Why the whole batch failed."""
    model_version: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of a table: a role (`text`) to the name of its column, where somebody said so."""
    encoding: str | None = None
    owner: str = ""
    """The name of the key that began it, which alone may see it."""
    number: int = 0
    """Its place among all there have ever been, once it is in a database."""
    lost: int = 0
    """How often in a row whoever labelled it did not come back."""


_NEW = (
    "id",
    "created",
    "filename",
    "input_format",
    "output_format",
    "model",
    "bytes",
    "state",
    "owner",
    "encoding",
)
"""What is known of a batch when it comes, and kept as it is."""
_OF_THE_LEASE = ("turn", "holder", "held_until")
ALONE = "batches"
"""Who gives work out, or takes a batch away with its parts, does it while nobody else does: the order in which rows are
locked is then no matter."""


class TooManyBatches(Exception):
    """So many wait already."""


def new(
    filename: str,
    input_format: str,
    output_format: str,
    model: str,
    anonymise: bool,
    n_bytes: int,
    owner: str = "",
    columns: Mapping[str, str] = MappingProxyType({}),
    encoding: str | None = None,
) -> StoredBatch:
    """A batch that is in no database yet."""
    return StoredBatch(
        id=uuid.uuid4().hex,
        created=now(),
        filename=filename,
        input_format=input_format,
        output_format=output_format,
        model=model,
        anonymise=anonymise,
        bytes=n_bytes,
        owner=owner,
        columns=columns,
        encoding=encoding,
    )


def add(db: Connection, batch: StoredBatch, most_waiting: int) -> None:
    """Queues it; TooManyBatches where `most_waiting` are not done."""
    alone(db, ALONE)
    if waiting(db) >= most_waiting:
        raise TooManyBatches
    kept = {name: getattr(batch, name) for name in _NEW}
    made = {"anonymise": int(batch.anonymise), "columns": orjson.dumps(dict(batch.columns)).decode()}
    db.execute(insert(batches), {**kept, **made})


def waiting(db: Connection) -> int:
    """How many are not done."""
    return rows.waiting(db, batches)


def by_state(db: Connection) -> dict[str, int]:
    """How many there are in each state."""
    return rows.by_state(db, batches)


def get(db: Connection, batch_id: str) -> StoredBatch | None:
    """The batch of that id."""
    return _batch(db.execute(select(batches).where(batches.c.id == batch_id)).mappings().first())


def queued(db: Connection) -> list[str]:
    """The ids of those that wait, in the order in which they will be begun: owners in turn, each one's oldest first."""
    wanted = select(batches.c.number, batches.c.owner, batches.c.id).where(batches.c.state == "queued")
    found = {number: (Waiting(number, owner), batch_id) for number, owner, batch_id in db.execute(wanted)}
    order = turns.in_turn((waiting for waiting, _ in found.values()), turns.last_turns(db))
    return [found[number][1] for number in order]


def ahead(db: Connection, batch_id: str) -> int:
    """How many batches will be begun before this one."""
    order = queued(db)
    return order.index(batch_id) if batch_id in order else 0


def listed(
    db: Connection, owner: str, asked: Paged, *, state: State | None = None, filename: str | None = None
) -> tuple[list[StoredBatch], str | None]:
    """A page of an owner's batches, the newest first, and where the next one begins; `filename` is a part of it."""
    page = page_of(db, batches, owner, asked, tie="number", where=rows.those(batches, state, filename))
    return [found for row in page.rows if (found := _batch(row)) is not None], page.next


def claimable(db: Connection, moment: float, most: int) -> list[str]:
    """The ids of those that may be begun, or gone on with, now, the next one first."""
    return rows.claimable(db, batches, queued, moment, most)


def claim(db: Connection, holder: str, seconds: float, most: int) -> StoredBatch | None:
    """The batch whose turn it is, from now on running and for so long the holder's. Where several ask at once, each
    gets another, and never more than `most` run."""
    alone(db, ALONE)
    moment = leases.clock(db)
    for batch_id in claimable(db, moment, most)[:1]:
        number = db.execute(select(batches.c.number).where(batches.c.id == batch_id)).scalar_one()
        begun = {"state": "running", "started": func.coalesce(batches.c.started, now())}
        taken = leases.take(db, batches, number, holder, moment, seconds, **begun)
        turns.served(db, number)
        return _batch(None if taken is None else taken._mapping)
    return None


def queue_again(db: Connection, batch: StoredBatch, holder: str) -> bool:
    """It is not to go on now, and waits again. False where it is the holder's no more."""
    return leases.write(db, batches, batch.number, holder, {"state": "queued", **leases.FREED})


def advance(
    db: Connection, batch: StoredBatch, holder: str, *, fraction: float, done: int, failed: int, utterances: int
) -> bool:
    """Keeps how far it is, which never goes back: after a kill, what was done is counted again. False where it is the
    holder's no more."""
    told = {"fraction": fraction, "done": done, "failed": failed, "utterances": utterances}
    farther = {name: _larger(batches.c[name], value) for name, value in told.items()}
    onward = case((batches.c.fraction < fraction, 0), else_=batches.c.lost)
    return leases.write(db, batches, batch.number, holder, {**farther, "lost": onward})


def count(db: Connection, batch: StoredBatch, holder: str, *, done: int, failed: int, utterances: int) -> bool:
    """Keeps what it came to at its end. False where it is the holder's no more."""
    told = {"fraction": 1, "done": done, "failed": failed, "utterances": utterances}
    return leases.write(db, batches, batch.number, holder, told)


def finish(
    db: Connection,
    batch: StoredBatch,
    holder: str,
    *,
    failures: Sequence[dict[str, Any]] = (),
    error: str | None = None,
    model_version: str | None = None,
) -> bool:
    """It is done; or it has failed, where there is an error. False where it is the holder's no more."""
    told = {
        "state": "done" if error is None else "failed",
        "finished": now(),
        "failures": orjson.dumps(list(failures)).decode(),
        "error": error,
        "model_version": model_version,
        **leases.FREED,
    }
    alone(db, ALONE)
    db.execute(deleting(batch_parts).where(batch_parts.c.batch == batch.id))
    return leases.write(db, batches, batch.number, holder, told)


def ended_before(db: Connection, moment: str) -> list[str]:
    """The ids of those to which nothing has happened since."""
    ended = (batches.c.state.in_(("done", "failed")), func.coalesce(batches.c.finished, batches.c.created) < moment)
    return [*db.execute(select(batches.c.id).where(*ended)).scalars()]


def delete(db: Connection, batch_id: str) -> bool:
    """Forgets it. False where there was none."""
    alone(db, ALONE)
    return db.execute(deleting(batches).where(batches.c.id == batch_id)).rowcount > 0


def exists(db: Connection, batch_id: str) -> bool:
    """Whether it has not been deleted."""
    return rows.exists(db, batches, batch_id)


def _larger(column: Column[Any], value: float) -> ColumnElement[Any]:
    return case((column < value, value), else_=column)


def _batch(row: Mapping[Any, Any] | None) -> StoredBatch | None:
    if row is None:
        return None
    read = {
        "anonymise": bool(row["anonymise"]),
        "failures": tuple(orjson.loads(row["failures"])),
        "columns": orjson.loads(row["columns"]),
    }
    return StoredBatch(**{**{key: value for key, value in row.items() if key not in _OF_THE_LEASE}, **read})
