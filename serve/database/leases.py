"""Leases: a piece of work is a worker's for some seconds, and longer as often as he says that he is still at it.

Batches, their parts and recordings are leased alike. What a holder writes he writes where the row is still his, by a
comparison in the same statement: so one who was thought dead, and comes back, changes nothing. `moment` is the time of
the database in seconds, which is one for all its nodes; only SQLite, whose nodes are one machine, goes by that
machine's clock.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, case, func, or_, select, update

MOST_LOST = 3
"""So often a piece of work is taken over from one who did not come back; then it is thought to be what ends them."""
FREED = {"holder": None, "held_until": None}
"""What is nobody's."""


def clock(db: Connection) -> float:
    """What time it is, in seconds since 1970."""
    if db.dialect.name == "postgresql":
        return float(db.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()


def is_free(table: Table, moment: float) -> ColumnElement[bool]:
    """Whether a row may be taken: it is nobody's, or its holder has not been heard of in time."""
    return or_(table.c.holder.is_(None), table.c.held_until < moment)


def take(
    db: Connection, table: Table, number: int, holder: str, moment: float, seconds: float, **told: Any
) -> Row[Any] | None:
    """The row, which is the holder's for so long; None where another was faster."""
    left = case((table.c.holder.is_not(None), 1), else_=0)
    mine = {"holder": holder, "held_until": moment + seconds, "lost": table.c.lost + left, **told}
    which = (table.c.number == number, is_free(table, moment))
    return db.execute(update(table).where(*which).values(mine).returning(*table.c)).first()


def renew(
    db: Connection, table: Table, numbers: Collection[int], holder: str, moment: float, seconds: float
) -> set[int]:
    """Those of these rows that are still the holder's, and are from now on for so long again."""
    which = (table.c.number.in_(numbers), table.c.holder == holder)
    told = update(table).where(*which).values(held_until=moment + seconds).returning(table.c.number)
    return set(db.execute(told).scalars())


def write(db: Connection, table: Table, number: int, holder: str, told: Mapping[str, Any]) -> bool:
    """Keeps something of a row where it is still the holder's. False where it is not, or is gone."""
    which = (table.c.number == number, table.c.holder == holder)
    return db.execute(update(table).where(*which).values(told)).rowcount > 0


def holds(db: Connection, table: Table, number: int, holder: str) -> bool:
    """Whether a row is still the holder's, which it stays until the transaction ends."""
    which = (table.c.number == number, table.c.holder == holder)
    return db.execute(select(table.c.number).where(*which).with_for_update()).first() is not None
