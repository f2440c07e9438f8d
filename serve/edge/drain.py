"""A service that is about to stop: it takes no new work, and ends once what runs is done.

The process that was told to stop makes a file, and every door looks whether it is there. How much is under way a door
says on its answer to `/v1/health/ready`, which the stopping process asks for.
"""

import time
from pathlib import Path

DRAIN_VARIABLE = "RAPPORT_PROXY_STOPPING"
"""Where the HTTP proxy finds the path of that file."""
STOPPING = "stopping"
"""The name of the file in the data folder."""
UNDER_WAY_HEADER = "X-Rapport-Under-Way"
_LOOK_SECONDS = 0.2


class Drain:
    """Whether the service is about to stop, looked up a few times a second. Without a file it never is."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._looked = 0.0
        self._begun = False

    @property
    def begun(self) -> bool:
        """Whether no new work is taken."""
        now = time.monotonic()
        if self._file is not None and now - self._looked >= _LOOK_SECONDS:
            self._looked, self._begun = now, self._file.exists()
        return self._begun
