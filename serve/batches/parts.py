"""The parts of batches in the database: put there by whoever has the batch, labelled by whoever is free.

    open -> (leased, until its holder finishes it, gives it back or is not heard of) -> done | failed | broken

A part is called after what it holds, so that a worker who takes a batch over finds what was labelled for the one
before. There are as many as one round of a batch has, and no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from serve.batches import turns
from serve.batches.table import ALONE, StoredBatch
from serve.batches.turns import Waiting
from serve.database import leases
from serve.database.engine import alone
from serve.database.tables import batch_parts, batches

State = Literal["open", "done", "failed", "broken"]
"""failed: these conversations could not be labelled together. broken: nothing of the batch can be."""


class NotMine(Exception):
    """The batch is another worker's by now, or has been deleted."""


class Stand(NamedTuple):
    """How it stands with a part, and why it was not labelled."""

    state: State
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPart:
    """A part that is somebody's to label."""

    number: int
    batch: str
    name: str
    lost: int
    """How often whoever labelled it did not come back."""


def put(db: Connection, batch: StoredBatch, holder: str, names: Collection[str]) -> dict[str, Stand]:
    """These are the parts of the batch from now on, and so they stand; those of an earlier round are forgotten. NotMine
    where the batch is not the holder's."""
    alone(db, ALONE)
    if not leases.holds(db, batches, batch.number, holder):
        raise NotMine
    mine = batch_parts.c.batch == batch.id
    db.execute(delete(batch_parts).where(mine, batch_parts.c.name.not_in(names)))
    known = set(db.execute(select(batch_parts.c.name).where(mine)).scalars())
    new = [{"batch": batch.id, "name": name} for name in names if name not in known]
    if new:
        db.execute(insert(batch_parts), new)
    return stands(db, batch)


def stands(db: Connection, batch: StoredBatch) -> dict[str, Stand]:
    """How it stands with each part of the batch, by its name."""
    wanted = select(batch_parts.c.name, batch_parts.c.state, batch_parts.c.error)
    return {name: Stand(*told) for name, *told in db.execute(wanted.where(batch_parts.c.batch == batch.id))}


def open_again(db: Connection, batch: StoredBatch, holder: str, name: str) -> None:
    """What was made of this part is not there: it is to be labelled again."""
    alone(db, ALONE)
    if not leases.holds(db, batches, batch.number, holder):
        raise NotMine
    which = (batch_parts.c.batch == batch.id, batch_parts.c.name == name)
    db.execute(update(batch_parts).where(*which).values(state="open", **leases.FREED))


def free(db: Connection) -> list[Waiting]:
    """The parts that may be labelled now, of batches that run."""
    wanted = select(batch_parts.c.number, batches.c.owner).join(batches, batches.c.id == batch_parts.c.batch)
    is_open = (batch_parts.c.state == "open", leases.is_free(batch_parts, leases.clock(db)))
    found = db.execute(wanted.where(batches.c.state == "running", *is_open))
    return [Waiting(number, owner) for number, owner in found]


def lease(db: Connection, holder: str, seconds: float) -> StoredPart | None:
    """The part whose turn it is, for so long the holder's. Where several ask at once, each gets another."""
    alone(db, ALONE)
    for number in turns.in_turn(free(db), turns.last_turns(db))[:1]:
        row = leases.take(db, batch_parts, number, holder, leases.clock(db), seconds)
        if row is not None:
            of = select(batches.c.number).where(batches.c.id == row.batch)
            turns.served(db, db.execute(of).scalar_one())
            return StoredPart(number=row.number, batch=row.batch, name=row.name, lost=row.lost)
    return None


def finish(db: Connection, part: StoredPart, holder: str, state: State, error: str | None = None) -> bool:
    """So the part ends, or is open again. False where it is the holder's no more."""
    return leases.write(db, batch_parts, part.number, holder, {"state": state, "error": error, **leases.FREED})
