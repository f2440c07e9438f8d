"""What is made once and kept on this machine, and whether a file is the one that was published."""

import hashlib
import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Where something of that name is kept: under XDG_CACHE_HOME, else `~/.cache`. It need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rapport" / name


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal. OSError for one that cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
