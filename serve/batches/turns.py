"""Whose turn it is: the owners of batches are served one after the other, however many batches each has."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from serve.database.tables import batches


class Waiting(NamedTuple):
    """A piece of work that waits, and whose it is."""

    number: int
    owner: str


def last_turns(db: Connection) -> dict[str, int]:
    """When each owner was last served, as a number that grows by one each time."""
    found = db.execute(select(batches.c.owner, func.max(batches.c.turn).label("turn")).group_by(batches.c.owner))
    return {row.owner: row.turn for row in found}


def in_turn(waiting: Iterable[Waiting], last: Mapping[str, int]) -> list[int]:
    """The order in which these are served: who was served longest ago is next, and of what is his the oldest."""
    left, served = sorted(waiting), dict(last)
    order = []
    while left:
        following = min(left, key=lambda one: (served.get(one.owner, 0), one.number))
        left.remove(following)
        served[following.owner] = max(served.values(), default=0) + 1
        order.append(following.number)
    return order


def served(db: Connection, number: int) -> None:
    """The owner of that batch has had a turn."""
    turns = select(func.max(batches.c.turn) + 1).correlate(None).scalar_subquery()
    db.execute(update(batches).where(batches.c.number == number).values(turn=turns))
