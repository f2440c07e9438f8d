"""Where a run's output goes: a file appears whole or not at all; what is no plain file is written into and kept.

A symbolic link stays one, and its target is replaced; a pipe, a device, and a file with a second name (a hard link) are
written into, for replacing them would cut whoever holds the other end.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class NoSpace(OSError):
    """The disk is full: which file could not be written, and what to do."""


def is_special(path: Path) -> bool:
    """Whether something lies there that is no plain file with one name: it is written into, and cannot be resumed."""
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        found = path.stat()
    except OSError:
        return False
    return not stat.S_ISREG(found.st_mode)


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """What `write` writes, at a path. A plain file has all of it or stays what it was."""
    target = Path(os.path.realpath(path)) if path.is_symlink() and not is_special(path) else path
    with saying_where(path):
        if is_special(path) or _has_names(target):
            with target.open("r+b" if target.is_file() else "wb") as file:
                write(file)
                if target.is_file():
                    file.truncate()
            return
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with unfinished.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(target.absolute().parent)


@contextmanager
def saying_where(path: Path) -> Iterator[None]:
    """A full disk is said in words: the file that had no room, and that the work so far is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            error.filename = error.filename or str(path)  # what fails while it is written does not say where
            raise
        kept = "" if is_special(path) else " and run the same command with --resume: the work so far is kept"
        raise NoSpace(f"no space left to write {path}; make room there{kept}") from error


def _has_names(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_nlink > 1
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
