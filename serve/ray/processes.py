"""Child processes, and making sure that none outlives us."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@contextlib.contextmanager
def none_left_behind(seconds: float = 5.0) -> Iterator[frozenset[int]]:
    """Ends every process begun inside: those that have not ended `seconds` after the block are killed.

    Gives the processes below this one that were there before, which are spared.

    A grandchild whose parent died becomes our child instead of init's, so that it is found too. Linux only; elsewhere
    this does nothing.
    """
    if sys.platform != "linux":
        yield frozenset()
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _descendants()
    try:
        yield before
    finally:
        deadline = time.monotonic() + seconds
        while _living(before) and time.monotonic() < deadline:
            time.sleep(0.05)
        kill_all(before)
        if not before:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def kill_all(but: frozenset[int] = frozenset()) -> None:
    """Kills every process below this one except `but`, and those that they begin meanwhile."""
    while left := _living(but):
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _living(but: frozenset[int]) -> frozenset[int]:
    """Processes below this one that have not ended. Our own children among the ended are taken off the list."""
    left = _descendants() - but
    ended = set()
    for process in left:
        with contextlib.suppress(ChildProcessError):  # somebody else's child, or taken by a waiting parent
            if os.waitpid(process, os.WNOHANG)[0]:
                ended.add(process)
    return frozenset(left - ended)


def _descendants(root: int | None = None) -> frozenset[int]:
    """Every process below `root`, by default this one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # `pid (name, which may hold anything) state parent ...`
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found: set[int] = set()
    todo = [root or os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return frozenset(found)


def processor_seconds(root: int) -> float:
    """What a process and all below it, those that have ended left out, have spent so far. 0 where there is no /proc."""
    ticks = sum(sum(map(int, fields[11:13])) for fields in _statistics(root))  # utime, stime
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(root: int) -> int:
    """The memory of a process and all below it; what they share counts several times. 0 where there is no /proc."""
    return sum(int(fields[21]) for fields in _statistics(root)) * os.sysconf("SC_PAGE_SIZE")


def _statistics(root: int) -> Iterator[list[str]]:
    """The fields after the name in /proc/PID/stat."""
    for process in (root, *_descendants(root)):
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
