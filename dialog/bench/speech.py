"""`rapport bench speech`: seconds of work a second of sound, on one core."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dialog.bench.timing import suite
from dialog.speech.separation import Separator
from models.catalogue import VOICES
from models.device import Where, choose_device
from models.mossformer2 import MossFormer2, MossFormer2Config

RATES = (8000, 48_000)


def measure(
    *,
    model: str | Path = VOICES,
    seconds: float = 20.0,
    repeats: int = 3,
    published: MossFormer2Config | None = None,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench speech --json`.

    A row a rate of the recording: `ratio` is the real-time factor, the least seconds of processor that separating so
    many seconds of sound took, by those; less is better, and below 1 it keeps up. One thread. The peer is the sound's
    own length, and in the last row the network of the published size, 55.7 M parameters, not trained, on one second.
    """
    where = choose_device(device)
    separator = Separator.load(model, device=where)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = []
        for rate in RATES:
            sound = _sound(seconds, rate)
            took = _least(lambda sound=sound, rate=rate: separator.separate(sound, rate), repeats)
            rows.append(
                {
                    "name": f"separate, {rate} Hz",
                    "seconds": took,
                    "peer": "the sound's length",
                    "peer_seconds": seconds,
                    "ratio": took / seconds,
                    "parameters": _size(separator.model),
                }
            )
        whole = Separator("published", MossFormer2(published or MossFormer2Config()).eval().to(where))
        theirs = _least(lambda: whole.separate(_sound(1.0, whole.rate), whole.rate), 1)
        ours = _least(lambda: separator.separate(_sound(1.0, separator.rate), separator.rate), repeats)
        rows.append(
            {
                "name": "one second at 8000 Hz, against the published size",
                "seconds": ours,
                "peer": f"{_size(whole.model):,} parameters",
                "peer_seconds": theirs,
                "ratio": ours / theirs,
                "parameters": _size(separator.model),
            }
        )
        return suite("speech", rows, where=where, clock="processor seconds" if where.type == "cpu" else "seconds")
    finally:
        torch.set_num_threads(n_threads)


def _sound(seconds: float, rate: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal(int(seconds * rate)).astype(np.float32) * np.float32(0.1)


def _least(run: Any, repeats: int) -> float:
    run()
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        run()
        taken.append(time.process_time() - begun)
    return min(taken)


def _size(model: MossFormer2) -> int:
    return sum(p.numel() for p in model.parameters())
