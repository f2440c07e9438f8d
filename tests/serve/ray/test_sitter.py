"""What a killed service leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from serve.edge.door import SECRET_VARIABLE
from serve.ray.sitter import MARK_VARIABLE, marked

_SERVICE = """
import subprocess, sys, time
from serve.ray.sitter import sitter
with sitter(sys.argv[1]):
    # Its child's child, in a session of its own, as Ray's agents are.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    print(child.pid, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start(folder: Path, mark: str, seconds: float) -> "tuple[subprocess.Popen[str], psutil.Process]":
    folder.mkdir()
    service = subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(folder), str(seconds)],
        env={**os.environ, MARK_VARIABLE: mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    return service, psutil.Process(int(service.stdout.readline()))


def test_the_mark_is_the_secret_that_all_processes_of_a_service_share() -> None:
    assert MARK_VARIABLE == SECRET_VARIABLE


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_killed_service_leaves_no_process_and_no_folder_and_another_one_is_spared(tmp_path: Path) -> None:
    killed, child = start(tmp_path / "killed", "mark-of-one", 300)
    other, spared = start(tmp_path / "other", "mark-of-another", 300)
    try:
        assert child.pid in marked("mark-of-one")
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
        deadline = time.monotonic() + 120
        while (tmp_path / "killed").exists() or child.is_running():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert spared.is_running()
        assert (tmp_path / "other").exists()
    finally:
        other.kill()
        spared.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_service_that_ends_well_is_left_to_end_its_children_itself(tmp_path: Path) -> None:
    service, child = start(tmp_path / "well", "mark-of-a-third", 0)
    try:
        assert service.wait(120) == 0
        time.sleep(0.5)
        assert child.is_running()
        assert (tmp_path / "well").exists()
    finally:
        child.kill()
