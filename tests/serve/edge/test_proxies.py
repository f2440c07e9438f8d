"""Behind proxies: whose word counts, a path before every path, and a service that only reads."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from serve.api import create_api
from serve.config import AppConfig, UnusableConfig
from serve.edge.access import Access
from serve.edge.door import SECRET_VARIABLE, Door
from serve.edge.limits import Limits
from serve.edge.spool import Spool
from serve.emotion.choice import Choice
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.replies.answerer import LocalAnswerer
from serve.replies.deployment import Responders
from serve.storage import Storage

PROXIES = ["10.0.0.0/8", "::1"]
SECRET = "s" * 32
TURN = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}


async def seen(scope: Scope, receive: Receive, send: Send) -> None:
    """What an app behind the door takes for the truth."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    told = {"client": scope["client"][0], "scheme": scope["scheme"], "host": headers["host"], "path": scope["path"]}
    await JSONResponse({**told, "forwarded": [n for n in headers if "forwarded" in n]})(scope, receive, send)


async def behind(
    client: str, *, path: str = "/v1/x", access: Access | None = None, told: dict[str, str] | None = None
) -> httpx.Response:
    """The answer to somebody at that address."""
    door = access or Access(host="0.0.0.0", hosts=("mood.example.org",), proxies=PROXIES)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(Door(seen, Limits(), front=True, access=door), client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1") as asking:
        return await asking.get(path, headers=told)


@pytest.mark.parametrize(
    ("proxy", "told", "client"),
    [
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "203.0.113.9:5555", "203.0.113.9"),
        ("10.0.0.7", "[2001:db8::1]:5555", "2001:db8::1"),
        ("::ffff:10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("::1", "203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.7", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "1.2.3.4, secret, 10.0.0.3", "10.0.0.3"),
        ("10.0.0.7", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.7", "unknown", "10.0.0.7"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
    ],
)
async def test_the_client_is_who_a_trusted_proxy_says(proxy: str, told: str, client: str) -> None:
    answer = (await behind(proxy, told={"x-forwarded-for": told})).json()
    assert (answer["client"], answer["forwarded"]) == (client, [])


async def test_host_and_scheme_are_those_that_a_trusted_proxy_was_asked_with() -> None:
    told = {"x-forwarded-host": "mood.example.org", "x-forwarded-proto": "https", "forwarded": "for=1.2.3.4"}
    page = {"origin": "https://mood.example.org"}
    trusted = (await behind("10.0.0.7", told={**told, **page})).json()
    assert (trusted["host"], trusted["scheme"], trusted["forwarded"]) == ("mood.example.org", "https", [])
    stranger = (await behind("192.0.2.1", told=told)).json()
    assert (stranger["host"], stranger["scheme"], stranger["forwarded"]) == ("10.0.0.1", "http", [])
    assert (await behind("10.0.0.7", told={"x-forwarded-host": "evil.example"})).status_code == 403
    odd = (await behind("10.0.0.7", told={"x-forwarded-proto": "gopher"})).json()
    assert odd["scheme"] == "http"


async def test_the_page_behind_the_door_sees_no_word_of_a_stranger() -> None:
    told = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    answer = (await behind("192.0.2.1", path="/", told=told)).json()
    assert (answer["forwarded"], answer["scheme"]) == ([], "http")


@pytest.mark.parametrize("path", ["/mood/v1/x", "/v1/x"])
async def test_a_path_before_every_path_may_be_taken_off_or_passed_on(path: str) -> None:
    access = Access(root_path="/mood")
    assert (await behind("1.1.1.1", path=path, access=access)).json()["path"] == "/v1/x"
    moved = await behind("1.1.1.1", path="/mood", access=access)
    assert (moved.status_code, moved.headers["location"]) == (308, "/mood/")
    assert (await behind("1.1.1.1", path="/moody/v1/x", access=access)).json()["path"] == "/moody/v1/x"


@pytest.mark.parametrize("value", ["mood", "//evil.example", "/a b", "/v1", "/a/../b?", "/mood/v1"])
def test_a_root_path_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(UnusableConfig, match="expected a path as /mood"):
        AppConfig.load(root_path=value)
    assert AppConfig.load(root_path="/mood/").root_path == "/mood"


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(UnusableConfig, match=r"access\.proxies\.0"):
        AppConfig.load(access={"proxies": ["proxy.example.org"]})


@pytest.fixture
async def service(
    config: AppConfig, storage: Storage, taggers: Taggers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Both doors and the API between them, as in the service."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    clients: list[httpx.AsyncClient] = []

    def serve(access: Access) -> httpx.AsyncClient:
        labeller, viewer = LocalLabeller(taggers), LocalViewer(Pictures(config))
        app = create_api(
            labeller, viewer, LocalAnswerer(Responders(config)), Choice.of(config), storage, Limits(), access=access
        )
        front = Door(app, Limits(), spool=Spool(tmp_path, Limits()), front=True, access=access)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://mood.example.org")
        clients.append(client)
        return client

    yield serve
    for client in clients:
        await client.aclose()


async def test_every_address_that_is_told_begins_with_the_root_path(service: Any) -> None:
    client = service(Access(root_path="/mood"))
    chat = await client.post("/mood/v1/chats", json={})
    assert chat.headers["location"] == f"/mood/v1/chats/{chat.json()['id']}"
    assert (await client.get(chat.headers["location"])).json()["id"] == chat.json()["id"]
    twice = [await client.post("/mood/v1/chats", json={}, headers={"idempotency-key": "a"}) for _ in range(2)]
    assert twice[0].headers["location"] == twice[1].headers["location"] == f"/mood/v1/chats/{twice[0].json()['id']}"
    batch = await client.post("/mood/v1/batches", content=b"Ann: great\n")
    assert batch.headers["location"].startswith("/mood/v1/batches/")
    document = (await client.get("/mood/v1/openapi.json")).json()
    assert document["servers"] == [{"url": "/mood/v1"}]
    page = (await client.get("/mood/v1/docs")).text
    assert "/mood/v1/openapi.json" in page
    assert (await client.get("/mood/v1/docs/static/swagger-ui.css")).status_code == 200
    assert "/mood/v1/docs/static/swagger-ui.css" in page
    assert (await client.get("/mood/metrics")).status_code == 200


async def test_a_service_that_only_reads_answers_what_keeps_nothing(service: Any) -> None:
    chat = (await service(Access()).post("/v1/chats", json={})).json()["id"]
    client = service(Access(read_only=True))
    assert (await client.post("/v1/emotions", json=TURN)).status_code == 200
    assert (await client.get(f"/v1/chats/{chat}")).status_code == 200
    assert (await client.head("/v1/models")).status_code == 200
    for method, path in (
        ("POST", "/v1/chats"),
        ("POST", f"/v1/chats/{chat}/messages"),
        ("PUT", f"/v1/chats/{chat}/messages/0/correction"),
        ("DELETE", f"/v1/chats/{chat}"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/visual-dialogs"),
    ):
        refused = await client.request(method, path, json={})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:rapport:problem:read-only")
    assert (await client.get(f"/v1/chats/{chat}")).json()["total"] == 0
