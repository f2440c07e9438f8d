"""Keys: who has none is turned away, who has one sees what is his."""

import base64
import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serve.api import create_api
from serve.config import AppConfig, UnusableConfig
from serve.edge import keys as keys_module
from serve.edge.door import SECRET_VARIABLE, Door
from serve.edge.keys import OWNER_HEADER, PAGE, Key, Keys, Pace, hash_of, new_key, read_keys
from serve.edge.limits import Limits
from serve.edge.problems import Refusal
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage
from tests.serve.conftest import client_of
from ui.commands.main import run

ANN, ANNS = new_key("ann")
BO, BOS = new_key("bo")
READER, READERS = new_key("reader", scopes=("read",))
SLOW, SLOWS = new_key("slow", per_minute=2)
SHOWN, PAGES = new_key(PAGE)
ALL = Keys(keys=(ANNS, BOS, READERS, SLOWS, PAGES), required=True)
TURN = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def api(config: AppConfig, storage: Storage, taggers: Taggers) -> AsyncIterator[httpx.AsyncClient]:
    labeller, viewer = LocalLabeller(taggers), LocalViewer(Pictures(config))
    app = create_api(
        labeller, viewer, LocalAnswerer(Responders(config)), Choice.of(config), storage, Limits(), keys=ALL
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/v1") as client:
        yield client


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Token {ANN}", f"bearer {ANN}x", "Basic !!", "Basic ", ANN],
)
async def test_whoever_has_no_key_is_turned_away(api: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for method, path in (("POST", "/emotions"), ("GET", "/models"), ("POST", "/batches"), ("GET", "/openapi.json")):
        response = await api.request(method, path, headers=headers)
        assert (response.status_code, response.json()["type"]) == (401, "urn:rapport:problem:no-key")
        # Chromium, which knows no Bearer, looks at the first of each header only.
        told = response.headers.get_list("www-authenticate")
        assert [challenge.split()[0] for challenge in told] == ["Bearer", "Basic"]
    assert (await api.get("/health/live", headers=headers)).status_code == 200


async def test_a_key_opens_as_bearer_and_as_the_password_a_browser_asks_for(api: httpx.AsyncClient) -> None:
    assert (await api.post("/emotions", json=TURN, headers=bearer(ANN))).status_code == 200
    assert (await api.post("/emotions", json=TURN, headers={"authorization": f"bearer  {ANN}"})).status_code == 200
    basic = base64.b64encode(f"whoever:{ANN}".encode()).decode()
    assert (await api.get("/models", headers={"authorization": f"Basic {basic}"})).status_code == 200


async def test_each_key_sees_its_own_chats_and_batches(api: httpx.AsyncClient) -> None:
    chat = (await api.post("/chats", json={}, headers=bearer(ANN))).json()["id"]
    batch = (await api.post("/batches", content=b"Ann: great\n", headers=bearer(ANN))).json()["id"]
    message = {"speaker": "Ann", "text": "great"}
    for token, status in ((BO, 404), (ANN, 200)):
        assert (await api.get(f"/chats/{chat}", headers=bearer(token))).status_code == status
        added = await api.post(f"/chats/{chat}/messages", json=message, headers=bearer(token))
        assert added.status_code == (201 if status == 200 else 404)
        corrected = await api.put(
            f"/chats/{chat}/messages/0/correction", json={"emotion": "joy"}, headers=bearer(token)
        )
        assert corrected.status_code == status
        assert (await api.get(f"/batches/{batch}", headers=bearer(token))).status_code == status
        listed = (await api.get("/batches", headers=bearer(token))).json()["batches"]
        assert [b["id"] for b in listed] == ([batch] if token == ANN else [])
    for path in (f"/chats/{chat}", f"/batches/{batch}"):
        assert (await api.delete(path, headers=bearer(BO))).status_code == 404
        assert (await api.delete(path, headers=bearer(ANN))).status_code == 204
    forged = {**bearer(BO), OWNER_HEADER: "ann", "x-rapport-front": "1"}
    chat = (await api.post("/chats", json={}, headers=bearer(ANN))).json()["id"]
    assert (await api.get(f"/chats/{chat}", headers=forged)).status_code == 404


async def test_a_visitor_with_a_key_follows_the_links_of_the_page_and_changes_nothing_by_them(
    api: httpx.AsyncClient,
) -> None:
    batch = (await api.post("/batches", content=b"Ann: great\n", headers=bearer(SHOWN))).json()["id"]
    basic = base64.b64encode(f"whoever:{BO}".encode()).decode()
    for asks in (bearer(BO), {"authorization": f"Basic {basic}"}):
        assert (await api.get(f"/batches/{batch}", headers=asks)).status_code == 200
        assert (await api.delete(f"/batches/{batch}", headers=asks)).status_code == 404
        assert (await api.get("/batches", headers=asks)).json()["batches"] == []
    mine = (await api.post("/batches", content=b"Ann: great\n", headers=bearer(ANN))).json()["id"]
    assert (await api.get(f"/batches/{mine}", headers=bearer(SHOWN))).status_code == 404


async def test_a_key_that_may_only_read_labels_and_makes_nothing(api: httpx.AsyncClient) -> None:
    assert (await api.post("/emotions", json=TURN, headers=bearer(READER))).status_code == 200
    assert (await api.get("/models", headers=bearer(READER))).status_code == 200
    for method, path in (("POST", "/chats"), ("POST", "/batches"), ("DELETE", f"/chats/{'0' * 32}")):
        response = await api.request(method, path, headers=bearer(READER))
        assert (response.status_code, response.json()["type"]) == (403, "urn:rapport:problem:wrong-scope")


async def test_a_key_has_a_pace_of_its_own(api: httpx.AsyncClient) -> None:
    statuses = [(await api.get("/models", headers=bearer(SLOW))).status_code for _ in range(3)]
    refused = await api.get("/models", headers=bearer(SLOW))
    assert statuses == [200, 200, 429]
    assert (refused.json()["limit"], int(refused.headers["retry-after"])) == ("requests_per_minute", 30)
    assert (await api.get("/models", headers=bearer(ANN))).status_code == 200


@pytest.mark.parametrize(("known", "status"), [((PAGES,), 200), ((), 200), ((ANNS, PAGES), 401)])
async def test_where_nobody_was_given_a_key_any_passes_for_none(
    make_api: Callable[..., Any], known: tuple[Key, ...], status: int
) -> None:
    async with client_of(make_api(keys=Keys(keys=known))) as client:
        told = await client.post("/emotions", json=TURN, headers=bearer("none"))
        assert told.status_code == status
        assert (await client.post("/emotions", json=TURN)).status_code == 200


def test_a_pace_fills_evenly_and_holds_a_minute() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    for _ in range(2):
        pace.take(SLOWS)
    with pytest.raises(Refusal):
        pace.take(SLOWS)
    now = 30.0
    pace.take(SLOWS)
    now = 10_000.0
    pace.take(SLOWS)
    pace.take(SLOWS)
    with pytest.raises(Refusal):
        pace.take(SLOWS)


def test_keys_are_compared_in_constant_time_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(a: str, b: str) -> bool:
        compared.append(a)
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(keys_module, "hmac", type("Spy", (), {"compare_digest": staticmethod(compare)}))
    assert ALL.find(ANN) == ANNS
    assert compared == [key.hash for key in ALL.keys]
    assert ANN not in ALL.model_dump_json()


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    headers = Headers(scope=scope)
    told = f"{headers.get(OWNER_HEADER)} {headers.get('authorization')}"
    await PlainTextResponse(told)(scope, receive, send)


async def test_the_door_in_front_asks_and_the_one_behind_believes_only_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "s" * 32)

    async def ask(*doors: Any, **headers: str) -> str:
        app: Any = inside
        for make in doors:
            app = make(app)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return (await client.get("/v1/x", headers=headers)).text

    def front(app: Any) -> Door:
        return Door(app, Limits(), front=True, keys=ALL)

    def unknowing(app: Any) -> Door:
        return Door(app, Limits(), front=True)

    def behind(app: Any) -> Door:
        return Door(app, Limits(), keys=ALL)

    mine = f"Bearer {ANN}"
    assert await ask(behind, front, authorization=mine) == "ann None"
    assert await ask(front, authorization=mine, **{OWNER_HEADER: "bo"}) == "ann None"
    assert await ask(behind, authorization=mine) == "ann None"
    assert "no-key" in await ask(behind, front)
    assert "no-key" in await ask(behind, **{"x-rapport-front": "1", OWNER_HEADER: "ann"})
    monkeypatch.delenv(SECRET_VARIABLE)  # a cluster that was there before us: its proxies know nothing
    assert await ask(behind, unknowing, authorization=mine) == "ann None"
    assert "no-key" in await ask(behind, unknowing, **{OWNER_HEADER: "ann"})


async def test_the_page_asks_for_a_key_too() -> None:
    door = Door(PlainTextResponse("the page"), Limits(), front=True, keys=ALL)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        asked = await client.get("/")
        shown = await client.get("/", auth=("ann", ANN))
        reader = await client.get("/", auth=("", READER))
    assert (asked.status_code, shown.text, reader.status_code) == (401, "the page", 403)
    assert "Basic" in asked.headers["www-authenticate"]


def test_a_key_is_made_once_and_kept_as_a_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.yaml"
    assert run(["keys", "ann", "--file", str(file)]) == 0
    token = capsys.readouterr().out.strip()
    assert run(["keys", "ci", "--file", str(file), "--read-only", "--per-minute", "60"]) == 0
    first, second = read_keys(file)
    assert (first.name, first.hash) == ("ann", hash_of(token))
    assert (second.scopes, second.requests_per_minute) == (("read",), 60)
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    for name in ("ann", PAGE, "no spaces"):
        assert run(["keys", name, "--file", str(file)]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- name: a\n", "hash"),
        ("- name: a\n  hash: secret\n", "hash"),
        ("[", "cannot be read"),
        (f"- name: page\n  hash: {hash_of('x')}\n", "found again: page"),
        (f"- &a\n  name: a\n  hash: {hash_of('x')}\n- *a\n", "found again: a"),
    ],
)
def test_a_file_with_keys_that_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "keys.yaml").write_text(text)
    config = AppConfig(access={"keys": tmp_path / "keys.yaml"})  # type: ignore[arg-type]
    with pytest.raises(UnusableConfig, match=said):
        config.access.known_keys(is_private=True)


def test_a_service_that_others_reach_needs_keys_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    def known(**access: Any) -> Callable[[bool], Keys]:
        config = AppConfig(access=access)  # type: ignore[arg-type]
        return lambda private: config.access.known_keys(is_private=private)

    assert known()(True) == Keys()
    with pytest.raises(UnusableConfig, match="must have a key"):
        known()(False)
    assert known(required=False)(False) == Keys()
    mine = known(key="a secret of the environment")(False)
    assert mine.required
    assert mine.find("a secret of the environment") == Key(name="env", hash=hash_of("a secret of the environment"))
    assert AppConfig(access={"key": "x"}).with_page_key().access.page is None  # type: ignore[arg-type]
    page = AppConfig(access={"key": "x", "required": True}).with_page_key()  # type: ignore[arg-type]
    token = page.access.page
    assert token is not None
    found = page.access.known_keys(is_private=False).find(token.get_secret_value())
    assert found is not None
    assert found.name == PAGE
    assert token.get_secret_value() not in page.model_dump_json()
