"""The formats of SQLite databases that earlier releases wrote, in their own words."""

import contextlib
import sqlite3
from pathlib import Path

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
_UNITS = """
CREATE TABLE telemetry_units (
    id TEXT PRIMARY KEY, unit TEXT NOT NULL, created TEXT NOT NULL, touched TEXT NOT NULL,
    model_version TEXT NOT NULL, total INTEGER NOT NULL, state BLOB NOT NULL, told TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX telemetry_unit ON telemetry_units (owner, unit);
CREATE INDEX telemetry_units_of ON telemetry_units (owner, created, id)
"""
STEPS = (_CHATS, _BATCHES, _VISUAL_DIALOGS, _OWNERS, _REPEATS, _COLUMNS, _LISTS, _ROWS, _CALLBACKS, _UNITS)


def write(path: Path, version: int, *rows: str) -> None:
    """A database of that format, with what these statements put there."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for step in STEPS[:version]:
            db.executescript(step)
        for row in rows:
            db.execute(row)
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
