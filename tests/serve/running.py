"""A service in processes of its own, started as a user would start it, with the tagger that needs no weights."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

ROOT = Path(__file__).parents[2]
_MAIN = (
    "import sys; from serve.ray.app import run; from serve.config import AppConfig; "
    "sys.exit(run(AppConfig.load({profile})))"
)


PATIENCE = 600.0
"""Seconds that a service may take to start: half a minute alone, many of them where others need the machine too."""


def free_port() -> int:
    """One that nobody has, and that the system gives to none who ask for any, as the processes of Ray always do."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise OSError("no port between 20,000 and 30,000 is free")


class Running:
    """`with Running(...) as service` starts it, waits until it is ready, and ends it if the test did not."""

    def __init__(
        self,
        data_dir: Path,
        *,
        profile: str | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: str | int,
    ) -> None:
        """profile: one of those we ship; environment: further variables."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = data_dir
        self.log = data_dir / "console.txt"
        given = {"port": self.port, "data_dir": data_dir, **settings}
        self._main = _MAIN.format(profile=repr(profile))
        self._environment = {
            **os.environ,
            # A home that nobody, not even root, can write to.
            "HOME": "/proc/nowhere",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "RAPPORT_TAGGER": "tests.serve.fake:FakeTagger",
            "RAPPORT_CATALOGUE": "tests.serve.fake:shipped",
            "RAPPORT_REPLIES__OPENER": "tests.serve.fake:open_responder",
            **{f"RAPPORT_{name.upper()}": str(value) for name, value in given.items()},
            **(environment or {}),
        }
        self.family: list[psutil.Process] = []
        self._patience = PATIENCE

    def patient(self, seconds: float) -> Self:
        """The same, which may take so long to start."""
        self._patience = seconds
        return self

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready(self._patience)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begins, and does not wait."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._main],
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float = PATIENCE) -> None:
        """Until it says on its console that it is ready."""
        self._wait_until_told("is ready", seconds)

    def wait_until_starting(self, seconds: float = PATIENCE) -> None:
        """Until it has been imported, and says that it starts."""
        self._wait_until_told("is starting", seconds)

    def _wait_until_told(self, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while what not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def remember_family(self) -> list[psutil.Process]:
        """Every process below the service, now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family = psutil.Process(self.process.pid).children(recursive=True)
        return self.family

    def named(self, name: str) -> psutil.Process:
        """The process of the service that calls itself so."""
        return next(p for p in self.remember_family() if name in " ".join(p.cmdline()))

    def stop(self, number: int = signal.SIGINT, seconds: float = 180) -> int:
        """SIGINT goes to the whole group, as a terminal sends it; another signal to the service alone, as `kill` does.

        The exit status; -9 where it had to be killed.
        """
        self.remember_family()
        if self.process.poll() is None:
            send = os.killpg if number == signal.SIGINT else os.kill
            send(self.process.pid, number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            for process in self.family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return self.process.wait(60)

    def left_over(self, seconds: float = 20) -> list[psutil.Process]:
        """Processes of the service that live on although it has ended; one that is just ending has so long for it."""
        deadline = time.monotonic() + seconds
        while (alive := [p for p in self.family if _lives(p)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return alive

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A plain HTTP client of the API."""
        with httpx.Client(base_url=f"{self.url}/v1", timeout=60) as client:
            yield client


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
