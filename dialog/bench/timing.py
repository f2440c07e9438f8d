"""Seconds, measured side by side."""

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialog.emotion.tagger import EmotionTagger
from dialog.reading.encoding import ConversationEncoder


def side_by_side(
    runs: Sequence[Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """The median seconds of each run. They take turns, so that a busy spell of the machine falls on all of them.

    Each is run once before the clock starts; a card has finished before it stops.
    """
    for run in runs:
        run()
    _wait()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, taken in zip(runs, seconds, strict=True):
            start = clock()
            run()
            _wait()
            taken.append(clock() - start)
    return [statistics.median(taken) for taken in seconds]


def kept_bytes(forward: Callable[[], Tensor], without: Iterable[Tensor] = ()) -> int:
    """Bytes of the tensors that the backward pass of a call keeps, each storage once and those of `without` not."""
    own = {z.untyped_storage().data_ptr() for z in without}
    kept: dict[int, int] = {}

    def keep(z: Tensor) -> Tensor:
        kept[z.untyped_storage().data_ptr()] = z.untyped_storage().nbytes()
        return z

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda z: z):
        y = forward()
    del y
    return sum(size for place, size in kept.items() if place not in own)


def without_cache(tagger: EmotionTagger) -> EmotionTagger:
    """The same model with a cache that holds nothing, so that a repeat costs what the first run did."""
    same = tagger.encoder
    encoder = ConversationEncoder(same.encoder, same.layout, cache_bytes=0, version=same.version)
    return EmotionTagger(tagger.name, tagger.version_alone, tagger.config, encoder, tagger.context, tagger.causes)


def row(name: str, ours: float, peer: str, theirs: float, **more: Any) -> dict[str, Any]:
    """One row of a suite: seconds of ours and of the peer's, and ours to the peer's."""
    return {"name": name, "seconds": ours, "peer": peer, "peer_seconds": theirs, "ratio": ours / theirs, **more}


def suite(name: str, rows: Sequence[dict[str, Any]], where: torch.device | None = None, **more: Any) -> dict[str, Any]:
    """The object `rapport bench --json` prints, of what ran on that device, the CPU unless it is given."""
    device = torch.cuda.get_device_name(where) if where is not None and where.type == "cuda" else _processor()
    return {"suite": name, "device": device, "threads": torch.get_num_threads(), **more, "rows": list(rows)}


def _wait() -> None:
    """Until a card has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
