"""An assistant's answers in a chat: what is known of each, and how the last one gives way to another.

With an answer, what the chat was before it is kept: another one in its place is then read in one step, as the first
was, however long the chat. Once something before it is changed, that is gone, and the chat is read from its beginning.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from serve.database.tables import answer_rows, answers, chat_rows, chats, messages, repeats
from serve.storage import KeptRow, StoredChat, StoredMessage, appended, now, put_rows, row_of

_MOST_HEARD = 500
"""So many of a chat's last answers never come again."""


def notes(responder: str, version: str, finish: str, sure: bool, felt: str | None, refused: Sequence[str]) -> Any:
    """What is kept of an answer: `felt` is the emotion it answers, `refused` the answers that would not do."""
    told = {"responder": responder, "responder_version": version, "finish": finish, "sure": sure, "felt": felt}
    return {**told, "refused": list(refused)}


def heard(db: Connection, chat_id: str) -> list[str]:
    """What an assistant has said in the chat, and what would not do, the last one last."""
    wanted = select(messages.c.text, messages.c.reply)
    wanted = wanted.where(messages.c.chat == chat_id, messages.c.reply.is_not(None))
    found = db.execute(wanted.order_by(messages.c.n.desc()).limit(_MOST_HEARD)).all()
    return [text for said, reply in reversed(found) for text in (*orjson.loads(reply).get("refused", ()), said)]


def append(
    db: Connection,
    chat: StoredChat,
    message: StoredMessage,
    state: bytes | None,
    model_version: str,
    rows: Sequence[KeptRow],
    *,
    anew: bool,
) -> bool:
    """As `Storage.append`; what the chat was before is kept."""
    before = _rows(db, chat.id)
    if not appended(db, chat, message, state, model_version, rows, anew=anew):
        return False
    for table in (answers, answer_rows):
        db.execute(delete(table).where(table.c.chat == chat.id))
    told = {"chat": chat.id, "n": chat.total, "state": chat.state, "model_version": chat.model_version}
    db.execute(insert(answers), told)
    places = {row.place for row in rows}
    gone = [row for row in before if anew or row.place in places]
    if gone:
        db.execute(insert(answer_rows), [{"chat": chat.id, **row._asdict()} for row in gone])
    return True


def before_last(db: Connection, chat: StoredChat) -> tuple[bytes | None, str] | None:
    """The state and the model's version before the chat's last message; None where they are not known."""
    wanted = select(answers.c.state, answers.c.model_version)
    found = db.execute(wanted.where(answers.c.chat == chat.id, answers.c.n == chat.total - 1)).first()
    return None if found is None else (found.state, found.model_version)


def rows_before_last(db: Connection, chat: StoredChat) -> list[tuple[bytes, str]]:
    """As `Storage.rows`, before the chat's last message."""
    rows = sorted(_restored(db, chat), key=lambda row: row.n)
    wanted = select(messages.c.n, messages.c.text)
    wanted = wanted.where(messages.c.chat == chat.id, messages.c.n.in_([row.n for row in rows]))
    said = {row.n: row.text for row in db.execute(wanted)}
    return [(row.data, said[row.n]) for row in rows]


def replace_last(
    db: Connection,
    chat: StoredChat,
    message: StoredMessage,
    state: bytes | None,
    model_version: str,
    rows: Sequence[KeptRow],
    *,
    anew: bool,
) -> bool:
    """The message in place of the chat's last one; False where the chat is no longer as `chat` says."""
    same = (chats.c.id == chat.id, chats.c.total == chat.total, chats.c.state.is_not_distinct_from(chat.state))
    moved = {"state": state, "model_version": model_version, "touched": now()}
    if not db.execute(update(chats).where(*same).values(moved)).rowcount:
        return False
    restored = [] if anew else _restored(db, chat)
    db.execute(delete(messages).where(messages.c.chat == chat.id, messages.c.n == chat.total - 1))
    db.execute(insert(messages), row_of(chat.id, message))
    db.execute(delete(chat_rows).where(chat_rows.c.chat == chat.id))
    put_rows(db, chat.id, restored)
    put_rows(db, chat.id, rows)
    db.execute(delete(repeats).where(repeats.c.thing == chat.id))  # they tell of the answer that would not do
    return True


def _rows(db: Connection, chat_id: str) -> list[KeptRow]:
    wanted = select(chat_rows.c.place, chat_rows.c.n, chat_rows.c.data).where(chat_rows.c.chat == chat_id)
    return [KeptRow(*row) for row in db.execute(wanted)]


def _restored(db: Connection, chat: StoredChat) -> list[KeptRow]:
    """The chat's rows as they were before its last message."""
    wanted = select(answer_rows.c.place, answer_rows.c.n, answer_rows.c.data).where(answer_rows.c.chat == chat.id)
    gone = {row.place: KeptRow(*row) for row in db.execute(wanted)}
    found = {row.place: row for row in _rows(db, chat.id) if row.n != chat.total - 1}
    return [*(found | gone).values()]
