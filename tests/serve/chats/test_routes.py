"""/v1/chats, through the whole app but for Ray."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.chats import sessions
from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.storage import Storage
from tests.serve.conftest import client_of
from tests.serve.fake import FakeTagger

NOBODY = "0" * 32


async def begin(client: httpx.AsyncClient, **wanted: str) -> str:
    response = await client.post("/chats", json=wanted)
    assert response.status_code == 201
    chat_id: str = response.json()["id"]
    assert response.headers["location"] == f"/v1/chats/{chat_id}"
    return chat_id


async def say(client: httpx.AsyncClient, chat: str, text: str, speaker: Any = "Ann") -> dict[str, Any]:
    response = await client.post(f"/chats/{chat}/messages", json={"speaker": speaker, "text": text})
    assert response.status_code == 201, response.text
    message: dict[str, Any] = response.json()
    return message


async def test_each_message_is_labelled_from_what_came_before(client: httpx.AsyncClient) -> None:
    chat = await begin(client)
    first = await say(client, chat, "great")
    second = await say(client, chat, "你好", speaker=2)
    assert (first["n"], first["prediction"]["emotion"], first["mode"], first["warnings"]) == (0, "joy", "live", [])
    assert (second["n"], second["speaker"], second["prediction"]["causes"][0]["utterance"]) == (1, "2", 0)
    (warning,) = second["warnings"]
    assert (warning["code"], warning["utterances"]) == ("foreign", [])
    assert "not in English" in warning["text"]
    read = (await client.get(f"/chats/{chat}")).json()
    assert read["total"] == 2
    assert [m["text"] for m in read["messages"]] == ["great", "你好"]
    assert read["messages"][0]["prediction"] == first["prediction"]


async def test_a_chat_may_have_another_model(client: httpx.AsyncClient) -> None:
    chat = await begin(client, label_set="emorynlp")
    assert (await say(client, chat, "x"))["model_version"] == "emotion/emorynlp@1"
    assert (await client.post("/chats", json={"model": "nope"})).status_code == 422
    assert (await client.post("/chats", json={"model": "emotion/missing"})).status_code == 503


async def test_messages_that_arrive_at_once_each_get_a_place(client: httpx.AsyncClient) -> None:
    chat = await begin(client)
    said = await asyncio.gather(*(say(client, chat, f"message {i}") for i in range(20)))
    assert sorted(m["n"] for m in said) == list(range(20))
    # Each was read after exactly those that stand before it.
    assert all(m["prediction"]["causes"][0]["utterance"] == (m["n"] - 1 if m["n"] else None) for m in said)


async def test_two_processes_share_a_chat(make_api: Callable[..., Any]) -> None:
    async with client_of(make_api()) as one, client_of(make_api()) as other:
        chat = await begin(one)
        said = await asyncio.gather(*(say((one, other)[i % 2], chat, f"{i}") for i in range(12)))
        assert sorted(m["n"] for m in said) == list(range(12))
        assert all(m["prediction"]["causes"][0]["utterance"] == (m["n"] - 1 if m["n"] else None) for m in said)


async def test_a_message_that_fails_is_kept_and_the_chat_goes_on(client: httpx.AsyncClient) -> None:
    chat = await begin(client)
    await say(client, chat, "great")
    failed = await say(client, chat, "poison")
    after = await say(client, chat, "sad")
    assert (failed["prediction"], failed["error"]) == (None, "this text is poison")
    assert after["n"] == 2
    assert after["prediction"]["causes"][0]["utterance"] == 0  # the model never read the failed one


async def test_a_new_version_of_the_model_reads_the_chat_again(
    client: httpx.AsyncClient, taggers: Taggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await begin(client)
    for text in ("a", "b", "c"):
        await say(client, chat, text)
    monkeypatch.setattr(taggers.get("emotion/ekman"), "version", "emotion/ekman@2")
    assert isinstance(taggers.get("emotion/ekman"), FakeTagger)
    message = await say(client, chat, "d")
    assert message["model_version"] == "emotion/ekman@2"
    assert message["prediction"]["causes"][0]["utterance"] == 2


async def test_causes_count_in_the_chat_where_its_state_began_anew_and_some_could_not_be_read(
    client: httpx.AsyncClient, taggers: Taggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake says of each message that the one it read before it was the cause."""
    monkeypatch.setattr(sessions, "_REPLAYED", 3)
    chat = await begin(client)
    for text in ("a", "b", "poison", "c", "crash", "poison", "d"):
        await say(client, chat, text)
    told = (await client.get(f"/chats/{chat}")).json()["messages"]
    causes = [m["prediction"]["causes"][0]["utterance"] if m["prediction"] else "failed" for m in told]
    assert causes == [None, 0, "failed", 1, "failed", "failed", 3]
    monkeypatch.setattr(taggers.get("emotion/ekman"), "version", "emotion/ekman@2")
    assert (await say(client, chat, "e"))["prediction"]["causes"][0]["utterance"] == 6
    await say(client, chat, "poison")
    assert (await say(client, chat, "f"))["prediction"]["causes"][0]["utterance"] == 7


async def test_a_correction_is_kept_and_can_be_taken_back(client: httpx.AsyncClient) -> None:
    chat = await begin(client)
    await say(client, chat, "great")
    path = f"/chats/{chat}/messages/0/correction"
    corrected = await client.put(path, json={"emotion": "fear"})
    assert (corrected.status_code, corrected.json()["correction"]) == (200, "fear")
    assert corrected.json()["prediction"]["emotion"] == "joy"
    assert (await client.get(f"/chats/{chat}")).json()["messages"][0]["correction"] == "fear"
    assert (await client.put(path, json={"emotion": "boredom"})).status_code == 422
    assert (await client.put(f"/chats/{chat}/messages/9/correction", json={"emotion": "joy"})).status_code == 404
    assert (await client.delete(path)).json()["correction"] is None


async def test_a_chat_is_read_in_pages(make_api: Callable[..., Any]) -> None:
    async with client_of(make_api(Limits(messages_per_page=3))) as client:
        chat = await begin(client)
        for i in range(5):
            await say(client, chat, str(i))
        first = (await client.get(f"/chats/{chat}")).json()
        rest = (await client.get(f"/chats/{chat}", params={"after": 3})).json()
        one = (await client.get(f"/chats/{chat}", params={"after": 1, "limit": 1})).json()
    assert [m["n"] for m in first["messages"]] == [0, 1, 2]
    assert first["total"] == 5
    assert [m["n"] for m in rest["messages"]] == [3, 4]
    assert [m["n"] for m in one["messages"]] == [1]


async def test_a_deleted_chat_is_gone_from_the_disk_too(client: httpx.AsyncClient, storage: Storage) -> None:
    chat = await begin(client)
    await say(client, chat, "a very recognisable sentence")
    assert (await client.delete(f"/chats/{chat}")).status_code == 204
    assert (await client.get(f"/chats/{chat}")).status_code == 404
    assert (await client.delete(f"/chats/{chat}")).status_code == 404
    path = storage._path
    storage.erase()
    assert b"recognisable" not in path.read_bytes()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/chats/{NOBODY}"),
        ("POST", f"/chats/{NOBODY}/messages"),
        ("PUT", f"/chats/{NOBODY}/messages/0/correction"),
        ("DELETE", f"/chats/{NOBODY}/messages/0/correction"),
        ("DELETE", f"/chats/{NOBODY}"),
    ],
)
async def test_a_chat_that_is_not_there_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    body = {"speaker": "a", "text": "b"} if method == "POST" else {"emotion": "joy"}
    response = await client.request(method, path, json=body)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("bad", ["x", "0" * 31, "0" * 31 + "G", "..%2f..%2fetc", "0" * 32 + "'--"])
async def test_an_id_that_can_be_none_is_refused(client: httpx.AsyncClient, bad: str) -> None:
    assert (await client.get(f"/chats/{bad}")).status_code in (404, 422)


async def test_limits_of_a_message_and_of_a_chat(make_api: Callable[..., Any]) -> None:
    limits = Limits(messages_per_chat=2, characters_per_utterance=10, characters_per_name=5)
    async with client_of(make_api(limits)) as client:
        chat = await begin(client)
        path = f"/chats/{chat}/messages"
        long = await client.post(path, json={"speaker": "a", "text": "x" * 11})
        name = await client.post(path, json={"speaker": "x" * 6, "text": "x"})
        await say(client, chat, "x" * 10)
        await say(client, chat, "y")
        full = await client.post(path, json={"speaker": "a", "text": "z"})
    assert (long.status_code, long.json()["limit"]) == (422, "characters_per_utterance")
    assert (name.status_code, name.json()["limit"]) == (422, "characters_per_name")
    assert (full.status_code, full.json()["limit"]) == (409, "messages_per_chat")


async def test_chats_of_nobody_are_listed_only_where_others_cannot_ask(
    client: httpx.AsyncClient, make_api: Callable[..., Any]
) -> None:
    chat = await begin(client)
    (listed,) = (await client.get("/chats")).json()["chats"]
    assert (listed["id"], listed["total"], listed["touched"]) == (chat, 0, None)
    async with client_of(make_api(may_list=False)) as open_to_all:
        for path in ("/chats", "/visual-dialogs", "/batches"):
            refused = await open_to_all.get(path)
            assert (refused.status_code, refused.json()["type"]) == (403, "urn:rapport:problem:forbidden")
