"""Chats in the database, and who may use it when. It is the truth; what a replica remembers is a cache."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import Connection, Engine, LargeBinary, RowMapping, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from serve.database.engine import AT_ONCE, described, engine_of, file_url, refusal_of, replacing, url_of
from serve.database.quick import Quick, alone_in_sqlite
from serve.database.schema import bring_up
from serve.database.tables import chat_rows, chats, messages

T = TypeVar("T")

_PROBE_BYTES = 64 * 1024
"""A disk with less room than this is full."""
DATABASE = "rapport.sqlite"
"""The name of the file in the data folder."""
STAMP = "%Y-%m-%dT%H:%M:%SZ"
"""How times are written; they sort as they follow one another."""
BATCHES, RECORDINGS = "batches", "recordings"
"""The names of the folders beside it with their files."""

_KEPT = ("n", "speaker", "text", "time", "error", "correction")
"""Fields of a message that are kept as they are."""
_JSON = ("prediction", "reply")
"""Those that are kept as JSON."""
_APPEND = Quick(
    update(chats)
    .where(chats.c.id == bindparam("chat"), chats.c.total == bindparam("expected"))
    .where(chats.c.state.is_not_distinct_from(bindparam("known", type_=LargeBinary)))
    .values(
        total=chats.c.total + 1,
        state=bindparam("new_state"),
        model_version=bindparam("version"),
        touched=bindparam("moment"),
    )
)
_ADD_MESSAGE = Quick(insert(messages).values({name: bindparam(name) for name in ("chat", *_JSON, *_KEPT)}))
_row_in = replacing(chat_rows)
_PUT_ROW = Quick(_row_in["sqlite"], elsewhere=_row_in["postgresql"])
_CHAT = Quick(select(chats).where(chats.c.id == bindparam("chat"), chats.c.owner == bindparam("of")))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredChat:
    """A chat without its messages. `state` is what the model of `model_version` knows after `total` of them, beside the
    rows that are kept of the last ones."""

    id: str
    created: str
    model: str
    labels: tuple[str, ...]
    total: int
    model_version: str
    state: bytes | None = None
    owner: str = ""
    """The name of the key that began it, which alone may see it."""
    touched: str = ""
    """When something was last said in it."""


class KeptRow(NamedTuple):
    """What is kept of message `n` for those after it, at a place where it stays until another one comes there."""

    place: int
    n: int
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """One message; `prediction` is its JSON object, `correction` the label a person put in its place.

    `reply` is there where an assistant said it: who answered, how it ended, and the answers that would not do.
    """

    n: int
    speaker: str
    text: str
    time: str | None = None
    prediction: dict[str, Any] | None = None
    error: str | None = None
    correction: str | None = None
    reply: dict[str, Any] | None = None


class Storage:
    """The database, and the folder with the files beside it. Several processes may have it open at once.

    It is SQLite in WAL mode at `path`, or what `url` names. All work is done in threads of its own, those that write
    beside those that read, so that the event loop never waits for the disk and whoever reads never waits for whoever
    writes. What the disk, the server or another process makes impossible is a Refusal: 507 for a full disk, 503 for a
    database that somebody else holds for `patience` seconds, or that does not answer.
    """

    def __init__(self, path: Path, *, url: str | None = None, patience: float = 5.0) -> None:
        self._path = path
        self._url = file_url(path) if url is None else url_of(url)
        self._is_file = self._url.get_backend_name() == "sqlite"
        if self._is_file and self._url.database:
            Path(self._url.database).touch(mode=0o600, exist_ok=True)
        self._lasting: tuple[Connection, Connection] | None = None
        self._writing = engine_of(self._url, patience=patience, writes=True)
        self._reading = engine_of(self._url, patience=patience, writes=False)
        self._probing = engine_of(self._url, patience=patience / 2, writes=True, kept=False)
        try:
            bring_up(self._writing, self._url.render_as_string(hide_password=True) if url else str(path))
        except BaseException:
            self._dispose()
            raise
        # SQLite's one writer and its reader stay open; PostgreSQL's come and go with the server.
        self._lasting = (self._writing.connect(), self._reading.connect()) if self._is_file else None
        threads = 1 if self._is_file else AT_ONCE
        self._writer = ThreadPoolExecutor(threads, "storage-writes")
        self._reader = ThreadPoolExecutor(threads, "storage-reads")
        self._probe = ThreadPoolExecutor(1, "storage-probe")

    @property
    def folder(self) -> Path:
        """Where the files lie that belong to it."""
        return self._path.parent

    def close(self) -> None:
        """Ends the threads and the connections."""
        for threads in (self._reader, self._writer, self._probe):
            threads.shutdown()
        self._dispose()

    def erase(self) -> None:
        """Moves everything from SQLite's write-ahead log into the database file, and empties the log: what was deleted
        is then nowhere. PostgreSQL overwrites it in its own time."""
        self._writer.submit(self._empty_the_log).result()

    async def disk(self) -> str | None:
        """What is wrong with the disk; None where it can be written."""
        return await asyncio.get_running_loop().run_in_executor(self._probe, self._write_something)

    async def database(self) -> str | None:
        """What is wrong with the database; None where it answers and can be written."""
        return await asyncio.get_running_loop().run_in_executor(self._probe, self._begin_to_write)

    async def add_chat(self, chat: StoredChat) -> None:
        """Keeps a new chat."""
        row = {**asdict(chat), "labels": dumped(chat.labels)}
        await self.do(lambda db: db.execute(insert(chats), row))

    async def chat(self, chat_id: str, owner: str = "") -> StoredChat | None:
        """The chat, with its state; None where this owner has none."""
        wanted = {"chat": chat_id, "of": owner}
        return await self.do(lambda db: _chat(_CHAT.first(db, wanted)), writes=False)

    async def messages(self, chat_id: str, after: int, limit: int) -> list[StoredMessage]:
        """At most `limit` messages with n >= after, in order."""
        wanted = select(messages).where(messages.c.chat == chat_id, messages.c.n >= after)
        wanted = wanted.order_by(messages.c.n).limit(limit)
        return await self.do(lambda db: [_message(row) for row in db.execute(wanted).mappings()], writes=False)

    async def failed(self, chat_id: str) -> list[int]:
        """The messages that no model could read, the last first. Few, and found without looking at the others."""
        wanted = select(messages.c.n).where(messages.c.chat == chat_id, messages.c.error.is_not(None))
        return await self.do(lambda db: [*db.execute(wanted.order_by(messages.c.n.desc())).scalars()], writes=False)

    async def rows(self, chat_id: str) -> list[tuple[bytes, str]]:
        """What is kept of the chat's last messages, each with its text, oldest first."""
        same = (messages.c.chat == chat_rows.c.chat) & (messages.c.n == chat_rows.c.n)
        wanted = select(chat_rows.c.data, messages.c.text).join(messages, same)
        wanted = wanted.where(chat_rows.c.chat == chat_id).order_by(chat_rows.c.n)
        return await self.do(lambda db: [(data, said) for data, said in db.execute(wanted)], writes=False)

    async def append(
        self,
        chat: StoredChat,
        message: StoredMessage,
        state: bytes | None,
        model_version: str,
        rows: Sequence[KeptRow] = (),
        *,
        anew: bool = False,
    ) -> bool:
        """Adds the message and moves the chat's state on, both or neither; `anew`: no row from before is any good.

        False where the chat is no longer as `chat` says: another message was faster, or it was changed or deleted.
        """

        return await self.do(lambda db: appended(db, chat, message, state, model_version, rows, anew=anew))

    async def correct(self, chat_id: str, n: int, label: str | None) -> StoredMessage | None:
        """Keeps the label a person gave message n, or forgets it (None). None where there is no such message."""

        def work(db: Connection) -> StoredMessage | None:
            this = (messages.c.chat == chat_id, messages.c.n == n)
            told = {"correction": label, "corrected": None if label is None else now()}
            db.execute(update(messages).where(*this).values(told))
            found = db.execute(select(messages).where(*this)).mappings().first()
            return None if found is None else _message(found)

        return await self.do(work)

    async def delete_chat(self, chat_id: str, owner: str = "") -> bool:
        """Deletes the chat and its messages, overwritten on disk. False where this owner had none."""
        wanted = delete(chats).where(chats.c.id == chat_id, chats.c.owner == owner)
        return await self.do(lambda db: db.execute(wanted).rowcount > 0, erases=True)

    async def do(self, work: Callable[[Connection], T], *, writes: bool = True, erases: bool = False) -> T:
        """What `work` gives of the database: one transaction where it writes. What it `erases` is nowhere afterwards,
        in no log of SQLite's either."""
        threads = self._writer if writes else self._reader
        return await asyncio.get_running_loop().run_in_executor(threads, self._run, work, writes, erases)

    def do_now(self, work: Callable[[Connection], T], *, writes: bool = True) -> T:
        """The same for a thread that may wait."""
        return (self._writer if writes else self._reader).submit(self._run, work, writes).result()

    def _run(self, work: Callable[[Connection], T], writes: bool, erases: bool = False) -> T:
        try:
            found = self._with_connection(work, writes)
            if erases:
                self._empty_the_log()
            return found
        except (DBAPIError, sqlite3.Error) as error:
            raise refusal_of(error) or error from None

    def _with_connection(self, work: Callable[[Connection], T], writes: bool) -> T:
        if self._lasting is None:
            with self._writing.begin() if writes else self._reading.connect() as db:
                return work(db)
        writer, reader = self._lasting
        if writes:
            with alone_in_sqlite(writer):
                return work(writer)
        try:
            return work(reader)
        finally:
            reader.rollback()  # nothing to take back: each statement has seen the database as it was

    def _empty_the_log(self) -> None:
        if self._lasting is not None:
            driver: Any = self._lasting[0].connection.driver_connection
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _write_something(self) -> str | None:
        try:
            with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
                file.write(b"\0" * _PROBE_BYTES)
        except OSError as error:
            return f"it cannot be written ({error.strerror})"
        return None

    def _begin_to_write(self) -> str | None:
        try:
            with self._probing.begin() as db:
                if not self._is_file and db.execute(text("SHOW transaction_read_only")).scalar_one() != "off":
                    return "it can only be read"
                db.execute(select(chats.c.id).limit(1))
        except DBAPIError as error:
            return f"it does not answer ({described(error)})"
        return None

    def _dispose(self) -> None:
        for connection in self._lasting or ():
            connection.close()
        engines: tuple[Engine, ...] = (self._reading, self._writing, self._probing)
        for engine in engines:
            engine.dispose()


def now() -> str:
    """The time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime(STAMP)


def dumped(value: Any) -> str:
    """A value as its JSON text."""
    return orjson.dumps(value).decode()


def _chat(row: Mapping[Any, Any] | None) -> StoredChat | None:
    if row is None:
        return None
    return StoredChat(**{**row, "labels": tuple(orjson.loads(row["labels"]))})


def appended(
    db: Connection,
    chat: StoredChat,
    message: StoredMessage,
    state: bytes | None,
    model_version: str,
    rows: Sequence[KeptRow] = (),
    *,
    anew: bool = False,
) -> bool:
    """What `Storage.append` does, in a transaction that may do more."""
    moved = {"chat": chat.id, "expected": chat.total, "known": chat.state}
    moved |= {"new_state": state, "version": model_version}
    if not _APPEND.run(db, [{**moved, "moment": now()}]):
        return False
    _ADD_MESSAGE.run(db, [row_of(chat.id, message)])
    if anew:
        db.execute(delete(chat_rows).where(chat_rows.c.chat == chat.id))
    put_rows(db, chat.id, rows)
    return True


def put_rows(db: Connection, chat_id: str, rows: Sequence[KeptRow]) -> None:
    """Keeps rows, each in place of the one that was there."""
    if rows:
        _PUT_ROW.run(db, [{"chat": chat_id, **kept._asdict()} for kept in rows])


def row_of(chat_id: str, message: StoredMessage) -> dict[str, Any]:
    """A message as its row."""
    found: dict[str, Any] = {key: getattr(message, key) for key in (*_KEPT, *_JSON)}
    return {"chat": chat_id, **found, **{k: None if found[k] is None else dumped(found[k]) for k in _JSON}}


def _message(row: RowMapping) -> StoredMessage:
    read: dict[str, Any] = {key: None if row[key] is None else orjson.loads(row[key]) for key in _JSON}
    return StoredMessage(**{key: row[key] for key in _KEPT}, **read)
