"""The few statements that every message of a live chat needs, without what SQLAlchemy does around each in SQLite.

A message costs about 0.1 ms of SQLite itself; the rest of the way through SQLAlchemy would be three times that.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite


class Quick:
    """A statement with named values. In SQLite the driver runs its SQL itself; elsewhere SQLAlchemy does."""

    def __init__(self, statement: Any, *, elsewhere: Any = None) -> None:
        self._statement: Executable = statement if elsewhere is None else elsewhere
        compiled = statement.compile(dialect=sqlite.dialect())
        self._sql, self._names = str(compiled), tuple(compiled.positiontup or ())
        self._own = {name: value for name, value in compiled.params.items() if value is not None}
        """Values that stand in the statement itself."""

    def run(self, db: Connection, values: Sequence[Mapping[str, Any]]) -> int:
        """How many rows it changed, for each of these values together."""
        driver = _driver(db)
        if driver is None:
            return sum(db.execute(self._statement, dict(v)).rowcount for v in values)
        return sum(driver.execute(self._sql, self._in_order(v)).rowcount for v in values)

    def first(self, db: Connection, values: Mapping[str, Any]) -> Mapping[Any, Any] | None:
        """The first row it finds."""
        driver = _driver(db)
        if driver is None:
            return db.execute(self._statement, dict(values)).mappings().first()
        cursor = driver.execute(self._sql, self._in_order(values))
        row = cursor.fetchone()
        return None if row is None else dict(zip((column[0] for column in cursor.description), row, strict=True))

    def _in_order(self, values: Mapping[str, Any]) -> list[Any]:
        given = {**self._own, **values}
        return [given[name] for name in self._names]


@contextmanager
def alone_in_sqlite(db: Connection) -> Iterator[None]:
    """One transaction of SQLite, which has the lock from its beginning. Also what SQLAlchemy runs in it is of it."""
    driver = _driver(db)
    driver.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
        if driver.in_transaction:
            driver.execute("COMMIT")
    except BaseException:
        db.rollback()
        if driver.in_transaction:  # a full disk has ended it already
            driver.execute("ROLLBACK")
        raise


def _driver(db: Connection) -> Any:
    return db.connection.driver_connection if db.dialect.name == "sqlite" else None
