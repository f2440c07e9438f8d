"""POST /v1/corrections, with a corrector of random weights that changes whatever it may."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.correction.deployment import Corrections, LocalMender
from serve.edge.limits import Limits
from tests.serve.conftest import client_of
from tests.serve.correction.eager import eager_mender


@pytest.fixture
def api(make_api: Callable[..., Any]) -> Any:
    return make_api(Limits(characters_per_utterance=200, utterances_per_request=5), mender=eager_mender())


async def post(api: Any, body: Any) -> httpx.Response:
    async with client_of(api) as client:
        return await client.post("/corrections", json=body)


async def test_every_text_comes_back_with_its_edits(api: Any) -> None:
    texts = ["see teh cat 😀", "", "日本語", "teh"]
    answer = await post(api, {"texts": texts})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [c["text"] for c in found["corrections"]] == texts
    assert found["model_version"].startswith("tiny@")
    for c in found["corrections"]:
        made, done = [], 0
        for e in c["edits"]:
            assert c["text"][e["start"] : e["end"]] == e["typed"]
            made += [c["text"][done : e["start"]], e["meant"]]
            done = e["end"]
        assert "".join(made) + c["text"][done:] == c["corrected"]
        assert c["completions"] == []
    assert found["corrections"][0]["edits"]


async def test_words_to_keep_and_completions_are_asked_for(api: Any) -> None:
    answer = (await post(api, {"texts": ["teh ca"], "keep": ["Teh"], "completions": 2})).json()
    (one,) = answer["corrections"]
    assert all(e["typed"] != "teh" for e in one["edits"])
    assert [c["word"][:2] for c in one["completions"]] == ["ca", "ca"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "/texts"),
        ({"texts": "teh"}, "/texts"),
        ({"texts": ["ok", 5]}, "/texts/1"),
        ({"texts": [], "completions": 21}, "/completions"),
        ({"texts": ["ok"], "language": "en"}, "/language"),
        ({"texts": ["ok", "x" * 201]}, "/texts/1"),
        ({"texts": ["ok"] * 6}, "/texts"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(api: Any, body: Any, place: str) -> None:
    answer = await post(api, body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [place]


async def test_a_model_that_cannot_be_loaded_is_503_and_the_service_goes_on(make_api: Callable[..., Any]) -> None:
    api = make_api(mender=LocalMender(Corrections("correction/none")))
    answer = await post(api, {"texts": ["teh"]})
    assert answer.status_code == 503
    assert "cannot be loaded" in answer.json()["detail"]
    async with client_of(api) as client:
        assert (await client.get("/health/live")).status_code == 200
