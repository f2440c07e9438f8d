"""Chats on disk."""

import asyncio
import contextlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from serve.edge.problems import Refusal
from serve.storage import KeptRow, Storage, StoredChat, StoredMessage
from tests.serve.database import released

CHAT = StoredChat(
    id="c", created="2026-01-01T00:00:00Z", model="m", labels=("joy", "neutral"), total=0, model_version="m@1"
)


async def test_a_chat_comes_back_as_it_was_kept(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    message = StoredMessage(n=0, speaker="Ann", text="\U0001f622\x00 '; --", time="12", prediction={"emotion": "joy"})
    assert await storage.append(CHAT, message, b"\x00state", "m@2")
    chat = await storage.chat("c")
    assert chat is not None
    assert (chat.total, chat.state, chat.model_version, chat.labels) == (1, b"\x00state", "m@2", ("joy", "neutral"))
    assert await storage.messages("c", 0, 10) == [message]


async def test_rows_of_the_last_messages_take_the_places_of_those_before_them(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    for n in range(5):
        message = StoredMessage(n=n, speaker="a", text=f"text {n}")
        kept = [KeptRow((n - (n > 3)) % 2, n, b"row %d" % n)] if n != 3 else []  # the model could not read that one
        so_far = replace(CHAT, total=n, state=b"head" if n else None)
        assert await storage.append(so_far, message, b"head", "m@1", kept)
    assert await storage.rows("c") == [(b"row 2", "text 2"), (b"row 4", "text 4")]
    assert await storage.append(
        replace(so_far, total=5), replace(message, n=5), None, "m@2", [KeptRow(1, 5, b"new")], anew=True
    )
    assert await storage.rows("c") == [(b"new", "text 4")]
    assert await storage.delete_chat("c")
    assert await storage.rows("c") == []


async def test_only_one_of_two_messages_for_the_same_place_is_kept(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    first, second = StoredMessage(n=0, speaker="a", text="1"), StoredMessage(n=0, speaker="b", text="2")
    assert await storage.append(CHAT, first, b"1", "m@1")
    assert not await storage.append(CHAT, second, b"2", "m@1")
    assert await storage.messages("c", 0, 10) == [first]


async def test_what_was_kept_is_there_after_the_process_died(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    first = Storage(path)
    await first.add_chat(CHAT)
    await first.append(CHAT, StoredMessage(n=0, speaker="a", text="1"), b"1", "m@1")
    second = Storage(path)  # the first was never closed
    assert [m.text for m in await second.messages("c", 0, 10)] == ["1"]
    first.close()
    second.close()


async def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    stores = [Storage(tmp_path / "a.sqlite") for _ in range(3)]
    await stores[0].add_chat(CHAT)

    async def write(storage: Storage, text: str) -> None:
        while True:
            chat = await storage.chat("c")
            assert chat is not None
            if await storage.append(chat, StoredMessage(n=chat.total, speaker="a", text=text), None, "m@1"):
                return

    await asyncio.gather(*(write(stores[i % 3], str(i)) for i in range(30)))
    messages = await stores[1].messages("c", 0, 100)
    assert sorted(int(m.text) for m in messages) == list(range(30))
    assert [m.n for m in messages] == list(range(30))
    for storage in stores:
        storage.close()


def test_a_database_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Storage(tmp_path / "a.sqlite").close()
    assert (tmp_path / "a.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_database_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ValueError, match="format is 99"):
        Storage(path)


async def test_a_database_of_the_release_before_is_brought_up_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    kept = "INSERT INTO chats VALUES ('c', '2026-01-01T00:00:00Z', 'm', '[\"joy\"]', 0, 'm@1', NULL)"
    released.write(tmp_path / "a.sqlite", 3, kept)
    storage = Storage(tmp_path / "a.sqlite")
    assert await storage.chat("c") == replace(CHAT, labels=("joy",))
    assert await storage.chat("c", "somebody") is None
    storage.close()


async def test_deleting_a_chat_deletes_its_messages(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    await storage.append(CHAT, StoredMessage(n=0, speaker="a", text="1"), None, "m@1")
    assert await storage.delete_chat("c")
    assert await storage.messages("c", 0, 10) == []
    assert not await storage.delete_chat("c")


async def test_a_database_that_somebody_else_holds_is_a_503_and_reading_goes_on(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "a.sqlite", patience=0.1)
    await storage.add_chat(CHAT)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refusal) as held:
            await storage.delete_chat("c")
        assert (held.value.status, held.value.kind) == (503, "database-locked")
        assert int(held.value.headers["Retry-After"]) >= 1
        assert "database is locked" in str(await storage.database())
        assert await storage.chat("c") == CHAT
        other.execute("ROLLBACK")
    assert await storage.database() is None
    assert await storage.delete_chat("c")
    storage.close()


async def test_a_full_disk_is_a_507_and_spoils_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "a.sqlite")
    await storage.add_chat(CHAT)

    def fill(db: Connection) -> None:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}").scalar_one()

    await storage.do(fill)
    message = StoredMessage(n=0, speaker="Ann", text="x" * 100_000)
    with pytest.raises(Refusal) as full:
        await storage.append(CHAT, message, None, "m@1")
    assert (full.value.status, full.value.kind) == (507, "disk-full")
    assert await storage.chat("c") == CHAT
    assert await storage.append(CHAT, replace(message, text="short"), None, "m@1")
    storage.close()


async def test_whoever_reads_does_not_wait_for_whoever_writes(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    go, begun = threading.Event(), threading.Event()

    def slow(db: Connection) -> None:
        begun.set()
        go.wait(30)

    writing = asyncio.create_task(storage.do(slow))
    await asyncio.to_thread(begun.wait, 10)
    assert await asyncio.wait_for(storage.chat("c"), 60) == CHAT
    assert not writing.done()
    go.set()
    await writing
