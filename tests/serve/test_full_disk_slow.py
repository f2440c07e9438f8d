"""A disk that really runs full, under all that is kept: it is said, nothing is spoilt, and room is all it takes."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.batches.worker import Worker
from serve.config import BatchesConfig
from serve.edge.limits import Limits
from serve.emotion.deployment import Taggers
from serve.emotion.labeller import LocalLabeller
from serve.speech.listening import listen
from serve.speech.worker import RecordingWorker
from tests.dialog.tiny_visual import make_visual, picture
from tests.serve.conftest import TAGGER
from tests.serve.edge.test_over_http import Served
from tests.serve.speech.conftest import CONFIG
from tests.serve.speech.heard import call

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes root, on Linux"
    ),
]
_DISK_MB = 48
FULL = (507, "urn:rapport:problem:disk-full")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def served(disk: Path, tmp_path: Path) -> Iterator[Served]:
    served = Served(disk, engine=str(make_visual(tmp_path / "eyes", familiar=True)), recordings=CONFIG)
    labeller = LocalLabeller(Taggers(TAGGER))
    batches = Worker(served.storage, labeller, Limits(), BatchesConfig())
    recordings = RecordingWorker(served.storage, labeller, Limits(), CONFIG, listen=listen)
    batches.start()
    recordings.start()
    yield served
    recordings.stop()
    batches.stop()
    served.stop()


def fill(disk: Path) -> Path:
    """Something that takes all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def until(what: Callable[[], bool], why: Callable[[], Any], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "")


def test_a_full_disk_is_a_507_for_everything_that_is_kept_and_room_is_all_it_takes(
    served: Served, disk: Path, tmp_path: Path
) -> None:
    ask = served.client
    file = io.BytesIO()
    picture(1, (300, 200)).save(file, "JPEG")
    sound = call(tmp_path / "call.wav").read_bytes()
    log = b"Ann: slow\n" * 20_000

    def show() -> httpx.Response:
        return ask.post("/visual-dialogs", files={"picture": file.getvalue()})

    def state(path: str) -> str:
        return str(ask.get(path).json()["state"])

    chat = f"/chats/{ask.post('/chats', json={}).json()['id']}"
    kept = 0
    while kept < 20:
        assert ask.post(f"{chat}/messages", json={"speaker": "Ann", "text": f"message {kept}"}).status_code == 201
        kept += 1
    dialog = f"/visual-dialogs/{show().json()['id']}"
    heard = f"/recordings/{ask.post('/recordings?recogniser=counting', content=sound).json()['id']}"
    until(lambda: state(heard) in ("done", "failed"), lambda: ask.get(heard).text)
    until(lambda: ask.get("/health/ready").status_code == 200, lambda: ask.get("/health/ready").text)
    under_way = f"/batches/{ask.post('/batches', content=log).json()['id']}"
    until(lambda: state(under_way) == "running", lambda: ask.get(under_way).text)

    ballast = fill(disk)
    until(lambda: ask.get("/health/ready").status_code == 503, lambda: ask.get("/health/ready").text)
    assert "disk: it cannot be written" in ask.get("/health/ready").json()["detail"]
    assert ask.get("/health/live").status_code == 200
    # The log that was being labelled says what became of it, and its files make room: for the moment.
    until(lambda: state(under_way) == "failed", lambda: ask.get(under_way).text)
    assert ask.get(under_way).json()["error"] == "the disk of the service is full"
    ballast = fill(disk)
    # SQLite's log has room of its own, which a few messages fill.
    answers: list[httpx.Response] = []
    while len(answers) < 500 and (not answers or answers[-1].status_code == 201):
        answers.append(ask.post(f"{chat}/messages", json={"speaker": "Ann", "text": "x" * 4_000}))
    kept += len(answers) - 1
    assert said(answers[-1]) == FULL
    assert said(ask.post("/chats", json={})) == FULL
    assert said(show()) == FULL
    assert said(ask.post("/batches", content=log)) == FULL
    assert said(ask.post("/recordings?recogniser=counting", content=sound)) == FULL
    # Whoever reads, and whoever keeps nothing, notices nothing.
    assert ask.get(chat).json()["total"] == kept
    assert ask.get(heard).status_code == ask.get(f"{dialog}/picture").status_code == 200
    turn = {"conversations": [{"utterances": [{"speaker": "Ann", "text": "great"}]}]}
    assert ask.post("/emotions", json=turn).status_code == 200

    ballast.unlink()
    until(lambda: ask.get("/health/ready").status_code == 200, lambda: ask.get("/health/ready").text)
    assert ask.post(f"{chat}/messages", json={"speaker": "Ann", "text": "still here"}).json()["n"] == kept
    assert [m["n"] for m in ask.get(f"{chat}?limit=1000").json()["messages"]] == list(range(kept + 1))
    assert show().status_code == 201
    again = f"/batches/{ask.post('/batches', content=b'Ann: great').json()['id']}"
    once_more = f"/recordings/{ask.post('/recordings?recogniser=counting', content=sound).json()['id']}"
    for path in (again, once_more):
        until(lambda path=path: state(path) in ("done", "failed"), lambda path=path: ask.get(path).text)  # type: ignore[misc]
        assert state(path) == "done"
    assert list((disk / "batches" / "uploads").glob("*")) == []
