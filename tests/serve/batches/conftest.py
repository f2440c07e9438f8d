"""What the tests of batches share: a worker in this process, the API before it, models behind a gate."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from serve.batches.worker import Worker
from serve.config import BatchesConfig
from serve.edge.limits import Limits
from serve.edge.problems import overloaded
from serve.emotion.deployment import Job, JobAnswer, Taggers
from serve.emotion.labeller import LocalLabeller
from serve.storage import Storage
from tests.serve.conftest import client_of

LOG = b"Ann: what a wonderful job\nBo: I hate it\n"


class Gate(LocalLabeller):
    """Labels while it is open, or the first `free` calls; the first `refusals` calls are refused."""

    def __init__(self, taggers: Taggers, refusals: int = 0) -> None:
        super().__init__(taggers)
        self.open, self.asked = threading.Event(), threading.Event()
        self.refusals = refusals
        self.calls = self.free = 0

    async def label_log(self, job: Job) -> JobAnswer:
        self.calls += 1
        self.asked.set()
        if self.calls <= self.refusals:
            raise overloaded("too much to do")
        while not self.open.is_set() and self.calls > self.free:
            await short_nap()
        return await super().label_log(job)


async def short_nap() -> None:
    """A moment."""
    await asyncio.sleep(0.01)


@pytest.fixture
def gate(taggers: Taggers) -> Gate:
    gate = Gate(taggers)
    gate.open.set()
    return gate


@pytest.fixture
def make_worker(storage: Storage, gate: Gate) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def make(**options: Any) -> Worker:
        workers.append(Worker(storage, gate, Limits(), BatchesConfig(), **options))
        workers[-1].start()
        return workers[-1]

    yield make
    gate.open.set()
    for worker in workers:
        worker.stop()


@pytest.fixture
async def api(make_api: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_api(Limits(log_bytes=300_000, batches_waiting=3))) as client:
        yield client


async def ended(api: httpx.AsyncClient, batch_id: str, seconds: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        batch: dict[str, Any] = (await api.get(f"/batches/{batch_id}")).json()
        if batch["state"] in ("done", "failed"):
            return batch
        assert time.monotonic() < deadline, batch
        await asyncio.sleep(0.05)
