"""Dialogues about pictures in the database: functions of a connection, to be handed to `Storage.do`."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select, update
from sqlalchemy import delete as deleting

from serve.database.tables import visual_dialogs, visual_rounds
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


def add(db: Connection, dialog: StoredDialog) -> None:
    """Keeps a new dialogue."""
    db.execute(insert(visual_dialogs), {**asdict(dialog), "look": orjson.dumps(dialog.look).decode()})


def get(db: Connection, dialog_id: str, owner: str = "") -> StoredDialog | None:
    """The dialogue, with its state; None where there is none."""
    wanted = select(visual_dialogs).where(visual_dialogs.c.id == dialog_id, visual_dialogs.c.owner == owner)
    row = db.execute(wanted).mappings().first()
    return None if row is None else StoredDialog(**{**row, "look": orjson.loads(row["look"])})


def rounds(db: Connection, dialog_id: str) -> list[StoredRound]:
    """All of them, in order."""
    wanted = select(visual_rounds).where(visual_rounds.c.dialog == dialog_id).order_by(visual_rounds.c.n)
    found = db.execute(wanted).mappings()
    return [StoredRound(n=row["n"], question=row["question"], answer=orjson.loads(row["answer"])) for row in found]


def append(
    db: Connection, dialog: StoredDialog, question: str, answer: dict[str, Any], state: bytes, version: str
) -> bool:
    """Adds the round and moves the dialogue's state on, both or neither.

    False where the dialogue is no longer as `dialog` says: another question was faster, or it was deleted.
    """
    same = (visual_dialogs.c.id == dialog.id, visual_dialogs.c.total == dialog.total)
    told = {"total": dialog.total + 1, "state": state, "model_version": version, "touched": now()}
    if not db.execute(update(visual_dialogs).where(*same).values(told)).rowcount:
        return False
    row = {"dialog": dialog.id, "n": dialog.total, "question": question, "answer": orjson.dumps(answer).decode()}
    db.execute(insert(visual_rounds), row)
    return True


def delete(db: Connection, dialog_id: str, owner: str = "") -> bool:
    """Deletes the picture and all that was said of it, overwritten on disk. False where there was none."""
    own = (visual_dialogs.c.id == dialog_id, visual_dialogs.c.owner == owner)
    return db.execute(deleting(visual_dialogs).where(*own)).rowcount > 0
