"""Ends what a killed service leaves behind: Ray's own processes look after each other, but not all of them do.

A process of a service that is killed cannot end its children. This one is begun before them, waits until the service
has gone, and kills whatever still carries the service's mark in its environment. It needs no package, and imports none.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK_VARIABLE = "RAPPORT_PROXY_SECRET"
"""What all processes of one service inherit, and no others: serve.edge.door.SECRET_VARIABLE."""
_GRACE_SECONDS = 3.0


@contextlib.contextmanager
def sitter(folder: str) -> Iterator[None]:
    """While one waits for us to go. It leaves by itself where we come to the end of this block; `folder` is removed
    with what is left otherwise. Linux only; elsewhere this does nothing."""
    mark = os.environ.get(MARK_VARIABLE)
    if sys.platform != "linux" or not mark:
        yield
        return
    # In a session of its own, so that Ctrl-C and a kill of our group do not reach it; without the mark, so as not to
    # end itself.
    environment = {name: value for name, value in os.environ.items() if name != MARK_VARIABLE}
    command = [sys.executable, "-S", "-E", __file__]
    watching = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    assert watching.stdin is not None
    watching.stdin.write(f"{mark}\n{folder}\n".encode())  # and not as arguments, which everybody can read
    watching.stdin.flush()
    try:
        yield
    finally:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            watching.stdin.write(b"all is well\n")
            watching.stdin.close()
            watching.wait(10)


def marked(mark: str) -> list[int]:
    """The processes that carry this mark, but this one."""
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getpid() and wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def end_all(mark: str, folder: str) -> None:
    """Waits a little for those that end by themselves, and kills the others."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    while left := marked(mark):
        for process in left:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    told = sys.stdin.buffer.read().decode().splitlines()  # until the service ends; one that ends well says so
    if len(told) == 2:
        end_all(*told)
