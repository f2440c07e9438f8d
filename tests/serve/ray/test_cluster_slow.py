"""The cluster profile for real: two nodes of Ray, four replicas of the API, PostgreSQL, a node killed under load."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from serve.client import Client
from tests.serve.database.conftest import make_database, server  # noqa: F401
from tests.serve.running import ROOT, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
_RAY = str(Path(sys.executable).parent / "ray")
_TALKERS = 4


class Nodes:
    """A cluster of two nodes on this machine, begun as an operator begins one."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._folder = folder
        self.environment = {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_register_timeout_seconds": "300",
            "RAY_agent_register_timeout_ms": "300000",
            # The workers of a cluster are nice to everything else on the machine: under load nothing would start.
            "RAY_worker_niceness": "0",
            # Ray gives a proxy 5 seconds to begin, and kills it then; a machine under load needs longer.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "240",
            "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
        }
        self._begun: list[subprocess.Popen[bytes]] = []

    def start(self, *which: str) -> subprocess.Popen[bytes]:
        """One node, which lives as long as this process."""
        common = ("--num-cpus=8", "--object-store-memory=100000000", "--disable-usage-stats", "--block")
        ports = ("--min-worker-port=0", "--max-worker-port=0", "--node-ip-address=127.0.0.1")
        with (self._folder / f"node-{len(self._begun)}.txt").open("wb") as log:
            node = subprocess.Popen(
                [_RAY, "start", *which, *common, *ports],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._begun.append(node)
        _until(lambda: b"Ray runtime started" in Path(log.name).read_bytes(), lambda: Path(log.name).read_text())
        return node

    def stop(self) -> None:
        """All of it at once, with whatever was begun in it."""
        for node in self._begun:
            kill(node)


def family(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A node's processes, itself the first."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(node.pid)
        return [root, *root.children(recursive=True)]
    return []


def kill(node: subprocess.Popen[bytes]) -> None:
    """All of a node's processes at once, as when a machine loses its power."""
    for process in family(node):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    node.wait(30)


def names(node: subprocess.Popen[bytes]) -> list[str]:
    """What a node's processes call themselves."""
    found = []
    for process in family(node):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()).strip())
    return found


def _until(what: Callable[[], bool], why: Callable[[], str], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.2)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-nodes-", dir="/tmp"))  # Ray's sockets want a short path
    started = Nodes(folder)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Talker(threading.Thread):
    """Somebody who says one thing after another in his own chat, and remembers what was acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.client = Client(url, retries=12, timeout=60)
        self.chat = self.client.start_chat().id
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.stop = threading.Event()
        self._name = name

    def run(self) -> None:
        n = 0
        while not self.stop.is_set():
            text = f"{self._name} {n}"
            try:
                self.client.add_message(self.chat, self._name, text)
            except Exception as error:  # not acknowledged: it may be there or not
                self.refused.append(f"{type(error).__name__}: {error}")
            else:
                self.acknowledged.append(text)
            n += 1
            self.stop.wait(0.02)


def test_a_node_that_is_killed_under_load_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
    nodes: Nodes,
    make_database: Callable[[], str],  # noqa: F811
) -> None:
    head = nodes.start("--head", f"--port={nodes.address.rpartition(':')[2]}", "--include-dashboard=false")
    other = nodes.start(f"--address={nodes.address}")
    log = tmp_path / "log.jsonl"
    line = {"utterances": [{"speaker": "Ann", "text": "slow"}] * 100}
    log.write_text("\n".join(json.dumps({"id": i, **line}) for i in range(300)))
    service = Running(
        tmp_path,
        profile="cluster",
        host="127.0.0.1",
        ray__address=nodes.address,
        database=make_database(),
        api__replicas=4,
        api__on_head_node="false",
        emotion__cpus=1,
        emotion__max_replicas=2,
        environment=nodes.environment,
    )
    with service.patient(420):

        def placed() -> dict[str, list[str]]:
            on = {"head": head, "other": other}
            return {which: [n for n in names(node) if "Replica:api:" in n] for which, node in on.items()}

        # It is ready as soon as one of each answers; this is about a node that does.
        for part in ("Api", "Batches"):
            _until(lambda part=part: any(f":{part}" in n for n in placed()["other"]), lambda: str(placed()))  # type: ignore[misc]
        print("\n", placed())
        talkers = [Talker(service.url, f"talker-{i}") for i in range(_TALKERS)]
        with Client(service.url, retries=12, timeout=60) as client:
            batch = client.start_batch(log)
            for talker in talkers:
                talker.start()
            _until(lambda: all(len(t.acknowledged) > 20 for t in talkers), lambda: str([t.refused for t in talkers]))
            before = [len(talker.acknowledged) for talker in talkers]
            kill(other)
            killed = time.monotonic()
            _until(
                lambda: all(len(t.acknowledged) > b + 20 for t, b in zip(talkers, before, strict=True)),
                lambda: str([t.refused for t in talkers]),
            )
            print(f"{time.monotonic() - killed:.0f} s after the kill each had been answered 20 times again")
            for talker in talkers:
                talker.stop.set()
            for talker in talkers:
                talker.join(120)
                assert not talker.is_alive()
            for talker in talkers:
                kept = [message.text for message in client.chat(talker.chat).messages]
                assert [text for text in kept if text in set(talker.acknowledged)] == talker.acknowledged
                assert len(kept) == len(set(kept)), "something was said twice"
            said, refused = sum(len(t.acknowledged) for t in talkers), [r for t in talkers for r in t.refused]
            print(f"{said} messages acknowledged, all kept, {len(refused)} not answered: {refused[:3]}")
            _until(lambda: client.batch(batch.id).ended, lambda: str(client.batch(batch.id)))
            found = client.batch(batch.id)
            assert (found.state, found.conversations, found.failed) == ("done", 300, 0)
            client.save_batch(batch.id, tmp_path / "out.jsonl")
        labelled = [json.loads(one)["id"] for one in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert labelled == list(range(300))
        assert service.stop(signal.SIGTERM) == 0
