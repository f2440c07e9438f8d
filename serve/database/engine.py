"""How the database is reached: SQLite in a file of the data folder, or PostgreSQL by its URL."""

import sqlite3
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Insert,
    NullPool,
    QueuePool,
    Table,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from serve.edge.problems import Refusal, disk_full

AT_ONCE = 4
"""Connections to PostgreSQL that write, and as many that read."""
AWAY = ("database-locked", "database-unusable")
"""Kinds of refusals that end by themselves once the database answers again."""
_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON")
_FULL = "53100"
_HELD = ("55P03", "57014", "40001", "40P01")
"""A lock that was not given in time, a statement that took too long, two that wait for each other."""
_UNUSABLE = ("08", "25006", "53", "57P", "58")
"""No connection, a database that only reads, too many connections, one that shuts down or starts, its own disk."""


class UnusableURL(ValueError):
    """It names no database that can be used."""


def url_of(written: str) -> URL:
    """The URL of a database as people write it. UnusableURL, which never tells the password."""
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        raise UnusableURL("database: expected postgresql://user:password@host/name or sqlite:///path") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        if not url.database:
            raise UnusableURL("database: the URL names no database, as in postgresql://host/name")
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and not url.query:
        return url
    expected = "postgresql://user:password@host/name or sqlite:///path"
    raise UnusableURL(f"database: expected {expected}, got one of {url.drivername}")


def file_url(path: Path) -> URL:
    """The URL of a database in a file."""
    return URL.create("sqlite", database=str(path))


def engine_of(url: URL, *, patience: float, writes: bool, kept: bool = True) -> Engine:
    """An engine whose connections wait so many seconds for others that hold the database.

    SQLite has one connection that writes, and begins at once with the lock; who only reads has none. `kept`: the
    connection is used again. UnusableURL where the driver is not installed.
    """
    pool: dict[str, Any] = {"poolclass": QueuePool, "max_overflow": 0} if kept else {"poolclass": NullPool}
    if url.get_backend_name() == "sqlite":
        sized = {"pool_size": 1} if kept else {}
        given: dict[str, Any] = {"timeout": patience, "check_same_thread": False, "isolation_level": None}
        engine = create_engine(url, hide_parameters=True, connect_args=given, **pool, **sized)
        event.listen(engine, "connect", _prepare)
        if writes:
            event.listen(engine, "begin", _take_the_lock)
        return engine
    sized = {"pool_size": AT_ONCE, "pool_pre_ping": True} if kept else {}
    given = {"connect_timeout": max(2, ceil(patience)), "application_name": "rapport"}
    try:
        engine = create_engine(url, hide_parameters=True, connect_args=given, **pool, **sized)
    except ImportError:
        raise UnusableURL("database: PostgreSQL needs its driver; pip install 'rapport[postgresql]'") from None
    milliseconds = int(1000 * patience)

    def limit(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = {milliseconds}")
        connection.commit()

    event.listen(engine, "connect", limit)
    return engine if writes else engine.execution_options(isolation_level="AUTOCOMMIT")


def alone(db: Connection, what: str) -> None:
    """Waits until no other process is in the same part, and keeps the others out until the transaction ends. In SQLite
    whoever writes is alone anyway."""
    if db.dialect.name == "postgresql":
        db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"rapport {what}", 0))))


def replacing(table: Table) -> Mapping[str, Insert]:
    """For each kind of database, the insert that takes the place of the row with the same key."""
    keys = list(table.primary_key)
    found: dict[str, Insert] = {}
    for dialect in (sqlite, postgresql):
        insert: Any = dialect.insert(table)
        others = {c.name: insert.excluded[c.name] for c in table.c if c not in keys}
        found[dialect.dialect.name] = insert.on_conflict_do_update(index_elements=keys, set_=others)
    return found


def refusal_of(error: DBAPIError | sqlite3.Error) -> Refusal | None:
    """The refusal for what no request is to blame for; None for a fault of ours."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _HELD:
        return _held()
    if state == _FULL:
        return disk_full()
    if error.connection_invalidated or not state or state.startswith(_UNUSABLE):
        return _unusable(5) if type(error).__name__ in ("OperationalError", "InternalError") else None
    return None


def described(error: DBAPIError) -> str:
    """What the database said, in a line."""
    return str(error.orig).strip().partition("\n")[0]


def _of_sqlite(error: sqlite3.Error) -> Refusal | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite says beside it
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _held()
    if code == sqlite3.SQLITE_FULL:
        return disk_full()
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return _unusable(30)
    return None


def _held() -> Refusal:
    return Refusal(503, "database-locked", "the database is held by somebody else", retry_after=2)


def _unusable(seconds: int) -> Refusal:
    return Refusal(503, "database-unusable", "the database cannot be written or read", retry_after=seconds)


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _take_the_lock(db: Connection) -> None:
    if not getattr(db.connection.driver_connection, "in_transaction", False):  # quick.alone_in_sqlite has it already
        db.exec_driver_sql("BEGIN IMMEDIATE")
