"""The client that is awaited: the same as the one that waits."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.client import AsyncClient, Client, Conversation, ServiceError, Utterance
from serve.edge.limits import Limits
from serve.storage import Storage
from tests.serve.edge.test_paging import add_chats, chat

HELLO = Conversation(id="a", utterances=(Utterance(speaker="Ann", text="great"),))
CONTROL = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


def methods(kind: type) -> dict[str, inspect.Signature]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(value) for name, value in found if not name.startswith("_") or name == "__init__"}


def test_both_clients_can_the_same_and_take_the_same() -> None:
    waiting, awaited = methods(Client), methods(AsyncClient)
    assert awaited.keys() == waiting.keys()
    for name in waiting.keys() - {"__init__"}:
        assert awaited[name].parameters == waiting[name].parameters, name
    assert [*awaited["__init__"].parameters] == [*waiting["__init__"].parameters]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_method_is_described_under_its_own_name(kind: type) -> None:
    for name, function in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            assert function.__name__ == name
            assert function.__doc__, name
            assert next(iter(inspect.signature(function).parameters)) == "self", name


@pytest.fixture
async def service(make_api: Callable[..., Any]) -> AsyncIterator[AsyncClient]:
    transport = httpx.ASGITransport(make_api(Limits(messages_per_page=2)))
    async with AsyncClient("http://test", transport=transport) as client:
        yield client


async def test_conversations_and_a_chat(service: AsyncClient) -> None:
    answer = await service.emotions([HELLO])
    assert answer.conversations[0].utterances[0].prediction is not None
    begun = await service.start_chat()
    for text in ("great", "sad", "hate"):
        await service.add_message(begun.id, "Ann", text)
    assert (await service.correct(begun.id, 2, "fear")).emotion == "fear"
    assert [m.emotion for m in (await service.chat(begun.id)).messages] == ["joy", "sadness", "fear"]
    await service.delete_chat(begun.id)
    await service.delete_chat(begun.id)
    with pytest.raises(ServiceError, match="no such chat"):
        await service.chat(begun.id)
    while not await service.ready():  # a part nobody has looked at yet is not ready
        await asyncio.sleep(0.05)
    assert [m.name for m in await service.models() if m.default] == ["emotion/ekman"]
    assert "ekman" in await service.labels()
    assert (await service.limits())["messages_per_page"] == 2


async def test_lists_come_page_by_page(service: AsyncClient, storage: Storage) -> None:
    add_chats(storage, *(chat(n) for n in range(250)))
    assert [c.total async for c in service.chats()] == [*range(249, -1, -1)]


async def test_a_log_goes_in_and_is_followed(service: AsyncClient, tmp_path: Path) -> None:
    log = tmp_path / "chat.txt"
    log.write_text("Ann: great\n")
    batch = await service.start_batch(log, columns={"text": "a"}, anonymise=True)
    assert (batch.state, batch.anonymise, batch.column) == ("queued", True, ("text=a",))
    assert [b.id async for b in service.batches(state="queued")] == [batch.id]
    with pytest.raises(ServiceError) as early:
        await service.save_batch(batch.id, tmp_path / "out")
    assert early.value.kind == "not-done"
    await service.delete_batch(batch.id)
    with pytest.raises(ServiceError) as gone:
        await anext(service.follow_batch(batch.id))
    assert gone.value.status == 404


async def test_overload_is_waited_out_with_one_key_and_what_will_not_get_better_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    keys: list[str] = []
    statuses = [429, 503, 200]

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("idempotency-key", ""))
        told = {"n": 0, "speaker": "a", "text": "b", **dict.fromkeys(("time", "prediction", "error", "correction"))}
        return httpx.Response(statuses.pop(0), headers={"retry-after": "3"}, json={**told, "new": "field"})

    client = AsyncClient("http://test", transport=httpx.MockTransport(answer))
    assert (await client.add_message("c", "Ann", "hi")).text == "b"
    assert len(set(keys)) == 1
    assert len(keys) == 3
    assert all(3 <= nap <= 5 for nap in slept)
    statuses[:] = [422]
    with pytest.raises(ServiceError, match="HTTP 422"):
        await client.models()


async def test_a_service_that_is_not_there_says_so() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("late")

    client = AsyncClient("http://test", transport=httpx.MockTransport(refuse))
    assert not await client.ready()
    with pytest.raises(ServiceError, match="does not answer") as caught:
        await client.models()
    assert (caught.value.status, caught.value.kind) == (0, "timeout")
