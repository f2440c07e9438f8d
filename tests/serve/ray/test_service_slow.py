"""What needs minutes: a minute of overload, processes killed under load, Ctrl-C at any moment."""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dialog.conversation import Conversation, Utterance
from serve.client import Client
from tests.serve.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
GREAT = Conversation(id="a", utterances=(Utterance(speaker="Ann", text="great"),))


def slow_body(n: int) -> dict[str, Any]:
    return {"conversations": [{"utterances": [{"speaker": "Ann", "text": "slow"}] * n}]}


def memory(service: Running) -> int:
    return sum(p.memory_info().rss for p in service.remember_family() if p.is_running())


async def test_a_minute_of_overload_ends_in_200_and_429_only_and_leaves_no_trace(tmp_path: Path) -> None:
    settings = {"emotion__ongoing": 8, "emotion__queued": 8, "limits__waiting_utterances": 100}
    with Running(tmp_path, **settings) as service:
        seen: Counter[int] = Counter()
        waited: list[float] = []
        until = time.monotonic() + 60
        limits = httpx.Limits(max_connections=200)

        async with httpx.AsyncClient(base_url=f"{service.url}/v1", timeout=60, limits=limits) as client:

            async def keep_asking() -> None:
                while time.monotonic() < until:
                    began = time.monotonic()
                    response = await client.post("/emotions", json=slow_body(5))
                    seen[response.status_code] += 1
                    if response.status_code == 200:
                        waited.append(time.monotonic() - began)

            for _ in range(3):  # so that what grows once, grows before it is measured
                await client.post("/emotions", json=slow_body(5))
            asking = [asyncio.create_task(keep_asking()) for _ in range(160)]
            await asyncio.sleep(20)
            early = memory(service)
            await asyncio.gather(*asking)
            late = memory(service)
            began = time.monotonic()
            assert (await client.post("/emotions", json=slow_body(1))).status_code == 200
            recovered = time.monotonic() - began
        print(f"\n{dict(seen)}; p99 of the accepted {sorted(waited)[int(len(waited) * 0.99)]:.1f} s;", end=" ")
        print(f"memory {early / 2**20:.0f} -> {late / 2**20:.0f} MiB; recovered in {recovered:.2f} s")
        assert set(seen) == {200, 429}
        assert recovered < 5
        assert late - early < 100 * 2**20


@pytest.mark.parametrize("victim", ["Replica:api:Emotion", "Replica:api:Api", "ProxyActor", "ServeController"])
def test_a_process_killed_under_load_costs_our_client_nothing(tmp_path: Path, victim: str) -> None:
    settings = {"emotion__replicas": 2, "api__replicas": 2}
    with Running(tmp_path, **settings) as service, Client(service.url, retries=12) as client:
        chat = client.start_chat()
        client.add_message(chat.id, "Ann", "great")
        killed = False
        until = time.monotonic() + 20
        while time.monotonic() < until:
            # Without the one door a client sees a refused connection until Ray has put up another.
            if victim == "ProxyActor" and killed and not client.ready():
                time.sleep(0.2)
                continue
            answer = client.emotions([GREAT])
            assert answer.conversations[0].error is None
            if not killed and time.monotonic() > until - 15:
                service.named(victim).kill()
                killed = True
        while not client.ready():
            assert time.monotonic() < until + 60
            time.sleep(0.2)
        if victim == "ProxyActor":
            print(f"\nthe proxy was back {time.monotonic() - until + 15:.0f} s after it was killed")
        assert client.add_message(chat.id, "Ann", "sad").n == 1


def test_a_chat_outlives_the_service_that_was_killed(tmp_path: Path) -> None:
    with Running(tmp_path) as first, Client(first.url) as client:
        chat = client.start_chat()
        for i in range(5):
            client.add_message(chat.id, "Ann", str(i))
        said = client.answer_chat(chat.id).text
        first.remember_family()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        _, alive = psutil.wait_procs(first.family, timeout=120)  # Ray's agents take about a minute to notice
        assert alive == []
    with Running(tmp_path) as second, Client(second.url) as client:
        assert [m.text for m in client.chat(chat.id).messages] == [*"01234", said]
        assert client.answer_chat(chat.id, another=True).text != said  # what would not do was kept as well
        message = client.add_message(chat.id, "Ann", "6")
        assert message.n == 6
        assert message.prediction is not None
        assert message.prediction.causes[0].utterance == 5  # the state of the model was kept too
        assert client.answer_chat(chat.id).n == 7


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0])
def test_a_batch_outlives_the_service_that_was_killed(tmp_path: Path, seconds: float) -> None:
    log = tmp_path / "log.jsonl"
    line = {"utterances": [{"speaker": "Ann", "text": "slow"}] * 100}
    log.write_text("\n".join(json.dumps({"id": i, **line}) for i in range(150)))
    with Running(tmp_path) as first, Client(first.url) as client:
        batch = client.start_batch(log)
        time.sleep(seconds)
        first.remember_family()
        for process in (first.process, *first.family):  # all at once, as when the machine loses its power
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(first.family, timeout=20)
    with Running(tmp_path) as second, Client(second.url) as client:
        until = time.monotonic() + 120
        while not (now := client.batch(batch.id)).ended:
            assert time.monotonic() < until, now
            time.sleep(0.2)
        assert (now.state, now.conversations, now.failed) == ("done", 150, 0)
        client.save_batch(batch.id, tmp_path / "out.jsonl")
    labelled = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [conversation["id"] for conversation in labelled] == list(range(150))
    assert all(u["prediction"] for conversation in labelled for u in conversation["utterances"])


@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_at_any_moment_leaves_nothing_behind(tmp_path: Path, seed: int) -> None:
    service = Running(tmp_path)
    service.start()
    service.wait_until_starting()  # until then Python is at its imports, and nobody has heard of signals
    time.sleep(random.Random(seed).random() * 20)
    assert service.stop(random.Random(seed).choice([signal.SIGINT, signal.SIGTERM])) == 0
    assert service.left_over() == []
    assert list(Path("/tmp").glob(f"rapport-{service.process.pid}-*")) == []
