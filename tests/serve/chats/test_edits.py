"""Messages that are changed and deleted: live equals read again."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.storage import Storage
from tests.serve.chats.test_routes import NOBODY, begin, say
from tests.serve.conftest import client_of
from tests.serve.fake import FakeTagger

TEXTS = ("great", "poison", "sad", "I hate it", "hm", "great")


async def talk(client: httpx.AsyncClient, *texts: str) -> str:
    chat = await begin(client)
    for i, text in enumerate(texts):
        await say(client, chat, text, speaker="Bo" if i % 2 else "Ann")
    return chat


async def messages(client: httpx.AsyncClient, chat: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/chats/{chat}")).json()["messages"]
    return found


async def equals_read_again(client: httpx.AsyncClient, chat: str) -> list[dict[str, Any]]:
    """Its messages; they, and the next one, are labelled as in a chat in which just this was said."""
    found = await messages(client, chat)
    again = await begin(client)
    for message in found:
        await say(client, again, message["text"], message["speaker"])
    labels = [(m["n"], m["prediction"], m["error"]) for m in found]
    assert labels == [(m["n"], m["prediction"], m["error"]) for m in await messages(client, again)]
    after = [await say(client, c, "great", "Cem") for c in (chat, again)]
    assert after[0]["prediction"] == after[1]["prediction"]
    assert after[0]["n"] == after[1]["n"] == len(found)
    await client.delete(f"/chats/{chat}/messages/{len(found)}")
    return found


@pytest.mark.parametrize("n", range(len(TEXTS)))
async def test_a_message_that_is_edited_is_read_again_with_all_after_it(client: httpx.AsyncClient, n: int) -> None:
    chat = await talk(client, *TEXTS)
    before = await messages(client, chat)
    answer = await client.patch(f"/chats/{chat}/messages/{n}", json={"text": "so sad", "speaker": 7, "time": "noon"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["first"], told["total"], [m["n"] for m in told["messages"]]) == (n, 6, list(range(n, 6)))
    found = await equals_read_again(client, chat)
    assert found[:n] == before[:n]
    assert [{k: v for k, v in m.items() if k != "warnings"} for m in told["messages"]] == found[n:]
    assert (found[n]["text"], found[n]["speaker"], found[n]["time"]) == ("so sad", "7", "noon")
    assert found[n]["prediction"]["emotion"] == "sadness"


@pytest.mark.parametrize("n", range(len(TEXTS)))
async def test_a_message_that_is_deleted_is_gone_and_those_after_it_move_up(
    client: httpx.AsyncClient, storage: Storage, n: int
) -> None:
    chat = await talk(client, *TEXTS)
    answer = await client.delete(f"/chats/{chat}/messages/{n}")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["first"], answer.json()["total"]) == (n, 5)
    found = await equals_read_again(client, chat)
    assert [m["text"] for m in found] == [t for i, t in enumerate(TEXTS) if i != n]
    assert [m["n"] for m in found] == list(range(5))


async def test_what_was_deleted_is_nowhere_on_the_disk(client: httpx.AsyncClient, storage: Storage) -> None:
    chat = await begin(client)
    key = {"Idempotency-Key": "k1"}
    await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": "my Geheimnis"}, headers=key)
    await say(client, chat, "hm")
    assert any(b"Geheimnis" in path.read_bytes() for path in storage.folder.glob("test.sqlite*"))
    await client.patch(f"/chats/{chat}/messages/0", json={"text": "nothing"})
    assert not any(b"Geheimnis" in path.read_bytes() for path in storage.folder.glob("test.sqlite*"))


async def test_the_only_message_may_be_deleted_and_the_chat_goes_on(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "great")
    assert (await client.delete(f"/chats/{chat}/messages/0")).json()["total"] == 0
    assert (await say(client, chat, "sad"))["n"] == 0
    await equals_read_again(client, chat)


async def test_corrections_stay_with_their_messages_but_not_with_other_words(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "great", "sad", "hm")
    for n, label in ((0, "fear"), (1, "joy"), (2, "anger")):
        await client.put(f"/chats/{chat}/messages/{n}/correction", json={"emotion": label})
    await client.patch(f"/chats/{chat}/messages/1", json={"time": "noon"})
    assert [m["correction"] for m in await messages(client, chat)] == ["fear", "joy", "anger"]
    await client.patch(f"/chats/{chat}/messages/1", json={"speaker": "Cem"})
    assert [m["correction"] for m in await messages(client, chat)] == ["fear", "joy", "anger"]
    await client.patch(f"/chats/{chat}/messages/1", json={"text": "so sad"})
    assert [m["correction"] for m in await messages(client, chat)] == ["fear", None, "anger"]
    await client.delete(f"/chats/{chat}/messages/0")
    assert [m["correction"] for m in await messages(client, chat)] == [None, "anger"]


async def test_a_time_alone_reads_nothing_again(client: httpx.AsyncClient, taggers: Taggers) -> None:
    chat = await talk(client, "great", "sad")
    before = await messages(client, chat)
    told = (await client.patch(f"/chats/{chat}/messages/1", json={"time": "noon"})).json()
    assert (told["first"], [m["time"] for m in told["messages"]]) == (1, ["noon"])
    told = (await client.patch(f"/chats/{chat}/messages/1", json={"time": None})).json()
    assert await messages(client, chat) == before
    await equals_read_again(client, chat)


async def test_all_of_it_is_said_again_to_rename_somebody_and_to_undo(client: httpx.AsyncClient) -> None:
    chat = await talk(client, *TEXTS)
    await client.put(f"/chats/{chat}/messages/0/correction", json={"emotion": "fear"})
    before = await messages(client, chat)
    said = [{k: m[k] for k in ("speaker", "text", "time", "correction")} for m in before]
    renamed = [{**m, "speaker": "Cem" if m["speaker"] == "Bo" else m["speaker"]} for m in said]
    told = (await client.put(f"/chats/{chat}/messages", json={"messages": renamed})).json()
    assert (told["first"], told["total"]) == (1, 6)
    assert {m["speaker"] for m in await equals_read_again(client, chat)} == {"Ann", "Cem"}
    await client.put(f"/chats/{chat}/messages", json={"messages": said})
    assert await messages(client, chat) == before
    longer = [*said, {"speaker": "Ann", "text": "great"}]
    assert (await client.put(f"/chats/{chat}/messages", json={"messages": longer})).json()["first"] == 6
    assert len(await equals_read_again(client, chat)) == 7


async def test_messages_that_arrive_while_a_chat_is_read_again_are_neither_lost_nor_read_wrong(
    make_api: Callable[..., Any],
) -> None:
    async with client_of(make_api()) as one, client_of(make_api()) as other:
        chat = await talk(one, *TEXTS)

        async def edit(client: httpx.AsyncClient, n: int, text: str) -> None:
            while (await client.patch(f"/chats/{chat}/messages/{n}", json={"text": text})).status_code == 429:
                await asyncio.sleep(0.01)

        await asyncio.gather(
            edit(one, 0, "hm"),
            *(say(other, chat, f"from afar {i}") for i in range(3)),
            edit(other, 2, "great"),
            *(say(one, chat, f"from here {i}") for i in range(3)),
        )
        found = await equals_read_again(one, chat)
        assert [m["text"] for m in found[:6]] == ["hm", "poison", "great", *TEXTS[3:]]
        assert len(found) == 12


async def test_an_edit_that_cannot_be_read_leaves_the_chat_as_it_was(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await talk(client, *TEXTS)
    before = await messages(client, chat)
    told = await client.patch(f"/chats/{chat}/messages/3", json={"text": "poison"})
    assert told.json()["messages"][0]["error"] == "this text is poison"
    assert (await equals_read_again(client, chat))[3]["prediction"] is None
    await client.patch(f"/chats/{chat}/messages/3", json={"text": TEXTS[3]})
    assert await messages(client, chat) == before


async def test_a_new_version_of_the_model_reads_what_is_changed(
    make_api: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(make_api()) as client:
        chat = await talk(client, *TEXTS)
    monkeypatch.setattr(FakeTagger, "version_of", {"emotion/ekman": "emotion/ekman@2"})
    again = make_api(labeller=None)
    async with client_of(again) as client:
        told = (await client.patch(f"/chats/{chat}/messages/2", json={"text": "great"})).json()
        assert told["model_version"] in ("emotion/ekman@1", "emotion/ekman@2")
        await equals_read_again(client, chat)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("PATCH", "messages/9", {"text": "x"}, 404, "not-found"),
        ("DELETE", "messages/9", None, 404, "not-found"),
        ("PATCH", "messages/0", {}, 422, "invalid"),
        ("PATCH", "messages/0", {"text": None}, 422, "invalid"),
        ("PATCH", "messages/0", {"colour": "red"}, 422, "invalid"),
        ("PATCH", "messages/0", {"text": "x" * 100_000}, 422, "invalid"),
        ("PATCH", "messages/0?total=9", {"text": "x"}, 409, "chat-changed"),
        ("DELETE", "messages/0?total=9", None, 409, "chat-changed"),
        ("PUT", "messages?total=9", {"messages": []}, 409, "chat-changed"),
        ("PUT", "messages", {"messages": [{"speaker": "a", "text": "b", "correction": "love"}]}, 422, "invalid"),
        ("PUT", "messages", {"messages": [{"speaker": "a"}]}, 422, "invalid"),
    ],
)
async def test_what_cannot_be_changed_is_said_and_nothing_is_changed(
    client: httpx.AsyncClient, method: str, path: str, body: Any, status: int, kind: str
) -> None:
    chat = await talk(client, "great", "sad")
    before = await messages(client, chat)
    answer = await client.request(method, f"/chats/{chat}/{path}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:rapport:problem:{kind}"), answer.text
    assert await messages(client, chat) == before
    missing = await client.request(method, f"/chats/{NOBODY}/{path.partition('?')[0]}", json=body)
    assert missing.status_code in (404, 422)


async def test_a_deletion_that_is_sent_twice_deletes_once(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "great", "sad", "hm")
    answers = [await client.delete(f"/chats/{chat}/messages/0?total=3") for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 409]
    assert [m["text"] for m in await messages(client, chat)] == ["sad", "hm"]


async def test_a_chat_too_long_to_be_read_again_stays_as_it_is(make_api: Callable[..., Any]) -> None:
    async with client_of(make_api(Limits(messages_reread=2))) as client:
        chat, other = await talk(client, "a", "b", "c"), await begin(client)
        three = {"messages": [{"speaker": "a", "text": "b"}] * 3}
        for answer in (
            await client.patch(f"/chats/{chat}/messages/0", json={"text": "x"}),
            await client.delete(f"/chats/{chat}/messages/2"),
            await client.put(f"/chats/{other}/messages", json=three),
        ):
            assert (answer.status_code, answer.json()["limit"]) == (409, "messages_reread")
            assert "has 3 messages; one of up to 2 can be read again" in answer.json()["detail"]
        assert [m["text"] for m in await messages(client, chat)] == ["a", "b", "c"]
