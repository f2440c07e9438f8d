"""What is sent again with the same key is made once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.emotion.steps import Step, Stepped
from serve.storage import Storage
from tests.serve.conftest import client_of

SAID = {"speaker": "Ann", "text": "an unmistakable marker"}


def key(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


async def test_a_message_sent_again_is_answered_again_and_kept_once(client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats", json={})).json()["id"]
    path = f"/chats/{chat}/messages"
    first = await client.post(path, json=SAID, headers=key("a"))
    again = await client.post(path, json=SAID, headers=key("a"))
    other = await client.post(path, json=SAID, headers=key("b"))
    plain = await client.post(path, json=SAID)
    assert [r.status_code for r in (first, again, other, plain)] == [201] * 4
    assert [r.json()["n"] for r in (first, again, other, plain)] == [0, 0, 1, 2]
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert (await client.get(f"/chats/{chat}")).json()["total"] == 3


async def test_chats_and_batches_are_begun_once_and_their_address_is_told_again(client: httpx.AsyncClient) -> None:
    chats = [await client.post("/chats", json={}, headers=key("a")) for _ in range(2)]
    batches = [await client.post("/batches", content=b"Ann: great\n", headers=key("a")) for _ in range(2)]
    for answers in (chats, batches):
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert answers[0].headers["location"] == answers[1].headers["location"]
    assert len((await client.get("/batches")).json()["batches"]) == 1


async def test_a_key_stands_for_one_thing(client: httpx.AsyncClient) -> None:
    chat = (await client.post("/chats", json={})).json()["id"]
    path = f"/chats/{chat}/messages"
    await client.post(path, json=SAID, headers=key("a"))
    other = await client.post(path, json={**SAID, "text": "other words"}, headers=key("a"))
    assert (other.status_code, other.json()["type"]) == (409, "urn:rapport:problem:key-reused")
    for bad in ("", "x" * 201, "a b\tc"):
        assert (await client.post(path, json=SAID, headers=key(bad))).status_code == 422


async def test_what_was_refused_may_be_tried_again_with_the_same_key(client: httpx.AsyncClient) -> None:
    assert (await client.post("/chats", json={"model": "none"}, headers=key("a"))).status_code == 422
    assert (await client.post("/chats", json={}, headers=key("a"))).status_code == 201


class Slow(LocalLabeller):
    """Reads a message when it is told to."""

    def __init__(self, taggers: Taggers) -> None:
        super().__init__(taggers)
        self.go, self.asked = asyncio.Event(), 0

    async def step(self, step: Step) -> Stepped:
        self.asked += 1
        await self.go.wait()
        return await super().step(step)


async def test_the_same_at_once_is_done_once_and_whoever_hangs_up_finds_it_done(
    make_api: Callable[..., Any], taggers: Taggers
) -> None:
    slow = Slow(taggers)
    async with client_of(make_api(labeller=slow)) as client:
        chat = (await client.post("/chats", json={})).json()["id"]
        path = f"/chats/{chat}/messages"
        first = asyncio.create_task(client.post(path, json=SAID, headers=key("a")))
        while not slow.asked:
            await asyncio.sleep(0.01)
        second = await client.post(path, json=SAID, headers=key("a"))
        assert (second.status_code, second.json()["type"]) == (409, "urn:rapport:problem:in-progress")
        assert int(second.headers["retry-after"]) >= 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        slow.go.set()
        async with asyncio.timeout(120):
            while (found := await client.post(path, json=SAID, headers=key("a"))).status_code == 409:
                await asyncio.sleep(0.05)
        assert (found.status_code, found.json()["n"], slow.asked) == (201, 0, 1)


async def test_an_answer_is_kept_no_longer_than_what_it_is_about(
    client: httpx.AsyncClient, storage: Storage, tmp_path: Path
) -> None:
    chat = (await client.post("/chats", json={}, headers=key("a"))).json()["id"]
    await client.post(f"/chats/{chat}/messages", json=SAID, headers=key("b"))
    kept = await storage.do(lambda db: db.exec_driver_sql("SELECT thing FROM repeats").fetchall(), writes=False)
    assert [thing for (thing,) in kept] == [chat, chat]
    await client.delete(f"/chats/{chat}")
    assert await storage.do(lambda db: db.exec_driver_sql("SELECT * FROM repeats").fetchall(), writes=False) == []
    left = b"".join(path.read_bytes() for path in tmp_path.glob("test.sqlite*"))
    assert b"unmistakable" not in left
