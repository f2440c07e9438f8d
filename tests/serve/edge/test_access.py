"""Who may ask: names that lead here without being ours, and pages of strangers."""

import json

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Message

from serve.config import AppConfig, UnusableConfig
from serve.edge.access import ACCESS_VARIABLE, Access
from serve.edge.door import LOGS_VARIABLE, Door, for_proxy
from serve.edge.limits import Limits
from serve.edge.problems import Refusal

PRIVATE = Access(host="127.0.0.1")
PUBLIC = Access(host="0.0.0.0", hosts=("mood.example.org",), origins=("https://app.example.org",))


def allowed(access: Access, **headers: str) -> bool:
    try:
        access.check(Headers(headers))
    except Refusal as refusal:
        return refusal.status != 403
    return True


@pytest.mark.parametrize(
    ("host", "private", "public"),
    [
        ("127.0.0.1:8000", True, True),
        ("localhost", True, True),
        ("LOCALHOST:8000", True, True),
        ("[::1]:8000", True, True),
        ("127.8.9.1", True, True),
        ("192.168.1.7:8000", False, True),
        ("mood.example.org", False, True),
        ("mood.example.org.evil.example", False, False),
        ("evil.example:8000", False, False),
        ("127.0.0.1.nip.io", False, False),
        ("[", False, False),
        ("a@127.0.0.1", True, True),
    ],
)
def test_a_service_answers_to_its_own_names_only(host: str, private: bool, public: bool) -> None:
    assert (allowed(PRIVATE, host=host), allowed(PUBLIC, host=host)) == (private, public)
    assert allowed(Access(host="0.0.0.0", hosts=("*",)), host=host)
    assert allowed(Access(), host=host), "in a test or a notebook nobody checks"


def test_a_request_names_one_host() -> None:
    twice = Headers(raw=[(b"host", b"127.0.0.1"), (b"host", b"evil.example")])
    with pytest.raises(Refusal, match="403 wrong-host"):
        PRIVATE.check(twice)


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ("http://127.0.0.1:8000", True),
        ("https://127.0.0.1:8000", True),
        ("http://127.0.0.1:9000", False),
        ("http://evil.example", False),
        ("http://127.0.0.1:8000.evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_of_another_host_may_not_ask(origin: str, fine: bool) -> None:
    assert allowed(PRIVATE, host="127.0.0.1:8000", origin=origin) == fine
    assert allowed(PRIVATE, host="127.0.0.1:8000"), "whatever is no page"


async def test_refused_at_the_door_for_the_page_and_the_api_alike() -> None:
    door = Door(PlainTextResponse("in"), Limits(), access=PRIVATE)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://127.0.0.1:8000") as client:
        for path in ("/", "/gradio_api/upload", "/v1/batches", "/v1/health/live"):
            fine = await client.get(path)
            rebound = await client.get(path, headers={"host": "evil.example"})
            crossed = await client.post(path, headers={"origin": "http://evil.example"})
            assert fine.status_code == 200
            assert [r.json()["type"].rpartition(":")[2] for r in (rebound, crossed)] == ["wrong-host", "wrong-origin"]
            assert "access-control-allow-origin" not in crossed.headers
        assert (await client.get("/v1/x")).headers["cross-origin-resource-policy"] == "same-origin"


async def test_no_door_is_round_the_checks() -> None:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def app(*_: object) -> None:
        raise AssertionError("it came in")

    await Door(app, Limits())({"type": "websocket", "path": "/v1/x", "headers": []}, receive, send)
    assert told == [{"type": "websocket.close", "code": 1008}]


async def test_a_page_on_the_list_may_ask_and_may_read_the_answer() -> None:
    door = Door(PlainTextResponse("in"), Limits(body_bytes=5), access=PUBLIC)
    app = {"origin": "https://app.example.org"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://mood.example.org") as client:
        asked = await client.options("/v1/emotions", headers={**app, "access-control-request-method": "POST"})
        answered = await client.post("/v1/emotions", headers=app, content=b"{}")
        refused = await client.post("/v1/emotions", headers=app, content=b"123456")
        other = await client.options(
            "/v1/emotions", headers={"origin": "https://x.example", "access-control-request-method": "POST"}
        )
    assert asked.status_code == 204
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    for response in (asked, answered, refused):
        assert response.headers["access-control-allow-origin"] == "https://app.example.org"
        assert response.headers["vary"] == "Origin"
    assert (answered.status_code, refused.status_code, other.status_code) == (200, 413, 403)


def test_the_proxy_is_told_whom_to_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    config = AppConfig(host="0.0.0.0", access={"hosts": ["a.example"], "origins": ["https://b.example/"]})  # type: ignore[arg-type]
    told = config.door
    assert (told.host, told.hosts, told.origins) == ("0.0.0.0", ("a.example",), ("https://b.example",))
    monkeypatch.setenv(ACCESS_VARIABLE, told.model_dump_json())
    monkeypatch.delenv(LOGS_VARIABLE, raising=False)
    (middleware,) = for_proxy()
    assert middleware.kwargs["access"] == told
    monkeypatch.setenv("RAPPORT_ACCESS__ORIGINS", json.dumps(["b.example"]))
    with pytest.raises(UnusableConfig, match="expected https://host"):
        AppConfig.load()
