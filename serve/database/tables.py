"""What is in the database as it stands now; `migrations` has the way there from every format before."""

from typing import Any

from sqlalchemy import (
    DDL,
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    event,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.types import TypeEngine

metadata = MetaData()

_Plain = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids and times: they sort byte by byte, whatever the language of the database."""
_Large = BigInteger().with_variant(Integer(), "sqlite")
_Share: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")


class Words(TypeDecorator[str]):
    """What people wrote, as they wrote it. PostgreSQL has no text with a NUL in it: there it is SUB and 0."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is kept."""
        if value is None or dialect.name != "postgresql" or not ("\0" in value or "\x1a" in value):
            return value
        return value.replace("\x1a", "\x1a1").replace("\0", "\x1a0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was written."""
        if value is None or dialect.name != "postgresql" or "\x1a" not in value:
            return value
        return value.replace("\x1a0", "\0").replace("\x1a1", "\x1a")


def _table(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns, sqlite_strict=True)


def _number(name: str, default: int | None = None) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=None if default is None else text(str(default)))


def _empty(name: str) -> Column[str]:
    return Column(name, _Plain, nullable=False, server_default=text("''"))


def _lease() -> tuple[Column[Any], ...]:
    """Whose a piece of work is, until when, and how often whoever had it did not come back."""
    return Column("holder", _Plain), Column("held_until", _Share), _number("lost", 0)


chats = _table(
    "chats",
    Column("id", _Plain, primary_key=True),
    Column("created", _Plain, nullable=False),
    Column("model", Text, nullable=False),
    Column("labels", Text, nullable=False),
    _number("total"),
    Column("model_version", Text, nullable=False),
    Column("state", LargeBinary),
    _empty("owner"),
    _empty("touched"),
)
Index("chats_of", chats.c.owner, chats.c.created, chats.c.id)

messages = _table(
    "messages",
    Column("chat", _Plain, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("speaker", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("time", Words),
    Column("prediction", Text),
    Column("error", Words),
    Column("correction", Text),
    Column("corrected", _Plain),
    Column("reply", Text),
)
_unread = messages.c.error.is_not(None)
Index("failed_messages", messages.c.chat, messages.c.n, sqlite_where=_unread, postgresql_where=_unread)

chat_rows = _table(
    "chat_rows",
    Column("chat", _Plain, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    _number("n"),
    Column("data", LargeBinary, nullable=False),
)

answers = _table(
    "answers",
    Column("chat", _Plain, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
    _number("n"),
    Column("state", LargeBinary),
    Column("model_version", Text, nullable=False),
)

answer_rows = _table(
    "answer_rows",
    Column("chat", _Plain, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    _number("n"),
    Column("data", LargeBinary, nullable=False),
)

batches = _table(
    "batches",
    Column("number", _Large, Identity(), primary_key=True),
    Column("id", _Plain, nullable=False, unique=True),
    Column("created", _Plain, nullable=False),
    Column("filename", Words, nullable=False),
    Column("input_format", Text, nullable=False),
    Column("output_format", Text, nullable=False),
    Column("model", Text, nullable=False),
    _number("anonymise"),
    Column("bytes", _Large, nullable=False),
    Column("state", Text, nullable=False),
    Column("started", _Plain),
    Column("finished", _Plain),
    Column("fraction", _Share, nullable=False, server_default=text("0")),
    _number("done", 0),
    _number("failed", 0),
    _number("utterances", 0),
    Column("failures", Text, nullable=False, server_default=text("'[]'")),
    Column("error", Words),
    Column("model_version", Text),
    _empty("owner"),
    Column("columns", Text, nullable=False, server_default=text("'{}'")),
    Column("encoding", Text),
    Column("turn", _Large, nullable=False, server_default=text("0")),
    *_lease(),
)
Index("batches_of", batches.c.owner, batches.c.created, batches.c.number)

batch_parts = _table(
    "batch_parts",
    Column("number", _Large, Identity(), primary_key=True),
    Column("batch", _Plain, ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("name", _Plain, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("error", Words),
    *_lease(),
)
Index("batch_part", batch_parts.c.batch, batch_parts.c.name, unique=True)

callbacks = _table(
    "callbacks",
    Column("batch", _Plain, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("url", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    _number("tries", 0),
    _empty("due"),
    Column("tried", _Plain),
    Column("status", Integer),
    Column("error", Words),
)
_waiting = callbacks.c.state == "waiting"
Index("callbacks_due", callbacks.c.due, sqlite_where=_waiting, postgresql_where=_waiting)

visual_dialogs = _table(
    "visual_dialogs",
    Column("id", _Plain, primary_key=True),
    Column("created", _Plain, nullable=False),
    Column("picture", LargeBinary, nullable=False),
    Column("caption", Words, nullable=False),
    Column("look", Text, nullable=False),
    _number("total"),
    Column("model_version", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
    _empty("owner"),
    _empty("touched"),
)
Index("visual_dialogs_of", visual_dialogs.c.owner, visual_dialogs.c.created, visual_dialogs.c.id)

visual_rounds = _table(
    "visual_rounds",
    Column("dialog", _Plain, ForeignKey("visual_dialogs.id", ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("question", Words, nullable=False),
    Column("answer", Text, nullable=False),
)

telemetry_units = _table(
    "telemetry_units",
    Column("id", _Plain, primary_key=True),
    Column("unit", _Plain, nullable=False),
    Column("created", _Plain, nullable=False),
    Column("touched", _Plain, nullable=False),
    Column("model_version", Text, nullable=False),
    _number("total"),
    Column("state", LargeBinary, nullable=False),
    Column("told", Text, nullable=False),
    _empty("owner"),
)
Index("telemetry_unit", telemetry_units.c.owner, telemetry_units.c.unit, unique=True)
Index("telemetry_units_of", telemetry_units.c.owner, telemetry_units.c.created, telemetry_units.c.id)

recordings = _table(
    "recordings",
    Column("number", _Large, Identity(), primary_key=True),
    Column("id", _Plain, nullable=False, unique=True),
    Column("created", _Plain, nullable=False),
    Column("touched", _Plain, nullable=False),
    Column("filename", Words, nullable=False),
    Column("bytes", _Large, nullable=False),
    Column("n_speakers", Integer),
    Column("channels", Text, nullable=False),
    Column("recogniser", Text, nullable=False),
    Column("language", Text),
    Column("model", Text, nullable=False),
    Column("model_version", Text),
    Column("state", Text, nullable=False),
    Column("started", _Plain),
    Column("finished", _Plain),
    Column("fraction", _Share, nullable=False, server_default=text("0")),
    Column("seconds", _Share),
    Column("envelope", LargeBinary),
    Column("names", Words, nullable=False, server_default=text("'[]'")),
    Column("warnings", Words, nullable=False, server_default=text("'[]'")),
    Column("label_warnings", Words, nullable=False, server_default=text("'[]'")),
    Column("error", Words),
    _number("revision", 0),
    _empty("owner"),
    *_lease(),
)
Index("recordings_of", recordings.c.owner, recordings.c.created, recordings.c.number)

recording_parts = _table(
    "recording_parts",
    Column("recording", _Plain, ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("starts", _Share, nullable=False),
    Column("ends", _Share, nullable=False),
    _number("channel"),
    _number("speaker"),
    Column("text", Words, nullable=False),
    Column("confidence", _Share),
    _number("edited", 0),
    Column("prediction", Text),
    Column("voice", Text),
)

repeats = _table(
    "repeats",
    Column("name", _Plain, primary_key=True),
    Column("created", _Plain, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", LargeBinary),
    Column("thing", _Plain),
)
Index("repeats_of", repeats.c.thing)

_SOON_FORGOTTEN = {
    "chats": "chat_is_gone",
    "batches": "batch_is_gone",
    "visual_dialogs": "picture_is_gone",
    "recordings": "recording_is_gone",
}
"""Tables, and the trigger of each: the answers about a thing go with it."""
FORGET = (
    "CREATE FUNCTION forget_answers() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN DELETE FROM repeats WHERE thing = old.id; RETURN NULL; END $$"
)
"""What PostgreSQL calls then."""


def forgetting(dialect: str) -> list[str]:
    """The statements that make the triggers."""
    if dialect == "postgresql":
        does = "FOR EACH ROW EXECUTE FUNCTION forget_answers()"
        return [FORGET] + [f"CREATE TRIGGER {name} AFTER DELETE ON {t} {does}" for t, name in _SOON_FORGOTTEN.items()]
    does = "BEGIN DELETE FROM repeats WHERE thing = old.id; END"
    return [f"CREATE TRIGGER {name} AFTER DELETE ON {t} {does}" for t, name in _SOON_FORGOTTEN.items()]


for _dialect in ("sqlite", "postgresql"):
    for _statement in forgetting(_dialect):
        _made: ExecutableDDLElement = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(metadata, "after_create", _made.execute_if(dialect=_dialect))
