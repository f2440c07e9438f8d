"""A file that is there whole or not at all: it is written aside and then gets its name."""

import glob
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_OLD_SECONDS = 3600.0


def write_aside(path: Path, write: Callable[[str], Any]) -> None:
    """Has `write` make a file beside `path`, and then gives it that name.

    Where several write at once, the last one stays. What somebody who was killed left is removed after an hour.
    """
    beginning = f".{path.name}.aside-"
    for left in path.parent.glob(f"{glob.escape(beginning)}*"):
        with suppress(FileNotFoundError):  # somebody else came first
            if time.time() - left.stat().st_mtime > _OLD_SECONDS:
                left.unlink()
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=beginning)
    os.close(handle)
    try:
        write(aside)
        os.chmod(aside, 0o644)  # mkstemp's 0600 would hide a model from a service that runs as another user
        os.replace(aside, path)
    finally:
        Path(aside).unlink(missing_ok=True)
