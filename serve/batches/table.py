"""Batches in the database: functions of a connection, to be handed to `Storage.do`."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import Column, Connection, Update, case, func, insert, select, update
from sqlalchemy import delete as deleting
from sqlalchemy.sql.elements import ColumnElement

from serve.database.engine import alone
from serve.database.tables import batches
from serve.edge.paging import Paged, page_of
from serve.storage import now

State = Literal["queued", "running", "done", "failed"]


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
    alone(db, "batches")
    if waiting(db) >= most_waiting:
        raise TooManyBatches
    kept = {name: getattr(batch, name) for name in _NEW}
    made = {"anonymise": int(batch.anonymise), "columns": orjson.dumps(dict(batch.columns)).decode()}
    db.execute(insert(batches), {**kept, **made})


def waiting(db: Connection) -> int:
    """How many are not done."""
    return db.execute(
        select(func.count()).select_from(batches).where(batches.c.state.in_(("queued", "running")))
    ).scalar_one()


def by_state(db: Connection) -> dict[str, int]:
    """How many there are in each state."""
    found = db.execute(select(batches.c.state, func.count()).group_by(batches.c.state))
    return {**dict.fromkeys(get_args(State), 0), **{row[0]: row[1] for row in found}}


def get(db: Connection, batch_id: str) -> StoredBatch | None:
    """The batch of that id."""
    return _batch(db.execute(select(batches).where(batches.c.id == batch_id)).mappings().first())


def before(db: Connection, batch_id: str) -> int:
    """How many batches will be begun before this one."""
    own = select(batches.c.number).where(batches.c.id == batch_id).scalar_subquery()
    wanted = select(func.count()).select_from(batches).where(batches.c.state == "queued", batches.c.number < own)
    return db.execute(wanted).scalar_one()


def queued(db: Connection) -> list[str]:
    """The ids of those that wait, in the order in which they will be begun."""
    wanted = select(batches.c.id).where(batches.c.state == "queued").order_by(batches.c.number)
    return [*db.execute(wanted).scalars()]


def listed(
    db: Connection, owner: str, asked: Paged, *, state: State | None = None, filename: str | None = None
) -> tuple[list[StoredBatch], str | None]:
    """A page of an owner's batches, the newest first, and where the next one begins; `filename` is a part of it."""
    where: list[ColumnElement[bool]] = [] if state is None else [batches.c.state == state]
    if filename is not None:
        where.append(batches.c.filename.icontains(filename, autoescape=True))
    page = page_of(db, batches, owner, asked, tie="number", where=where)
    return [found for row in page.rows if (found := _batch(row)) is not None], page.next


def claim(db: Connection) -> StoredBatch | None:
    """The batch whose turn it is, from now on running. Where several processes ask at once, each gets another."""
    turn = select(batches.c.number).where(batches.c.state == "queued").order_by(batches.c.number).limit(1)
    mine = batches.c.number == turn.with_for_update(skip_locked=True).scalar_subquery()
    begun = {"state": "running", "started": func.coalesce(batches.c.started, now())}
    return _batch(db.execute(update(batches).where(mine).values(begun).returning(*batches.c)).mappings().first())


def queue_again(db: Connection, batch_id: str | None = None) -> int:
    """Batches that were running when their worker was killed, or one that is not to go on now, wait again. How many
    those are."""
    which = batches.c.state == "running" if batch_id is None else batches.c.id == batch_id
    return db.execute(update(batches).where(which).values(state="queued")).rowcount


def advance(db: Connection, batch_id: str, *, fraction: float, done: int, failed: int, utterances: int) -> bool:
    """Keeps how far it is, which never goes back: after a kill, what was done is counted again. False where the batch
    has been deleted."""
    told = {"fraction": fraction, "done": done, "failed": failed, "utterances": utterances}
    farther = {name: _larger(batches.c[name], value) for name, value in told.items()}
    return db.execute(_one(batch_id).values(farther)).rowcount > 0


def count(db: Connection, batch_id: str, *, done: int, failed: int, utterances: int) -> None:
    """Keeps what it came to at its end."""
    db.execute(_one(batch_id).values(fraction=1, done=done, failed=failed, utterances=utterances))


def finish(
    db: Connection,
    batch_id: str,
    *,
    failures: Sequence[dict[str, Any]] = (),
    error: str | None = None,
    model_version: str | None = None,
) -> None:
    """It is done; or it has failed, where there is an error."""
    told = {
        "state": "done" if error is None else "failed",
        "finished": now(),
        "failures": orjson.dumps(list(failures)).decode(),
        "error": error,
        "model_version": model_version,
    }
    db.execute(_one(batch_id).values(told))


def ended_before(db: Connection, moment: str) -> list[str]:
    """The ids of those to which nothing has happened since."""
    ended = (batches.c.state.in_(("done", "failed")), func.coalesce(batches.c.finished, batches.c.created) < moment)
    return [*db.execute(select(batches.c.id).where(*ended)).scalars()]


def delete(db: Connection, batch_id: str) -> bool:
    """Forgets it. False where there was none."""
    return db.execute(deleting(batches).where(batches.c.id == batch_id)).rowcount > 0


def exists(db: Connection, batch_id: str) -> bool:
    """Whether it has not been deleted."""
    return db.execute(select(batches.c.id).where(batches.c.id == batch_id)).first() is not None


def _one(batch_id: str) -> Update:
    return update(batches).where(batches.c.id == batch_id)


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
    return StoredBatch(**{**{key: value for key, value in row.items() if key != "number"}, **read})
