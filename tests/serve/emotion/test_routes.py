"""POST /v1/emotions, through the whole app but for Ray."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from serve.edge.limits import Limits
from serve.edge.problems import overloaded
from serve.emotion.deployment import Job, JobAnswer, Taggers
from serve.emotion.labeller import LocalLabeller
from tests.serve.conftest import client_of

ANN = {"speaker": "Ann", "text": "I finally got the job!!"}


def conversation(*texts: str, **fields: Any) -> dict[str, Any]:
    return {**fields, "utterances": [{"speaker": "Ann", "text": text} for text in texts]}


async def post(client: httpx.AsyncClient, value: Any, **headers: str) -> httpx.Response:
    return await client.post("/emotions", json=value, headers=headers)


async def test_every_utterance_gets_a_prediction(client: httpx.AsyncClient) -> None:
    response = await post(client, {"conversations": [conversation("great job", "", "你好 😢")]})
    reply = response.json()
    assert response.status_code == 200
    assert reply["model_version"] == "emotion/ekman@1"
    assert reply["mode"] == "offline"
    assert reply["request_id"] == response.headers["x-request-id"]
    for utterance in reply["conversations"][0]["utterances"]:
        prediction = utterance["prediction"]
        assert prediction["emotion"] in prediction["probabilities"]
        assert sum(prediction["probabilities"].values()) == pytest.approx(1)
        assert "causes" in prediction


async def test_conversations_keep_their_order_and_their_fields(client: httpx.AsyncClient) -> None:
    sent = [
        {"id": 7, "source": {"a": [1, None]}, "utterances": [{**ANN, "time": 12, "x": "y", "emotion": "joy"}]},
        {"utterances": []},
        {"id": "last", "error": "an old error", "warnings": ["old"], "utterances": [ANN]},
    ]
    got = (await post(client, {"conversations": sent})).json()["conversations"]
    prediction = got[0]["utterances"][0].pop("prediction")
    assert prediction["emotion"] == "joy"
    assert got[0] == sent[0]
    assert got[1] == {"id": "1", "utterances": []}
    assert got[2]["id"] == "last"
    assert "error" not in got[2]


async def test_a_conversation_that_fails_fails_alone(client: httpx.AsyncClient) -> None:
    sent = [conversation("great"), conversation("poison"), conversation("crash"), conversation("sad", "odd")]
    reply = (await post(client, {"conversations": sent})).json()
    got = reply["conversations"]
    assert [c.get("error") for c in got] == [
        None,
        "this text is poison",
        "this could not be labelled: a fault of the service",
        None,
    ]
    assert got[0]["utterances"][0]["prediction"]["emotion"] == "joy"
    odd = {"code": "odd", "text": "looks odd", "utterances": [1]}
    assert got[3]["warnings"] == reply["warnings"] == [odd]


async def test_causes_can_be_left_out(client: httpx.AsyncClient) -> None:
    sent = {"conversations": [conversation("great", "sad")]}
    with_causes = (await post(client, sent)).json()["conversations"][0]["utterances"][1]
    without = (await post(client, {**sent, "options": {"causes": False}})).json()["conversations"][0]["utterances"][1]
    assert len(with_causes["prediction"]["causes"]) == 1
    assert without["prediction"]["causes"] == []


@pytest.mark.parametrize(
    ("options", "version"),
    [
        ({"model": "emotion/emorynlp"}, "emotion/emorynlp@1"),
        ({"label_set": "emorynlp"}, "emotion/emorynlp@1"),
        ({"label_set": "ekman", "mode": "live"}, "emotion/ekman@1"),
        ({"label_set": "emorynlp", "model": "emotion/emorynlp"}, "emotion/emorynlp@1"),
    ],
)
async def test_the_options_choose_the_model(client: httpx.AsyncClient, options: Any, version: str) -> None:
    reply = (await post(client, {"conversations": [conversation("x")], "options": options})).json()
    assert reply["model_version"] == version
    assert reply["mode"] == options.get("mode", "offline")


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ([], [""]),
        ({}, ["/conversations"]),
        ({"conversations": "x"}, ["/conversations"]),
        ({"conversations": [{"utterances": [{"speaker": 1}]}]}, ["/conversations/0/utterances/0/text"]),
        (
            {"conversations": [conversation("x"), {"utterances": [{"speaker": True, "text": 5}]}]},
            ["/conversations/1/utterances/0/speaker", "/conversations/1/utterances/0/text"],
        ),
        ({"conversations": [], "options": {"cause": True}}, ["/options/cause"]),
        ({"conversations": [], "options": {"str": True}}, ["/options/str"]),
        ({"conversations": [], "options": {"mode": "x"}}, ["/options/mode"]),
        ({"conversations": [], "options": {"model": "../../etc"}}, ["/options/model"]),
        ({"conversations": [], "options": {"model": "visual/daquar"}}, ["/options/model"]),
        ({"conversations": [], "options": {"label_set": "x"}}, ["/options/label_set"]),
        ({"conversations": [], "options": {"label_set": "emorynlp", "model": "emotion/ekman"}}, ["/options/label_set"]),
        ({"conversations": [{"id": "x" * 201, "utterances": []}]}, ["/conversations/0/id"]),
        ({"conversations": [conversation("x", "y" * 4001)]}, ["/conversations/0/utterances/1/text"]),
    ],
)
async def test_a_wrong_shape_is_refused_with_the_place_of_each_fault(
    client: httpx.AsyncClient, value: Any, places: list[str]
) -> None:
    response = await post(client, value)
    problem = response.json()
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [fault["pointer"] for fault in problem["errors"]] == places
    assert problem["request_id"] == response.headers["x-request-id"]


async def test_a_refusal_never_quotes_what_was_sent(client: httpx.AsyncClient) -> None:
    canary = "my secret diary"
    for value in (
        {"conversations": canary},
        {"conversations": [{"id": {"a": canary}, "utterances": [{"speaker": [canary], "text": {"b": canary}}]}]},
        {"conversations": [], "options": {"mode": canary, "model": canary, "label_set": canary}},
        {"conversations": [{"id": 1, "utterances": [{"speaker": canary, "text": canary * 400}]}]},
    ):
        response = await post(client, value)
        assert response.status_code == 422
        assert canary not in response.text


@pytest.mark.parametrize(
    "body", ["", "{", "nul", "NaN", '{"conversations":[NaN]}', "[" * 5000, '{"a":' * 600 + "1" + "}" * 600, '"\\ud83d"']
)
async def test_what_is_not_json_is_refused(client: httpx.AsyncClient, body: str) -> None:
    response = await client.post("/emotions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["type"] == "urn:rapport:problem:malformed-json"


@pytest.mark.parametrize("nesting", [100, 200, 240, 252, 255, 1000])
async def test_deep_nesting_is_kept_or_refused_and_never_breaks(client: httpx.AsyncClient, nesting: int) -> None:
    deep = "[" * nesting + "]" * nesting
    body = f'{{"conversations":[{{"x":{deep},"utterances":[{{"speaker":"a","text":"b","y":{deep}}}]}}]}}'
    response = await client.post("/emotions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == (200 if nesting <= 240 else 400)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json", None]
)
async def test_another_content_type_is_refused(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await client.post("/emotions", content=b'{"conversations":[]}', headers=headers)
    assert response.status_code == 415


async def test_too_many_utterances_are_refused_by_the_name_of_the_limit(make_api: Callable[..., Any]) -> None:
    limits = Limits(utterances_per_request=5, conversations_per_request=3)
    async with client_of(make_api(limits)) as client:
        fine = await post(client, {"conversations": [conversation("a", "b"), conversation("c", "d", "e")]})
        more = await post(client, {"conversations": [conversation("a", "b"), conversation("c", "d", "e", "f")]})
        many = await post(client, {"conversations": [conversation()] * 4})
    assert fine.status_code == 200
    assert (more.status_code, more.json()["limit"]) == (422, "utterances_per_request")
    assert more.json()["errors"][0]["detail"] == "6 utterances, the limit is 5"
    assert (many.status_code, many.json()["limit"]) == (422, "conversations_per_request")


async def test_many_faults_are_counted_and_some_listed(make_api: Callable[..., Any]) -> None:
    async with client_of(make_api(Limits(faults_listed=3))) as client:
        response = await post(client, {"conversations": [{}] * 10})
    assert len(response.json()["errors"]) == 3
    assert response.json()["errors_left_out"] == 7


async def test_a_model_without_its_weights_is_unavailable_and_the_others_are_not(client: httpx.AsyncClient) -> None:
    response = await post(client, {"conversations": [conversation("x")], "options": {"model": "emotion/missing"}})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert (await post(client, {"conversations": [conversation("x")]})).status_code == 200


class SlowLabeller(LocalLabeller):
    """Answers when it is told to."""

    def __init__(self, taggers: Taggers) -> None:
        super().__init__(taggers)
        self.go = asyncio.Event()

    async def label(self, job: Job) -> JobAnswer:
        await self.go.wait()
        return await super().label(job)


async def test_work_beyond_the_limit_is_turned_away_and_the_rest_is_done(
    make_api: Callable[..., Any], taggers: Taggers
) -> None:
    slow = SlowLabeller(taggers)
    async with client_of(make_api(Limits(waiting_utterances=5), slow)) as client:
        two = {"conversations": [conversation("a", "b")]}
        waiting = [asyncio.create_task(post(client, two)) for _ in range(5)]
        await asyncio.sleep(0.05)
        slow.go.set()
        responses = await asyncio.gather(*waiting)
        afterwards = await post(client, two)
    assert sorted(r.status_code for r in responses) == [200, 200, 429, 429, 429]
    refused = next(r for r in responses if r.status_code == 429)
    assert refused.json()["limit"] == "waiting_utterances"
    assert int(refused.headers["retry-after"]) >= 1
    assert afterwards.status_code == 200


async def test_an_answer_that_takes_too_long_is_given_up(make_api: Callable[..., Any], taggers: Taggers) -> None:
    async with client_of(make_api(Limits(answer_seconds=0.05), SlowLabeller(taggers))) as client:
        response = await post(client, {"conversations": [conversation("a")]})
    assert response.status_code == 503


class FullLabeller(LocalLabeller):
    """Has always too much to do."""

    async def label(self, job: Job) -> JobAnswer:
        raise overloaded("full", retry_after=7)


class BrokenLabeller(LocalLabeller):
    """Breaks in a way nobody foresaw."""

    async def label(self, job: Job) -> JobAnswer:
        raise KeyError("words of a user")


async def test_overload_and_faults_of_ours_are_problems_too(make_api: Callable[..., Any], taggers: Taggers) -> None:
    async with client_of(make_api(labeller=FullLabeller(taggers))) as client:
        full = await post(client, {"conversations": []})
    async with client_of(make_api(labeller=BrokenLabeller(taggers))) as client:
        broken = await post(client, {"conversations": []})
    assert (full.status_code, full.headers["retry-after"]) == (429, "7")
    assert (broken.status_code, broken.json()["type"]) == (500, "urn:rapport:problem:internal")
    assert "words of a user" not in broken.text


async def test_the_same_conversation_gets_the_same_answer_alone_and_in_company(client: httpx.AsyncClient) -> None:
    one, other = conversation("great", "sad", id="a"), conversation("hate", id="b")
    alone = (await post(client, {"conversations": [one]})).json()["conversations"]
    company = (await post(client, {"conversations": [other, one, other]})).json()["conversations"]
    assert json.dumps(company[1]) == json.dumps(alone[0])


async def test_a_body_is_parsed_once_and_written_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is read or written on the way: the words of a request cross JSON once in and once out."""
    parsed: list[int] = []
    written: list[int] = []
    loads, dumps = orjson.loads, orjson.dumps

    def read(data: bytes) -> Any:
        parsed.append(data.count(b"unmistakable"))
        return loads(data)

    def write(value: Any, *rest: Any) -> bytes:
        data = dumps(value, *rest)
        written.append(data.count(b"unmistakable"))
        return data

    monkeypatch.setattr(orjson, "loads", read)
    monkeypatch.setattr(orjson, "dumps", write)
    sent = {"conversations": [conversation("unmistakable", "great", note="unmistakable"), conversation("unmistakable")]}
    response = await post(client, sent)
    assert response.status_code == 200
    assert response.text.count("unmistakable") == 3
    assert [n for n in parsed if n] == [n for n in written if n] == [3]
