"""Pieces of leased work in the database. Each kind has a table of its own, with a number, an id, an owner, a file's
name, a state, and the columns of a lease."""

from collections.abc import Callable
from typing import Literal, get_args

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.sql.elements import ColumnElement

from serve.database import leases

State = Literal["queued", "running", "done", "failed"]


def waiting(db: Connection, work: Table) -> int:
    """How many are not done."""
    not_done = work.c.state.in_(("queued", "running"))
    return db.execute(select(func.count()).select_from(work).where(not_done)).scalar_one()


def by_state(db: Connection, work: Table) -> dict[str, int]:
    """How many there are in each state."""
    found = db.execute(select(work.c.state, func.count()).group_by(work.c.state))
    return {**dict.fromkeys(get_args(State), 0), **{row[0]: row[1] for row in found}}


def exists(db: Connection, work: Table, id: str) -> bool:
    """Whether it has not been deleted."""
    return db.execute(select(work.c.id).where(work.c.id == id)).first() is not None


def those(work: Table, state: State | None, filename: str | None) -> list[ColumnElement[bool]]:
    """The condition for those in a state, and with that in their file's name; None is any."""
    where: list[ColumnElement[bool]] = [] if state is None else [work.c.state == state]
    return where if filename is None else [*where, work.c.filename.icontains(filename, autoescape=True)]


def claimable(
    db: Connection, work: Table, queued: Callable[[Connection], list[str]], moment: float, most: int
) -> list[str]:
    """The ids of those that may be begun, or gone on with, now, the next one first: those whose holder has not been
    heard of, and of those that are `queued`, in that order, as many as leave `most` running."""
    left = select(work.c.id).where(work.c.state == "running", leases.is_free(work, moment))
    running = select(func.count()).select_from(work).where(work.c.state == "running")
    found = [*db.execute(left.order_by(work.c.number)).scalars()]
    room = most - db.execute(running).scalar_one()
    return found + (queued(db)[:room] if room > 0 else [])
