"""Chats and batches on disk: SQLite in WAL mode. What stands here is the truth; what a replica remembers is a cache."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from serve.edge.problems import Refusal, disk_full

T = TypeVar("T")

_PROBE_BYTES = 64 * 1024
"""A disk with less room than this is full."""
DATABASE = "rapport.sqlite"
"""The name of the file in the data folder."""
STAMP = "%Y-%m-%dT%H:%M:%SZ"
"""How times are written; they sort as they follow one another."""
BATCHES = "batches"
"""The name of the folder beside it with the files of batches."""

_CHATS = """
CREATE TABLE chats (
    id TEXT PRIMARY KEY, created TEXT NOT NULL, model TEXT NOT NULL, labels TEXT NOT NULL,
    total INTEGER NOT NULL, model_version TEXT NOT NULL, state BLOB
) STRICT;
CREATE TABLE messages (
    chat TEXT NOT NULL REFERENCES chats(id) ON DELETE CASCADE, n INTEGER NOT NULL,
    speaker TEXT NOT NULL, text TEXT NOT NULL, time TEXT, prediction TEXT, error TEXT,
    correction TEXT, corrected TEXT,
    PRIMARY KEY (chat, n)
) STRICT;
"""
_BATCHES = """
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL, filename TEXT NOT NULL,
    input_format TEXT NOT NULL, output_format TEXT NOT NULL, model TEXT NOT NULL, anonymise INTEGER NOT NULL,
    bytes INTEGER NOT NULL, state TEXT NOT NULL, started TEXT, finished TEXT, fraction REAL NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, utterances INTEGER NOT NULL DEFAULT 0,
    failures TEXT NOT NULL DEFAULT '[]', error TEXT, model_version TEXT
) STRICT;
"""
_VISUAL_DIALOGS = """
CREATE TABLE visual_dialogs (
    id TEXT PRIMARY KEY, created TEXT NOT NULL, picture BLOB NOT NULL, caption TEXT NOT NULL, look TEXT NOT NULL,
    total INTEGER NOT NULL, model_version TEXT NOT NULL, state BLOB NOT NULL
) STRICT;
CREATE TABLE visual_rounds (
    dialog TEXT NOT NULL REFERENCES visual_dialogs(id) ON DELETE CASCADE, n INTEGER NOT NULL,
    question TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (dialog, n)
) STRICT;
"""
_OWNERS = """
ALTER TABLE chats ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE batches ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE visual_dialogs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE chats ADD COLUMN touched TEXT NOT NULL DEFAULT '';
ALTER TABLE visual_dialogs ADD COLUMN touched TEXT NOT NULL DEFAULT '';
CREATE INDEX failed_messages ON messages (chat, n) WHERE error IS NOT NULL
"""
_REPEATS = """
CREATE TABLE repeats (
    name TEXT PRIMARY KEY, created TEXT NOT NULL, fingerprint TEXT NOT NULL,
    status INTEGER, headers TEXT, body BLOB, thing TEXT
) STRICT;
CREATE INDEX repeats_of ON repeats (thing);
CREATE TRIGGER chat_is_gone AFTER DELETE ON chats BEGIN DELETE FROM repeats WHERE thing = old.id; END;
CREATE TRIGGER batch_is_gone AFTER DELETE ON batches BEGIN DELETE FROM repeats WHERE thing = old.id; END;
CREATE TRIGGER picture_is_gone AFTER DELETE ON visual_dialogs BEGIN DELETE FROM repeats WHERE thing = old.id; END;
"""
_COLUMNS = """
ALTER TABLE batches ADD COLUMN columns TEXT NOT NULL DEFAULT '{}';
ALTER TABLE batches ADD COLUMN encoding TEXT
"""
_LISTS = """
CREATE INDEX chats_of ON chats (owner, created, id);
CREATE INDEX batches_of ON batches (owner, created, number);
CREATE INDEX visual_dialogs_of ON visual_dialogs (owner, created, id)
"""
_ROWS = """
CREATE TABLE chat_rows (
    chat TEXT NOT NULL REFERENCES chats(id) ON DELETE CASCADE, place INTEGER NOT NULL, n INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (chat, place)
) STRICT
"""
_CALLBACKS = """
CREATE TABLE callbacks (
    batch TEXT PRIMARY KEY REFERENCES batches(id) ON DELETE CASCADE, url TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0, due TEXT NOT NULL DEFAULT '',
    tried TEXT, status INTEGER, error TEXT
) STRICT;
CREATE INDEX callbacks_due ON callbacks (due) WHERE state = 'waiting'
"""
_STEPS = (_CHATS, _BATCHES, _VISUAL_DIALOGS, _OWNERS, _REPEATS, _COLUMNS, _LISTS, _ROWS, _CALLBACKS)
"""What each version of the format added to the one before it."""
_VERSION = len(_STEPS)


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
    """One message; `prediction` is its JSON object, `correction` the label a person put in its place."""

    n: int
    speaker: str
    text: str
    time: str | None = None
    prediction: dict[str, Any] | None = None
    error: str | None = None
    correction: str | None = None


class Storage:
    """The database of one data folder. Several processes may have it open at once.

    All work is done in threads of its own, one that writes and one that reads beside it, so that the event loop never
    waits for the disk and whoever reads never waits for whoever writes. What the disk or another process makes
    impossible is a Refusal: 507 for a full disk, 503 for a database that somebody else holds for `patience` seconds.
    """

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._writer = ThreadPoolExecutor(1, "storage-writes")
        self._reader = ThreadPoolExecutor(1, "storage-reads")
        self._probe = ThreadPoolExecutor(1, "storage-probe")
        self._connection = self._writer.submit(self._open).result()
        self._reading = self._reader.submit(self._connect).result()

    @property
    def folder(self) -> Path:
        """Where the database lies, and all that belongs to it."""
        return self._path.parent

    def close(self) -> None:
        """Ends the thread and the connection."""
        self._reader.submit(self._reading.close).result()
        self._writer.submit(self._connection.close).result()
        for threads in (self._reader, self._writer, self._probe):
            threads.shutdown()

    def erase(self) -> None:
        """Moves everything from the write-ahead log into the database file, and empties the log: what was deleted is
        then nowhere."""
        self._writer.submit(self._connection.execute, "PRAGMA wal_checkpoint(TRUNCATE)").result()

    async def disk(self) -> str | None:
        """What is wrong with the disk; None where it can be written."""
        return await asyncio.get_running_loop().run_in_executor(self._probe, self._write_something)

    async def database(self) -> str | None:
        """What is wrong with the database; None where it answers and can be written."""
        return await asyncio.get_running_loop().run_in_executor(self._probe, self._take_the_lock)

    async def add_chat(self, chat: StoredChat) -> None:
        """Keeps a new chat."""
        row = {**asdict(chat), "labels": dumped(chat.labels)}
        insert = f"INSERT INTO chats ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"
        await self.do(lambda db: db.execute(insert, row))

    async def chat(self, chat_id: str, owner: str = "") -> StoredChat | None:
        """The chat, with its state; None where this owner has none."""
        wanted = "SELECT * FROM chats WHERE id = ? AND owner = ?"
        return await self.do(lambda db: _chat(db.execute(wanted, (chat_id, owner)).fetchone()), writes=False)

    async def messages(self, chat_id: str, after: int, limit: int) -> list[StoredMessage]:
        """At most `limit` messages with n >= after, in order."""
        wanted = "SELECT * FROM messages WHERE chat = ? AND n >= ? ORDER BY n LIMIT ?"
        return await self.do(
            lambda db: [_message(row) for row in db.execute(wanted, (chat_id, after, limit))], writes=False
        )

    async def failed(self, chat_id: str) -> list[int]:
        """The messages that no model could read, the last first. Few, and found without looking at the others."""
        wanted = "SELECT n FROM messages WHERE chat = ? AND error IS NOT NULL ORDER BY n DESC"
        return await self.do(lambda db: [row["n"] for row in db.execute(wanted, (chat_id,))], writes=False)

    async def rows(self, chat_id: str) -> list[tuple[bytes, str]]:
        """What is kept of the chat's last messages, each with its text, oldest first."""
        wanted = (
            "SELECT r.data, m.text FROM chat_rows r JOIN messages m ON m.chat = r.chat AND m.n = r.n "
            "WHERE r.chat = ? ORDER BY r.n"
        )
        return await self.do(lambda db: [tuple(row) for row in db.execute(wanted, (chat_id,))], writes=False)

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

        def work(db: sqlite3.Connection) -> bool:
            moved = db.execute(
                "UPDATE chats SET total = total + 1, state = ?, model_version = ?, touched = ? "
                "WHERE id = ? AND total = ? AND state IS ?",
                (state, model_version, now(), chat.id, chat.total, chat.state),
            )
            if not moved.rowcount:
                return False
            prediction = None if message.prediction is None else dumped(message.prediction)
            row = (chat.id, message.n, message.speaker, message.text, message.time, prediction, message.error)
            db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)
            if anew:
                db.execute("DELETE FROM chat_rows WHERE chat = ?", (chat.id,))
            for kept in rows:
                db.execute("INSERT OR REPLACE INTO chat_rows VALUES (?, ?, ?, ?)", (chat.id, *kept))
            return True

        return await self.do(work)

    async def correct(self, chat_id: str, n: int, label: str | None) -> StoredMessage | None:
        """Keeps the label a person gave message n, or forgets it (None). None where there is no such message."""

        def work(db: sqlite3.Connection) -> StoredMessage | None:
            row = (label, None if label is None else now(), chat_id, n)
            db.execute("UPDATE messages SET correction = ?, corrected = ? WHERE chat = ? AND n = ?", row)
            found = db.execute("SELECT * FROM messages WHERE chat = ? AND n = ?", (chat_id, n)).fetchone()
            return None if found is None else _message(found)

        return await self.do(work)

    async def delete_chat(self, chat_id: str, owner: str = "") -> bool:
        """Deletes the chat and its messages, overwritten on disk. False where this owner had none."""
        wanted = "DELETE FROM chats WHERE id = ? AND owner = ?"
        return await self.do(lambda db: db.execute(wanted, (chat_id, owner)).rowcount > 0, erases=True)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
            db.execute(f"PRAGMA {pragma}")
        return db

    def _open(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600, exist_ok=True)
        db = self._connect()
        with _transaction(db):
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise ValueError(
                    f"{self._path} was written by another version: its format is {version}, not {_VERSION}"
                )
            for step in _STEPS[version:]:
                for statement in _statements(step):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        return db

    async def do(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True, erases: bool = False) -> T:
        """What `work` gives of the database: one transaction where it writes. What it `erases` is nowhere afterwards,
        in no log of the database either."""
        threads = self._writer if writes else self._reader
        return await asyncio.get_running_loop().run_in_executor(threads, self._run, work, writes, erases)

    def do_now(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """The same for a thread that may wait."""
        return (self._writer if writes else self._reader).submit(self._run, work, writes).result()

    def _run(self, work: Callable[[sqlite3.Connection], T], writes: bool, erases: bool = False) -> T:
        try:
            if not writes:
                return work(self._reading)
            with _transaction(self._connection):
                found = work(self._connection)
            if erases:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return found
        except sqlite3.OperationalError as error:
            raise _impossible(error) or error from None

    def _write_something(self) -> str | None:
        try:
            with tempfile.TemporaryFile(dir=self.folder, buffering=0) as file:
                file.write(b"\0" * _PROBE_BYTES)
        except OSError as error:
            return f"it cannot be written ({error.strerror})"
        return None

    def _take_the_lock(self) -> str | None:
        try:
            with closing(sqlite3.connect(self._path, timeout=self._patience / 2, isolation_level=None)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                db.execute("ROLLBACK")
        except sqlite3.Error as error:
            return f"it does not answer ({error})"
        return None


def _statements(script: str) -> Iterator[str]:
    """One after the other; a trigger has statements in it, and is one."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise


def _impossible(error: sqlite3.OperationalError) -> Refusal | None:
    """The refusal for what no request is to blame for; None for a fault of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite says beside it
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Refusal(503, "database-locked", "the database is held by somebody else", retry_after=2)
    if code == sqlite3.SQLITE_FULL:
        return disk_full()
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return Refusal(503, "database-unusable", "the database cannot be written or read", retry_after=30)
    return None


def now() -> str:
    """The time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime(STAMP)


def dumped(value: Any) -> str:
    """A value as its JSON text."""
    return orjson.dumps(value).decode()


def _chat(row: sqlite3.Row | None) -> StoredChat | None:
    if row is None:
        return None
    return StoredChat(**{**dict(row), "labels": tuple(orjson.loads(row["labels"]))})


def _message(row: sqlite3.Row) -> StoredMessage:
    prediction = None if row["prediction"] is None else orjson.loads(row["prediction"])
    kept = {key: row[key] for key in ("n", "speaker", "text", "time", "error", "correction")}
    return StoredMessage(**kept, prediction=prediction)
