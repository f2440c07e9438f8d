"""An assistant in a live chat, through the whole app but for Ray, with a responder that needs no weights."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from serve.chats.sessions import Sessions
from serve.config import AppConfig
from serve.edge.limits import Limits
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.replies.answerer import LocalAnswerer
from serve.replies.conversing import Conversing
from serve.replies.deployment import Reply, Responders, Said
from serve.replies.schemas import ChatAnswerRequest
from serve.storage import Storage
from tests.serve.conftest import TAGGER, client_of
from tests.serve.fake import FakeResponder

NOBODY = "0" * 32


async def talk(client: httpx.AsyncClient, *texts: str) -> str:
    chat: str = (await client.post("/chats", json={})).json()["id"]
    for text in texts:
        await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": text})
    return chat


async def answer(client: httpx.AsyncClient, chat: str, **asked: Any) -> dict[str, Any]:
    response = await client.post(f"/chats/{chat}/replies", json=asked)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


async def whole(client: httpx.AsyncClient, chat: str) -> list[dict[str, Any]]:
    told = (await client.get(f"/chats/{chat}")).json()
    assert told["total"] == len(told["messages"])
    found: list[dict[str, Any]] = told["messages"]
    return found


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]


async def test_an_answer_is_a_labelled_message_of_the_chat(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "sad day", "I got the job")
    told = await answer(client, chat, total=2)
    assert (told["n"], told["speaker"], told["text"]) == (2, "Assistant", "You say: I got the job")
    assert told["prediction"]["emotion"] == "joy"
    version = {"responder": "reply/built-in", "responder_version": "reply/built-in@1"}
    assert told["reply"] == {**version, "finish": "stop", "sure": True, "felt": "joy"}
    messages = await whole(client, chat)
    assert messages[2] == {name: told[name] for name in messages[2]}
    assert [m["reply"] for m in messages[:2]] == [None, None]
    assert FakeResponder.asked[-1]["said"] == [("Ann", "sad day", "sadness"), ("Ann", "I got the job", "joy")]


async def test_a_streamed_answer_comes_in_pieces_and_ends_with_the_message(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "I got the job")
    response = await client.post(f"/chats/{chat}/replies", json={"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *pieces, last = events(response.text)
    assert len(pieces) > 3
    assert "".join(p["text"] for p in pieces).strip() == last["message"]["text"]
    assert (await whole(client, chat))[1]["text"] == last["message"]["text"]


async def test_another_answer_takes_the_place_of_the_last_and_none_comes_twice(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "hello", "great")
    texts = [(await answer(client, chat))["text"]]
    texts += [(await answer(client, chat, another=True, total=3))["text"] for _ in range(3)]
    assert len(set(texts)) == 4
    messages = await whole(client, chat)
    assert [m["text"] for m in messages] == ["hello", "great", texts[-1]]
    assert messages[2]["prediction"]["causes"][0]["utterance"] == 1, "it was read with what stood before it"
    await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": "and now"})
    await answer(client, chat)
    assert set(texts) <= set(FakeResponder.asked[-1]["instead_of"]), "what would not do does not come back"
    assert [m["prediction"]["causes"][0]["utterance"] for m in (await whole(client, chat))[1:]] == [0, 1, 2, 3]


async def test_after_a_change_before_it_another_answer_is_read_from_the_beginning(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "hello", "great")
    first = await answer(client, chat)
    await client.patch(f"/chats/{chat}/messages/0", json={"text": "good morning"})
    kept = await whole(client, chat)
    assert kept[2]["reply"] == first["reply"], "a change elsewhere leaves what is known of an answer"
    second = await answer(client, chat, another=True)
    assert [m["text"] for m in await whole(client, chat)] == ["good morning", "great", second["text"]]
    assert second["text"] != first["text"]


async def test_an_answer_with_other_words_is_a_persons(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "hello")
    await answer(client, chat)
    await client.patch(f"/chats/{chat}/messages/1", json={"text": "something else"})
    assert (await whole(client, chat))[1]["reply"] is None
    await answer(client, chat)
    assert [m["text"] for m in await whole(client, chat)][:2] == ["hello", "something else"]


async def test_a_chat_brought_back_knows_its_answers(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "hello")
    told = await answer(client, chat)
    before = [{k: m[k] for k in ("speaker", "text", "time", "reply")} for m in await whole(client, chat)]
    await client.delete(f"/chats/{chat}")
    new = await talk(client)
    await client.put(f"/chats/{new}/messages", json={"messages": before})
    assert (await whole(client, new))[1]["reply"] == told["reply"]


@pytest.mark.parametrize(
    ("said", "asked", "status", "kind"),
    [
        ((), {}, 409, "nothing-to-answer"),
        (("hello",), {"another": True}, 409, "nothing-answered"),
        (("hello",), {"total": 2}, 409, "chat-changed"),
        (("hello",), {"responder": "no-such"}, 404, "not-found"),
        (("hello",), {"to_feel": "hunger"}, 422, "invalid"),
        (("hello",), {"another": "yes"}, 422, "invalid"),
        (("hello", "there"), {}, 409, "chat-full"),
    ],
)
async def test_what_cannot_be_answered_is_refused_and_leaves_the_chat(
    make_api: Callable[..., Any], said: tuple[str, ...], asked: dict[str, Any], status: int, kind: str
) -> None:
    async with client_of(make_api(Limits(messages_per_chat=2))) as client:
        chat = await talk(client, *said)
        before = await whole(client, chat)
        refused = await client.post(f"/chats/{chat}/replies", json=asked)
        assert (refused.status_code, refused.json()["type"]) == (status, f"urn:rapport:problem:{kind}"), refused.text
        assert await whole(client, chat) == before
        assert (await client.post(f"/chats/{NOBODY}/replies", json={})).status_code == 404


async def test_an_answer_is_not_answered(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "hello")
    await answer(client, chat)
    assert (await client.post(f"/chats/{chat}/replies", json={})).status_code == 409


async def test_where_there_is_nothing_to_say_it_stays_known(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "nothing")
    assert (await answer(client, chat))["reply"]["sure"] is False
    assert (await whole(client, chat))[1]["reply"]["sure"] is False
    refused = await client.post(f"/chats/{chat}/replies", json={"another": True})
    assert refused.json()["type"].endswith("no-other-answer"), "it says the same again, so there is no other answer"
    assert len(await whole(client, chat)) == 2


async def test_what_breaks_off_is_kept_as_far_as_it_came(client: httpx.AsyncClient) -> None:
    chat = await talk(client, "broken")
    response = await client.post(f"/chats/{chat}/replies", json={"stream": True})
    piece, error, last = events(response.text)
    assert (piece["text"], error["error"]["code"], "secret" in response.text) == ("You ", 503, False)
    assert (last["message"]["text"], last["message"]["reply"]["finish"]) == ("You", "broken")
    assert len(await whole(client, chat)) == 2


async def test_a_person_by_the_name_of_a_role_is_a_person(client: httpx.AsyncClient) -> None:
    chat = await talk(client)
    for name in ("assistant", "system", "Assistant"):
        await client.post(f"/chats/{chat}/messages", json={"speaker": name, "text": "hm"})
    await answer(client, chat)
    assert [who for who, _, _ in FakeResponder.asked[-1]["said"]] == ["user", "user", "Assistant"]


@pytest.fixture
def conversing(config: AppConfig, storage: Storage, taggers: Taggers) -> Conversing:
    return make_conversing(LocalAnswerer(Responders(config)), config, storage, taggers)


def make_conversing(answerer: Any, config: AppConfig, storage: Storage, taggers: Taggers) -> Conversing:
    choice, limits = Choice.of(config), Limits()
    return Conversing(answerer, Sessions(storage, LocalLabeller(taggers), choice, limits), choice, limits)


async def until(done: Callable[[], Any]) -> Any:
    for _ in range(200):
        if found := await done():
            return found
        await asyncio.sleep(0.05)
    pytest.fail("it never came")


async def test_who_hangs_up_stops_it_and_what_came_is_kept(
    client: httpx.AsyncClient, conversing: Conversing, storage: Storage
) -> None:
    chat = await talk(client, "slow " * 200)
    before = FakeResponder.stopped
    begun = await conversing.answer(chat, ChatAnswerRequest(), "")
    pieces = begun.pieces()
    came = [await anext(pieces), await anext(pieces)]
    await pieces.aclose()

    async def kept() -> Any:
        return await storage.messages(chat, 1, 5)

    (message,) = await until(kept)
    assert message.text == "".join(came).strip() == "You say:"
    assert (message.reply or {})["finish"] == "stopped"

    async def stopped() -> bool:
        return FakeResponder.stopped > before

    await until(stopped)


async def test_an_answer_to_a_chat_that_went_on_is_not_put_in_the_wrong_place(
    client: httpx.AsyncClient, conversing: Conversing
) -> None:
    chat = await talk(client, "hello")
    begun = await conversing.answer(chat, ChatAnswerRequest(stream=True), "")
    await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": "wait"})
    with pytest.raises(Exception, match="chat-changed"):
        [piece async for piece in begun.pieces()]
    assert [m["text"] for m in await whole(client, chat)] == ["hello", "wait"]


class Drawing:
    """Answers by the number of answers that would not do: some of them say the same."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    async def pieces(self, asked: Reply) -> AsyncIterator[Said]:
        text = self.texts[min(len(asked.instead_of), len(self.texts) - 1)]
        for word in text.split():
            yield Said(text=word + " ")
        yield Said(finish="stop")


async def test_what_draws_the_same_words_again_is_asked_again(
    client: httpx.AsyncClient, config: AppConfig, storage: Storage, taggers: Taggers
) -> None:
    drawing = Drawing("good for you", "Good for you!", "good for", "never again")
    conversing = make_conversing(drawing, config, storage, taggers)
    chat = await talk(client, "hello")

    async def said(another: bool) -> list[str]:
        begun = await conversing.answer(chat, ChatAnswerRequest(another=another), "")
        return [piece async for piece in begun.pieces()]

    assert await said(False) == ["good ", "for ", "you "]
    assert "".join(await said(True)).strip() == "good for"
    assert "".join(await said(True)).strip() == "never again"
    with pytest.raises(Exception, match="no-other-answer"):
        await said(True)


async def test_a_process_that_has_forgotten_the_chat_reads_another_answer_alike(
    client: httpx.AsyncClient, config: AppConfig, storage: Storage
) -> None:
    """FakeTagger restores a state with the very rows of the messages before, or not at all."""
    chat = await talk(client, "hello", "great", "sad")
    await answer(client, chat)
    for _ in range(2):  # each with nothing in its memory, as after a restart
        conversing = make_conversing(LocalAnswerer(Responders(config)), config, storage, Taggers(TAGGER))
        begun = await conversing.answer(chat, ChatAnswerRequest(another=True), "")
        assert [piece async for piece in begun.pieces()]
        assert begun.message is not None
        assert (begun.message.n, begun.message.error) == (3, None)
    messages = await whole(client, chat)
    assert [m["prediction"]["causes"][0]["utterance"] for m in messages[1:]] == [0, 1, 2]
    await client.post(f"/chats/{chat}/messages", json={"speaker": "Ann", "text": "and now"})
    assert len(await whole(client, chat)) == 5


async def test_cost_does_not_grow_with_the_chat(
    client: httpx.AsyncClient, conversing: Conversing, taggers: Taggers
) -> None:
    """Counted in messages that are read: one for an answer, one for another."""
    chat = await talk(client, *(f"message {i}" for i in range(60)))
    tagger = await asyncio.to_thread(taggers.get, "emotion/ekman")
    for another in (False, True, True):
        before = len(tagger.batches)
        begun = await conversing.answer(chat, ChatAnswerRequest(another=another), "")
        async for _ in begun.pieces():
            pass
        assert len(tagger.batches) == before + 1
        assert len(FakeResponder.asked[-1]["said"]) == 40
