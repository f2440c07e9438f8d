"""What the service has done so far, by the figures that its processes write, and what it takes of its machine."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import orjson

from serve.edge import metrics

_NO_WORK = ("/health", "/metrics", "/limits", "/labels", "/models", "/batches")
"""Routes of operators, and of logs, whose time is that of their sender."""
_UNLIMITED = 1 << 60  # bytes; what cgroups write where there is no limit


class Counted(NamedTuple):
    """Since the service began. Seconds are sums over all that was answered."""

    answers: float = 0.0
    seconds: float = 0.0
    failed: float = 0.0  # of the answers, those with 5xx
    calls: float = 0.0
    waited: float = 0.0  # seconds, of all calls
    messages: float = 0.0

    def since(self, before: "Counted") -> "Counted":
        """What came in between. A process that began anew counts from nothing: less than before is nothing."""
        return Counted(*(max(0.0, now - then) for now, then in zip(self, before, strict=True)))


def counted(folder: Path) -> Counted:
    """Of all processes that write into the folder of metrics."""
    total = dict.fromkeys(Counted._fields, 0.0)
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, orjson.JSONDecodeError):  # one that is just being replaced
            for _, _, _, samples in orjson.loads(file.read_bytes()):
                _add(samples, total)
    return Counted(**total)


def _add(samples: Iterable[tuple[str, dict[str, str], float]], total: dict[str, float]) -> None:
    for name, labels, value in samples:
        if name in ("rapport_request_seconds_sum", "rapport_request_seconds_count", "rapport_requests_total"):
            route = labels.get("route", "")
            if not route or route.startswith(_NO_WORK):
                continue
        match name:
            case "rapport_request_seconds_sum":
                total["seconds"] += value
            case "rapport_request_seconds_count":
                total["answers"] += value
            case "rapport_requests_total" if labels.get("status", "").startswith("5"):
                total["failed"] += value
            case "rapport_queue_seconds_sum":
                total["waited"] += value
            case "rapport_queue_seconds_count":
                total["calls"] += value
            case "rapport_messages_total":
                total["messages"] += value


def memory_share(processes: Iterable[int], most: int | None = None) -> float | None:
    """What these processes have for themselves, as a share of `most` bytes, or of what they have and what is free.

    None where the system does not tell, which is everywhere but on Linux.
    """
    own, page = 0, os.sysconf("SC_PAGE_SIZE")
    for process in processes:
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            _, resident, shared = Path(f"/proc/{process}/statm").read_text().split()[:3]
            own += max(0, int(resident) - int(shared)) * page
    if not own:
        return None
    if most is not None:
        return own / most
    free = _free()
    return None if free is None else own / (own + free)


def _free() -> int | None:
    """Bytes that may still be had, of the machine and of the container."""
    found = []
    with contextlib.suppress(OSError, StopIteration):
        line = next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemAvailable:"))
        found.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most, now = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        if most < _UNLIMITED:
            found.append(max(0, most - now))
    return min(found, default=None)


def disk_share(folder: Path) -> float | None:
    """How full the disk with the folder is; None where it does not say."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    whole = disk.used + disk.free
    return disk.used / whole if whole else None


class Sample(NamedTuple):
    """Of one moment."""

    counted: Counted
    memory: float | None
    disk: float | None


class Sampler:
    """Takes samples of a service: `sampler()`.

    processes are asked once a minute, since to find them is what costs most.
    """

    def __init__(
        self, folder: Path, processes: Callable[[], list[int]], *, memory: int | None = None, every: int = 6
    ) -> None:
        """folder: of the data. memory: bytes that the processes may have."""
        self._folder, self._processes, self._memory, self._every = folder, processes, memory, every
        self._known: list[int] = []
        self._n = 0

    def __call__(self) -> Sample:
        if self._n % self._every == 0:
            self._known = self._processes()
        self._n += 1
        memory = memory_share(self._known, self._memory)
        return Sample(counted(self._folder / metrics.FOLDER), memory, disk_share(self._folder))
