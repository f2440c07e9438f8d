"""Batches in the database: functions of a connection, to be handed to `Storage.do`."""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import orjson

from serve.edge.paging import Paged, holding, page_of
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


def add(db: sqlite3.Connection, batch: StoredBatch, most_waiting: int) -> None:
    """Queues it; TooManyBatches where `most_waiting` are not done."""
    if waiting(db) >= most_waiting:
        raise TooManyBatches
    columns = (
        "id",
        "created",
        "filename",
        "input_format",
        "output_format",
        "model",
        "anonymise",
        "bytes",
        "state",
        "owner",
        "encoding",
        "columns",
    )
    values = [getattr(batch, column) for column in columns[:-1]] + [orjson.dumps(dict(batch.columns)).decode()]
    db.execute(f"INSERT INTO batches ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", values)


def waiting(db: sqlite3.Connection) -> int:
    """How many are not done."""
    found: int = db.execute("SELECT count(*) FROM batches WHERE state IN ('queued', 'running')").fetchone()[0]
    return found


def by_state(db: sqlite3.Connection) -> dict[str, int]:
    """How many there are in each state."""
    found = db.execute("SELECT state, count(*) FROM batches GROUP BY state")
    return {**dict.fromkeys(get_args(State), 0), **{row[0]: row[1] for row in found}}


def get(db: sqlite3.Connection, batch_id: str) -> StoredBatch | None:
    """The batch of that id."""
    return _batch(db.execute("SELECT * FROM batches WHERE id = ?", (batch_id,)).fetchone())


def before(db: sqlite3.Connection, batch_id: str) -> int:
    """How many batches will be begun before this one."""
    earlier = "SELECT count(*) FROM batches WHERE state = 'queued' AND number < "
    found: int = db.execute(earlier + "(SELECT number FROM batches WHERE id = ?)", (batch_id,)).fetchone()[0]
    return found


def queued(db: sqlite3.Connection) -> list[str]:
    """The ids of those that wait, in the order in which they will be begun."""
    return [row[0] for row in db.execute("SELECT id FROM batches WHERE state = 'queued' ORDER BY number")]


def listed(
    db: sqlite3.Connection, owner: str, asked: Paged, *, state: State | None = None, filename: str | None = None
) -> tuple[list[StoredBatch], str | None]:
    """A page of an owner's batches, the newest first, and where the next one begins; `filename` is a part of it."""
    where: dict[str, Any] = {} if state is None else {"state = ?": state}
    if filename is not None:
        where["filename LIKE ? ESCAPE '\\'"] = holding(filename)
    page = page_of(db, "batches", owner, asked, tie="number", where=where)
    return [found for row in page.rows if (found := _batch(row)) is not None], page.next


def claim(db: sqlite3.Connection) -> StoredBatch | None:
    """The batch whose turn it is, from now on running."""
    row = db.execute(
        "UPDATE batches SET state = 'running', started = coalesce(started, ?) "
        "WHERE number = (SELECT min(number) FROM batches WHERE state = 'queued') RETURNING *",
        (now(),),
    ).fetchone()
    return _batch(row)


def queue_again(db: sqlite3.Connection) -> int:
    """Batches that were running when their worker was killed wait again. How many those are."""
    return db.execute("UPDATE batches SET state = 'queued' WHERE state = 'running'").rowcount


def advance(db: sqlite3.Connection, batch_id: str, *, fraction: float, done: int, failed: int, utterances: int) -> bool:
    """Keeps how far it is, which never goes back: after a kill, what was done is counted again. False where the batch
    has been deleted."""
    row = (fraction, done, failed, utterances, batch_id)
    changed = db.execute(
        "UPDATE batches SET fraction = max(fraction, ?), done = max(done, ?), failed = max(failed, ?), "
        "utterances = max(utterances, ?) WHERE id = ?",
        row,
    )
    return changed.rowcount > 0


def count(db: sqlite3.Connection, batch_id: str, *, done: int, failed: int, utterances: int) -> None:
    """Keeps what it came to at its end."""
    row = (done, failed, utterances, batch_id)
    db.execute("UPDATE batches SET fraction = 1, done = ?, failed = ?, utterances = ? WHERE id = ?", row)


def finish(
    db: sqlite3.Connection,
    batch_id: str,
    *,
    failures: Sequence[dict[str, Any]] = (),
    error: str | None = None,
    model_version: str | None = None,
) -> None:
    """It is done; or it has failed, where there is an error."""
    state = "done" if error is None else "failed"
    row = (state, now(), orjson.dumps(list(failures)).decode(), error, model_version, batch_id)
    db.execute(
        "UPDATE batches SET state = ?, finished = ?, failures = ?, error = ?, model_version = ? WHERE id = ?", row
    )


def ended_before(db: sqlite3.Connection, moment: str) -> list[str]:
    """The ids of those to which nothing has happened since."""
    wanted = "SELECT id FROM batches WHERE state IN ('done', 'failed') AND coalesce(finished, created) < ?"
    return [row[0] for row in db.execute(wanted, (moment,))]


def delete(db: sqlite3.Connection, batch_id: str) -> bool:
    """Forgets it. False where there was none."""
    return db.execute("DELETE FROM batches WHERE id = ?", (batch_id,)).rowcount > 0


def exists(db: sqlite3.Connection, batch_id: str) -> bool:
    """Whether it has not been deleted."""
    return db.execute("SELECT 1 FROM batches WHERE id = ?", (batch_id,)).fetchone() is not None


def _batch(row: sqlite3.Row | None) -> StoredBatch | None:
    if row is None:
        return None
    kept = {key: row[key] for key in row.keys() if key != "number"}  # noqa: SIM118 (a Row iterates over values)
    read = {
        "anonymise": bool(row["anonymise"]),
        "failures": tuple(orjson.loads(row["failures"])),
        "columns": orjson.loads(row["columns"]),
    }
    return StoredBatch(**{**kept, **read})
