"""What is promised of all that is kept, held to every kind of it: made once, listed, and gone without a trace."""

import io
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.config import AppConfig, TelemetryConfig
from serve.pictures.deployment import Pictures
from serve.pictures.viewer import LocalViewer
from serve.storage import Storage
from serve.telemetry.engine import Telemetry
from tests.dialog.telemetry.fleets import save_model
from tests.dialog.tiny_visual import make_visual
from tests.serve.conftest import client_of
from tests.serve.pictures.test_routes import encoded

MARK = "unmistakable"
Ask = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Kind:
    """How one of a kind is made, with the mark in it; `more` are further things made in it."""

    name: str
    make: Ask
    more: tuple[tuple[str, dict[str, Any]], ...] = ()


def sound() -> bytes:
    """A second in which nobody says anything but the mark, which is no sound."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(16_000)
        made.writeframes(MARK.encode() * 2 + bytes(32_000))
    return file.getvalue()


BOUNDARY = {"content-type": "multipart/form-data; boundary=x"}
"""The same whenever it is sent."""
KINDS = (
    Kind(
        "chats",
        lambda api, told: api.post("/chats", json={}, headers=told),
        more=(("/messages", {"speaker": MARK, "text": MARK}), ("/replies", {})),
    ),
    Kind("batches", lambda api, told: api.post(f"/batches?filename={MARK}", content=f"Ann: {MARK}\n", headers=told)),
    Kind(
        "recordings",
        lambda api, told: api.post(f"/recordings?filename={MARK}.wav", content=sound(), headers=told),
    ),
    Kind(
        "visual-dialogs",
        lambda api, told: api.post(
            "/visual-dialogs", files={"picture": encoded()}, data={"caption": MARK}, headers={**told, **BOUNDARY}
        ),
        more=(("/questions", {"question": f"is it {MARK}?"}),),
    ),
)


@pytest.fixture
async def api(
    make_api: Callable[..., Any], config: AppConfig, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    eyes = make_visual(tmp_path_factory.mktemp("eyes"), familiar=True)
    visual = config.visual.model_copy(update={"engine": str(eyes), "threads": 1})
    viewer = LocalViewer(Pictures(config.model_copy(update={"visual": visual})))
    telemetry = Telemetry(TelemetryConfig(model=str(save_model(tmp_path_factory.mktemp("fleet")))))
    async with client_of(make_api(viewer=viewer, telemetry=telemetry)) as client:
        yield client


def found(folder: Path) -> list[str]:
    """The files in which the mark stands."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if MARK.encode() in path.read_bytes() or MARK in str(path)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_of_every_kind_one_is_made_once_and_listed_and_of_what_is_deleted_no_word_is_left(
    api: httpx.AsyncClient, storage: Storage, kind: Kind
) -> None:
    once = {"idempotency-key": f"{kind.name}-1"}
    first, again = await kind.make(api, once), await kind.make(api, once)
    assert first.status_code in (201, 202), first.text
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["location"] == again.headers["location"]
    own = first.headers["location"].removeprefix("/v1")
    for path, body in kind.more:
        answers = [await api.post(own + path, json=body, headers={"idempotency-key": path}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
        assert answers[0].json() == answers[1].json()
    page = (await api.get(f"/{kind.name}", params={"limit": 5})).json()
    assert page["next"] is None
    (listed,) = next(value for value in page.values() if isinstance(value, list))
    assert listed["id"] == first.json()["id"]
    assert (await api.get(f"/{kind.name}", params={"before": "2020-01-01T00:00:00Z"})).json()["next"] is None
    whole, head = await api.get(own), await api.head(own)
    assert (head.status_code, head.content) == (whole.status_code, b"") == (200, b"")
    wrong = await api.put(own, json={})
    assert (wrong.status_code, {"GET", "HEAD", "DELETE"} - set(wrong.headers["allow"].split(", "))) == (405, set())
    assert found(storage.folder)
    assert (await api.delete(own)).status_code == 204
    assert found(storage.folder) == []
    assert (await api.get(own)).status_code == 404


async def test_of_a_unit_that_is_deleted_no_word_is_left(api: httpx.AsyncClient, storage: Storage) -> None:
    samples = {"times": [5.0 * n for n in range(60)], "values": [[1.0 + 0.003 * n, 25.0] for n in range(60)]}
    assert (await api.put(f"/telemetry/units/{MARK}/samples", json=samples)).status_code == 200
    assert [unit["unit"] for unit in (await api.get("/telemetry/units")).json()["units"]] == [MARK]
    assert found(storage.folder)
    assert (await api.delete(f"/telemetry/units/{MARK}")).status_code == 204
    assert found(storage.folder) == []
