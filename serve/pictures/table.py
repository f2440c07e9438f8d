"""Dialogues about pictures in the database: functions of a connection, to be handed to `Storage.do`."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from serve.storage import now


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDialog:
    """A dialogue without its rounds. `state` is what the model of `model_version` knows after `total` of them."""

    id: str
    created: str
    picture: bytes
    """A JPEG, small: a model of a new version looks at it again."""
    caption: str
    look: dict[str, Any]
    """width, height, boxes, strangeness."""
    total: int
    model_version: str
    state: bytes
    owner: str = ""
    """The name of the key that began it, which alone may see it."""
    touched: str = ""
    """When something was last asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRound:
    """A question and the answer's JSON object. `n` counts from 0."""

    n: int
    question: str
    answer: dict[str, Any]


def add(db: sqlite3.Connection, dialog: StoredDialog) -> None:
    """Keeps a new dialogue."""
    db.execute(
        "INSERT INTO visual_dialogs (id, created, picture, caption, look, total, model_version, state, owner, "
        "touched) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            dialog.id,
            dialog.created,
            dialog.picture,
            dialog.caption,
            orjson.dumps(dialog.look).decode(),
            dialog.total,
            dialog.model_version,
            dialog.state,
            dialog.owner,
            dialog.touched,
        ),
    )


def get(db: sqlite3.Connection, dialog_id: str, owner: str = "") -> StoredDialog | None:
    """The dialogue, with its state; None where there is none."""
    row = db.execute("SELECT * FROM visual_dialogs WHERE id = ? AND owner = ?", (dialog_id, owner)).fetchone()
    return None if row is None else StoredDialog(**{**dict(row), "look": orjson.loads(row["look"])})


def rounds(db: sqlite3.Connection, dialog_id: str) -> list[StoredRound]:
    """All of them, in order."""
    found = db.execute("SELECT n, question, answer FROM visual_rounds WHERE dialog = ? ORDER BY n", (dialog_id,))
    return [StoredRound(n=row["n"], question=row["question"], answer=orjson.loads(row["answer"])) for row in found]


def append(
    db: sqlite3.Connection, dialog: StoredDialog, question: str, answer: dict[str, Any], state: bytes, version: str
) -> bool:
    """Adds the round and moves the dialogue's state on, both or neither.

    False where the dialogue is no longer as `dialog` says: another question was faster, or it was deleted.
    """
    moved = db.execute(
        "UPDATE visual_dialogs SET total = total + 1, state = ?, model_version = ?, touched = ? "
        "WHERE id = ? AND total = ?",
        (state, version, now(), dialog.id, dialog.total),
    )
    if not moved.rowcount:
        return False
    row = (dialog.id, dialog.total, question, orjson.dumps(answer).decode())
    db.execute("INSERT INTO visual_rounds VALUES (?, ?, ?, ?)", row)
    return True


def delete(db: sqlite3.Connection, dialog_id: str, owner: str = "") -> bool:
    """Deletes the picture and all that was said of it, overwritten on disk. False where there was none."""
    return db.execute("DELETE FROM visual_dialogs WHERE id = ? AND owner = ?", (dialog_id, owner)).rowcount > 0
