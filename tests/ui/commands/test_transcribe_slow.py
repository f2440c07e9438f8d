"""What `rapport transcribe` costs: an hour of sound in bounded memory, whoever hears the words."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.dialog.speech.voices_made import HIGH, LOW, talk
from tests.docs.blocks import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MINUTE = 60.0
MIB = 1024


class Parrot(http.server.BaseHTTPRequestHandler):
    """A transcription service that hears the same in everything, at once."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        said = json.dumps({"text": "what a lovely morning"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def peak(path: Path, minutes: int, address: str) -> tuple[float, int]:
    """The most memory in MiB that so many minutes of talk need, and how many utterances are in them."""
    some = talk([(HIGH, 2.5), (LOW, 2.5)] * 8)[0].astype(np.float32)
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        while file.tell() < minutes * MINUTE * 16_000:
            file.write(some)
    out = path.with_suffix(".jsonl")
    given = ["transcribe", str(path), "-o", str(out), "--speakers", "2", "--recogniser", address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "ui.commands", *given], env=environment, cwd=path.parent)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return used.ru_maxrss / MIB, len(json.loads(out.read_text("utf-8"))["utterances"])


def test_three_hours_cost_no_more_than_one(tmp_path: Path, address: str) -> None:
    used, many = peak(tmp_path / "long.wav", 180, address)
    print(f"\nthree hours: {used:.0f} MiB, {many:,} utterances")
    assert many > 5000
    assert used < 1600  # the networks, and those pages of 345 MB of sound that were touched last


def test_an_hour_costs_little_more_memory_than_a_minute(tmp_path: Path, address: str) -> None:
    short, few = peak(tmp_path / "short.wav", 1, address)
    long, many = peak(tmp_path / "long.wav", 60, address)
    print(f"\na minute: {short:.0f} MiB, {few} utterances; an hour: {long:.0f} MiB, {many:,} utterances")
    assert many > 30 * few
    # The sound itself has 115 MB, and those of its pages that were touched last are counted, though they can be let go.
    assert long - short < 250
