"""The API and the worker of recordings in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.config import RecordingsConfig
from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.speech.listening import listen
from serve.speech.worker import RecordingWorker
from serve.storage import Storage
from tests.serve.conftest import client_of
from tests.serve.speech.heard import OPENER, Counting, call

CONFIG = RecordingsConfig(
    recognisers={"counting": "counting", "missing": "missing", "failing": "failing"}, opener=OPENER
)
LIMITS = Limits(recording_bytes=3_000_000, recordings_waiting=3, speakers_per_recording=4)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "calls", 0)
    monkeypatch.setattr(Counting, "before", staticmethod(lambda n: None))


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return call(tmp_path_factory.mktemp("calls") / "call.wav").read_bytes()


@pytest.fixture
async def api(make_api: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api(LIMITS, recordings=CONFIG)) as client:
        yield client


@pytest.fixture
def make_worker(storage: Storage, taggers: Taggers) -> Iterator[Callable[..., RecordingWorker]]:
    workers: list[RecordingWorker] = []

    def make(labeller: Any = None, **options: Any) -> RecordingWorker:
        given = {"listen": listen, **options}
        workers.append(RecordingWorker(storage, labeller or LocalLabeller(taggers), LIMITS, CONFIG, **given))
        workers[-1].start()
        return workers[-1]

    yield make
    for worker in workers:
        worker.stop()


async def ended(api: httpx.AsyncClient, recording_id: str, seconds: float = 120) -> dict[str, Any]:
    """The recording once nothing more happens to it."""
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = (await api.get(f"/recordings/{recording_id}")).json()
        if found["state"] in ("done", "failed"):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


def left(storage: Storage) -> list[Path]:
    """Every file there is of recordings and uploads, but the lock."""
    places = (storage.folder / "recordings", storage.folder / "batches" / "uploads")
    return [p for place in places for p in place.rglob("*") if p.is_file() and p.name != ".lock"]
