"""A service that is about to stop: it takes no new work, and ends once what runs is done.

On one machine the process that was told to stop makes a file, and every door looks whether it is there; how much is
under way the door in front says on its answer to `/v1/health/ready`, which the stopping process asks for. On a cluster
it calls every replica of the API, which begin to stop with that and say how much is under way.
"""

import contextlib
import os
import socket
import time
from pathlib import Path

DRAIN_VARIABLE = "RAPPORT_PROXY_STOPPING"
"""Where the processes of a service find the path of that file."""
UNDER_WAY_HEADER = "X-Rapport-Under-Way"
_LOOK_SECONDS = 0.2


def stopping_file(folder: Path) -> Path:
    """The file of the service that this process has started: one that takes its place may share the folder."""
    return folder / f"stopping-{socket.gethostname()}-{os.getpid()}"


def forget(folder: Path) -> None:
    """Removes the files of services of this machine that were killed while they stopped."""
    for file in folder.glob(f"stopping-{socket.gethostname()}-*"):
        process = file.name.rpartition("-")[2]
        if process == str(os.getpid()) or not Path(f"/proc/{process}").exists():
            with contextlib.suppress(OSError):
                file.unlink()


class Drain:
    """Whether the service is about to stop: where it was told to `begin`, or a file is there, which is looked for a few
    times a second."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._looked = 0.0
        self._begun = False
        self._told = False

    def begin(self) -> None:
        """From now on it is."""
        self._told = True

    @property
    def begun(self) -> bool:
        """Whether no new work is taken."""
        now = time.monotonic()
        if self._file is not None and now - self._looked >= _LOOK_SECONDS:
            self._looked, self._begun = now, self._file.exists()
        return self._told or self._begun
