"""The official client of OpenAI's API, and our own, against the whole app but for Ray."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import openai
import pytest

from serve.client import AsyncClient, Client, Reply, ServiceError
from tests.serve.in_process import InProcess

MODEL = "reply/built-in"
HELLO: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "I got the job"}]


@pytest.fixture
async def theirs(make_api: Callable[..., Any]) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(make_api()))
    async with openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=http, max_retries=0) as client:
        yield client


async def test_openais_client_gets_a_reply_and_its_emotions(theirs: openai.AsyncOpenAI) -> None:
    told = await theirs.chat.completions.create(model=MODEL, messages=HELLO, temperature=0.2, user="somebody")
    assert told.choices[0].message.content == "You say: I got the job "
    assert told.choices[0].finish_reason == "stop"
    assert told.model_extra is not None
    assert told.model_extra["rapport"]["messages"][1]["emotion"] == "joy"
    assert told.model_extra["rapport"]["reply"]["emotion"] == "joy"


async def test_openais_client_follows_a_stream(theirs: openai.AsyncOpenAI) -> None:
    stream = await theirs.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, extra_body={"rapport": {"emotions": False}}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "You say: I got the job "
    assert [c.choices[0].finish_reason for c in chunks][-1] == "stop"


async def test_openais_client_lists_the_responders(theirs: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in theirs.models.list()] == [MODEL]


async def test_openais_client_understands_our_refusals(theirs: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await theirs.chat.completions.create(model="no-such", messages=HELLO)
    with pytest.raises(openai.UnprocessableEntityError):
        await theirs.chat.completions.create(model=MODEL, messages=[{"role": "assistant", "content": "hi"}])
    with pytest.raises(openai.APIError, match="does not answer"):
        async for _ in await theirs.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "broken"}], stream=True
        ):
            pass


def test_our_client_gets_it_whole_and_piece_by_piece(make_api: Callable[..., Any]) -> None:
    with Client("http://test", transport=InProcess(make_api()), retries=0) as client:
        whole = client.reply(HELLO)
        *words, last = client.stream_reply(HELLO)
        with pytest.raises(ServiceError, match="does not answer"):
            list(client.stream_reply([{"role": "user", "content": "broken"}]))
        with pytest.raises(ServiceError) as unknown:
            list(client.stream_reply(HELLO, responder="no-such"))
    assert isinstance(last, Reply)
    assert last == whole
    assert "".join(map(str, words)) == whole.text == "You say: I got the job "
    assert whole.prediction is not None
    assert (whole.prediction.emotion, whole.messages[0], whole.responder, whole.sure) == ("joy", None, MODEL, True)
    assert unknown.value.status == 404


async def test_our_awaited_client_does_the_same(make_api: Callable[..., Any]) -> None:
    async with AsyncClient("http://test", transport=httpx.ASGITransport(make_api()), retries=0) as client:
        whole = await client.reply(HELLO, instead_of=["x"])
        *words, last = [piece async for piece in client.stream_reply(HELLO, instead_of=["x"])]
    assert last == whole
    assert len(words) > 3
    assert whole.text.endswith("job again ")
