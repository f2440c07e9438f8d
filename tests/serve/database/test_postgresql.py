"""The service on PostgreSQL: what SQLite promises holds there too, with several nodes at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, create_engine, delete, update

from serve.batches import parts
from serve.batches import table as batch_table
from serve.database.engine import engine_of, url_of
from serve.database.tables import chats, recordings
from serve.edge.problems import Refusal
from serve.speech import table as recordings_table
from serve.storage import Storage, StoredMessage
from tests.serve.batches.test_leases import tried
from tests.serve.chats.test_edits import (  # noqa: F401
    test_corrections_stay_with_their_messages_but_not_with_other_words,
    test_messages_that_arrive_while_a_chat_is_read_again_are_neither_lost_nor_read_wrong,
)
from tests.serve.chats.test_routes import (  # noqa: F401
    test_a_correction_is_kept_and_can_be_taken_back,
    test_messages_that_arrive_at_once_each_get_a_place,
    test_two_processes_share_a_chat,
)
from tests.serve.database.postgresql import Server
from tests.serve.edge.test_paging import (  # noqa: F401
    test_a_list_is_narrowed,
    test_only_ones_own_things_are_listed,
    test_what_is_made_or_deleted_between_two_pages_shifts_nothing,
)
from tests.serve.test_repeats import test_an_answer_is_kept_no_longer_than_what_it_is_about  # noqa: F401
from tests.serve.test_retention import test_chats_pictures_and_logs_end_after_their_last_use  # noqa: F401
from tests.serve.test_storage import (  # noqa: F401
    CHAT,
    test_a_chat_comes_back_as_it_was_kept,
    test_deleting_a_chat_deletes_its_messages,
    test_only_one_of_two_messages_for_the_same_place_is_kept,
    test_rows_of_the_last_messages_take_the_places_of_those_before_them,
    test_whoever_reads_does_not_wait_for_whoever_writes,
)


@pytest.fixture
def make_storage(make_database: Callable[[], str], tmp_path: Path) -> Iterator[Callable[[], Storage]]:
    """Nodes of one database and one folder."""
    url, made = make_database(), list[Storage]()

    def make(patience: float = 30.0) -> Storage:
        made.append(Storage(tmp_path / "test.sqlite", url=url, patience=patience))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def storage(make_storage: Callable[[], Storage]) -> Storage:
    """What other tests use, here on PostgreSQL."""
    return make_storage()


def batch(name: str = "a.txt") -> batch_table.StoredBatch:
    return batch_table.new(name, "auto", "jsonl", "m", False, 5_000_000_000)


async def test_messages_of_several_nodes_are_all_kept_in_one_order(make_storage: Callable[[], Storage]) -> None:
    nodes = [make_storage() for _ in range(3)]
    await nodes[0].add_chat(CHAT)

    async def write(node: Storage, text: str) -> None:
        while True:
            chat = await node.chat("c")
            assert chat is not None
            if await node.append(chat, StoredMessage(n=chat.total, speaker="a", text=text), None, "m@1"):
                return

    await asyncio.gather(*(write(nodes[i % 3], str(i)) for i in range(18)))
    messages = await nodes[1].messages("c", 0, 100)
    assert sorted(int(m.text) for m in messages) == list(range(18))
    assert [m.n for m in messages] == list(range(18))


def test_each_batch_and_each_part_is_one_nodes_in_the_order_of_their_turns(make_storage: Callable[[], Storage]) -> None:
    nodes = [make_storage() for _ in range(2)]
    made = [batch() for _ in range(12)]
    for one in made:
        nodes[0].do_now(lambda db, one=one: batch_table.add(db, one, 99))  # type: ignore[misc]
    claimed: list[batch_table.StoredBatch] = []
    leased: list[str] = []

    def claim(node: Storage) -> None:
        while (found := node.do_now(lambda db: batch_table.claim(db, "x", 60.0, 12))) is not None:
            claimed.append(found)

    def lease(node: Storage) -> None:
        while (found := node.do_now(lambda db: parts.lease(db, "x", 60.0))) is not None:
            leased.append(found.name)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(claim, nodes * 3))
        assert sorted(one.id for one in claimed) == sorted(one.id for one in made)
        assert nodes[0].do_now(batch_table.by_state)["running"] == 12
        for one in claimed[:3]:
            nodes[0].do_now(lambda db, one=one: parts.put(db, one, "x", [f"{one.id}{n}" for n in range(8)]))  # type: ignore[misc]
        list(threads.map(lease, nodes * 3))
    assert len(leased) == len(set(leased)) == 24


def test_each_recording_is_one_nodes_and_another_takes_over_what_a_dead_one_had(
    make_storage: Callable[[], Storage],
) -> None:
    nodes = [make_storage() for _ in range(2)]
    made = [recordings_table.new(f"{n}.wav", 1, model="m", recogniser="r") for n in range(9)]
    for one in made:
        nodes[0].do_now(lambda db, one=one: recordings_table.add(db, one, 99))  # type: ignore[misc]

    def claim(node: Storage, holder: str, most: int) -> list[str]:
        found: list[str] = []
        while (one := node.do_now(lambda db: recordings_table.claim(db, holder, 60.0, most))) is not None:
            found.append(one.id)
        return found

    with ThreadPoolExecutor(6) as threads:
        claimed = [one for some in threads.map(lambda node: claim(node, "x", 9), nodes * 3) for one in some]
    assert sorted(claimed) == sorted(one.id for one in made)
    nodes[0].do_now(lambda db: db.execute(update(recordings).values(held_until=0.0)))  # "x" is not heard of any more
    assert claim(nodes[1], "y", 1) == [one.id for one in made]
    dead = nodes[0].do_now(lambda db: recordings_table.get(db, made[0].id))
    assert dead is not None
    assert (dead.holder, dead.lost) == ("y", 1)
    assert not nodes[0].do_now(lambda db: recordings_table.failed(db, replace(dead, holder="x"), "no"))
    assert nodes[1].do_now(lambda db: recordings_table.failed(db, dead, "no"))


def test_the_leases_of_postgresql_are_the_same(make_database: Callable[[], str]) -> None:
    tried(engine_of(url_of(make_database()), patience=30, writes=True), examples=6)


def test_nodes_that_add_batches_at_once_keep_to_the_limit(make_storage: Callable[[], Storage]) -> None:
    nodes, full = [make_storage() for _ in range(2)], threading.Semaphore(0)

    def add(node: Storage) -> None:
        try:
            node.do_now(lambda db: batch_table.add(db, batch(), 5))
        except batch_table.TooManyBatches:
            full.release()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, nodes * 6))
    assert nodes[0].do_now(batch_table.waiting) == 5
    assert sum(full.acquire(blocking=False) for _ in range(12)) == 7


async def test_what_is_sent_to_two_nodes_with_one_key_is_made_once(
    make_api: Callable[..., object], client: httpx.AsyncClient
) -> None:
    sent = [client.post("/chats", json={}, headers={"Idempotency-Key": "k"}) for _ in range(8)]
    answers = await asyncio.gather(*sent)
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await client.post("/chats", json={}, headers={"Idempotency-Key": "k"})
    assert again.json()["id"] in made


def test_nodes_that_start_at_once_make_one_database(make_storage: Callable[[], Storage]) -> None:
    with ThreadPoolExecutor(3) as threads:
        nodes = list(threads.map(lambda _: make_storage(), range(3)))
    assert nodes[2].do_now(batch_table.by_state)["queued"] == 0


async def test_text_of_every_kind_comes_back(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    for n, said in enumerate(["\0", "\x1a", "\x1a0", "a\0\x1a1\0", "\U0001f622 é\r\n", ""]):
        message = StoredMessage(n=n, speaker=said or "a", text=said, time=said or None, error=said or None)
        assert await storage.append(replace(CHAT, total=n), message, None, "m@1")
        assert await storage.messages("c", n, 1) == [message]


async def test_a_lock_that_is_not_given_is_a_503_and_reading_goes_on(make_storage: Callable[..., Storage]) -> None:
    node, other = make_storage(0.3), make_storage()
    await node.add_chat(CHAT)
    with other._writing.begin() as db:
        db.exec_driver_sql("LOCK TABLE chats IN EXCLUSIVE MODE")
        with pytest.raises(Refusal) as held:
            await node.delete_chat("c")
        assert (held.value.status, held.value.kind) == (503, "database-locked")
        assert await node.chat("c") == CHAT
    assert await node.delete_chat("c")


async def test_a_database_without_room_is_a_507(storage: Storage) -> None:
    await storage.add_chat(CHAT)
    with pytest.raises(Refusal) as full:
        await storage.do(lambda db: db.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$"))
    assert (full.value.status, full.value.kind) == (507, "disk-full")
    assert await storage.chat("c") == CHAT


async def test_a_server_that_goes_is_a_503_and_one_that_comes_back_is_used(
    make_storage: Callable[..., Storage], server: Server
) -> None:
    node = make_storage()
    await node.add_chat(CHAT)
    assert await node.chat("c") == CHAT
    server.stop()
    try:
        for _ in range(2):
            with pytest.raises(Refusal) as read:
                await node.chat("c")
            with pytest.raises(Refusal) as written:
                await node.delete_chat("c")
            assert {e.value.kind for e in (read, written)} == {"database-unusable"}
            assert {e.value.status for e in (read, written)} == {503}
        assert "does not answer" in str(await node.database())
        assert await node.disk() is None
    finally:
        server.start()
    assert await node.chat("c") == CHAT
    assert await node.database() is None
    assert await node.delete_chat("c")


async def test_a_connection_that_is_cut_in_the_middle_spoils_nothing(storage: Storage, server: Server) -> None:
    await storage.add_chat(CHAT)

    def cut(db: Connection) -> None:
        db.execute(delete(chats))
        db.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Refusal) as lost:
        await storage.do(cut)
    assert (lost.value.status, lost.value.kind) == (503, "database-unusable")
    assert await storage.chat("c") == CHAT


async def test_a_database_that_only_reads_is_told(make_database: Callable[[], str], tmp_path: Path) -> None:
    url = make_database()
    storage = Storage(tmp_path / "a.sqlite", url=url)
    await storage.add_chat(CHAT)
    engine = create_engine(url_of(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.exec_driver_sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    engine.dispose()
    storage.close()
    again = Storage(tmp_path / "a.sqlite", url=url)
    assert await again.database() == "it can only be read"
    with pytest.raises(Refusal) as refused:
        await again.delete_chat("c")
    assert (refused.value.status, refused.value.kind) == (503, "database-unusable")
    assert await again.chat("c") == CHAT
    again.close()
