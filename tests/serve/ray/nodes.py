"""Clusters of several nodes on this machine, begun as an operator begins them, and people who talk to the service."""

import contextlib
import os
import shutil
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
from tests.serve.running import ROOT, free_port

_RAY = str(Path(sys.executable).parent / "ray")


class Nodes:
    """A cluster of two nodes on this machine, begun as an operator begins one."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
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
        until(lambda: b"Ray runtime started" in Path(log.name).read_bytes(), lambda: Path(log.name).read_text())
        return node

    def start_head(self) -> str:
        """The head of one more cluster; its address."""
        address = f"127.0.0.1:{free_port()}"
        self.start("--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false")
        return address

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
    node.wait(120)


def names(node: subprocess.Popen[bytes]) -> list[str]:
    """What a node's processes call themselves."""
    found = []
    for process in family(node):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()).strip())
    return found


def until(what: Callable[[], bool], why: Callable[[], str], seconds: float = 600) -> None:
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
