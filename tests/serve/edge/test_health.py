"""Whether the service can do its work: told at once, and truly."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.database.engine import engine_of, file_url
from serve.edge.health import Health
from serve.edge.problems import overloaded, unavailable
from serve.emotion.deployment import About, Taggers
from serve.emotion.labeller import LocalLabeller
from serve.storage import Storage
from tests.serve.conftest import client_of


async def settled(client: httpx.AsyncClient) -> httpx.Response:
    """The answer once every part was looked at."""
    async with asyncio.timeout(120):
        while "not known yet" in (response := await client.get("/health/ready")).text:
            await asyncio.sleep(0.02)
    return response


async def fine() -> None:
    return None


async def hangs() -> str:
    await asyncio.sleep(60)
    return "never"


async def breaks() -> str:
    raise KeyError("secret")


async def test_every_part_is_told_and_none_keeps_the_others_waiting() -> None:
    health = Health({"good": fine, "slow": hangs, "bad": breaks}, every=0.05, patience=0.5, seconds=1)
    found = await asyncio.wait_for(health.state(), 30)
    assert (found["good"], found["slow"]) == (None, "not known yet")
    assert found["bad"] is not None
    assert "secret" not in found["bad"]
    async with asyncio.timeout(60):
        while (told := (await health.state())["slow"]) == "not known yet":
            await asyncio.sleep(0.1)
    assert told == "no answer within 1 s"


async def test_what_is_known_is_told_until_it_is_old_and_then_looked_up_again() -> None:
    asked, wrong = 0, None

    async def check() -> str | None:
        nonlocal asked
        asked += 1
        return wrong

    lasting = Health({"it": check}, every=600, patience=30)
    for _ in range(5):
        assert await lasting.state() == {"it": None}
    assert asked == 1
    passing = Health({"it": check}, every=0.01, patience=30)
    assert await passing.state() == {"it": None}
    wrong = "broken"
    await asyncio.sleep(0.1)
    assert await passing.state() == {"it": "broken"}


class Odd(LocalLabeller):
    """Says of its models what it is told to."""

    async def about(self, model: str) -> About:
        if isinstance(self.says, Exception):
            raise self.says
        return About(error=self.says)

    says: Exception | str | None = None


@pytest.mark.parametrize(
    ("says", "status"),
    [(None, 200), (overloaded("full"), 200), (unavailable("nobody there"), 503), ("the model is gone", 503)],
)
async def test_a_busy_model_is_ready_and_a_missing_one_is_not(
    make_api: Callable[..., Any], taggers: Taggers, says: Any, status: int
) -> None:
    labeller = Odd(taggers)
    labeller.says = says
    async with client_of(make_api(labeller=labeller)) as client:
        ready = await settled(client)
        live = await client.get("/health/live")
    assert (ready.status_code, live.status_code) == (status, 200)
    if status == 200:
        assert ready.json()["checks"] == {"models": "ok", "disk": "ok", "database": "ok"}
    else:
        assert ready.json()["detail"].startswith("models: ")
        assert int(ready.headers["retry-after"]) >= 1


async def test_a_disk_that_is_full_and_a_database_that_is_held_are_told(
    make_api: Callable[..., Any], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storage, "_write_something", lambda self: "it cannot be written (No space left on device)")
    monkeypatch.setattr(Storage, "_begin_to_write", lambda self: "it does not answer (database is locked)")
    async with client_of(make_api()) as client:
        ready = await settled(client)
    assert ready.status_code == 503
    assert "disk: it cannot be written (No space left" in ready.json()["detail"]
    assert "database: it does not answer" in ready.json()["detail"]


async def test_a_disk_and_a_database_are_looked_at_themselves(storage: Storage, tmp_path: Path) -> None:
    assert await storage.disk() is None
    assert await storage.database() is None
    storage._path = tmp_path / "gone" / "test.sqlite"
    storage._probing = engine_of(file_url(storage._path), patience=1, writes=True, kept=False)
    assert "cannot be written" in str(await storage.disk())
    assert "does not answer" in str(await storage.database())
