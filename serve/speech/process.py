"""The process that listens to one recording, seen from the service."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import orjson

from serve.database.patience import TOLD_SECONDS
from serve.edge import logs
from serve.speech.listening import Asked, Found, Told, asked_as_json, read

_NICE = 5
"""How far it stands back behind whoever waits for an answer."""


class Refused(ValueError):
    """The file is no recording that can be listened to; the message is for its sender."""


class Broken(RuntimeError):
    """The process died, or failed in a way that is none of the sender's business."""


def in_a_process(folder: Path, asked: Asked, told: Told, *, threads: int = 1) -> Found:
    """As `listening.listen`, in a process of its own, which is killed where `told` raises.

    `told` is called at least every TOLD_SECONDS. Refused for what is no recording, OSError for a full disk, Broken.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": str(threads),
        # Samples that are in no memory lie beside the recording, and go with it.
        "TMPDIR": str(folder),
    }
    command = [sys.executable, "-m", "serve.speech.listening", str(folder)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder, start_new_session=True
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
        return _followed(process, asked, told)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # of what it was to read and did not
                    pipe.close()


def _followed(process: "subprocess.Popen[bytes]", asked: Asked, told: Told) -> Found:
    assert process.stdin is not None
    assert process.stdout is not None
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), name="listening", daemon=True).start()
    try:
        process.stdin.write(asked_as_json(asked))
        process.stdin.flush()
    except BrokenPipeError:
        raise Broken("the process that listens did not start") from None
    share = 0.0
    while True:
        try:
            line = lines.get(timeout=TOLD_SECONDS)
        except queue.Empty:
            told(share)
            continue
        match line:
            case {"share": far}:
                share = far
                told(share)
            case {"found": found}:
                return read(found)
            case {"refused": why}:
                raise Refused(why)
            case {"failed": about, "errno": errno}:
                logs.get().error("listening failed", **about)
                if errno is not None:
                    raise OSError(errno, os.strerror(errno))
                raise Broken("the process that listens has failed")
            case _:
                raise Broken(f"the process that listens ended: {process.wait()}")


def _read(pipe: IO[bytes], lines: "queue.Queue[dict[str, Any] | None]") -> None:
    try:
        for line in pipe:
            lines.put(orjson.loads(line))
    except (ValueError, OSError):  # closed while it was read, or torn
        pass
    lines.put(None)
