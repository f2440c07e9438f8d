"""Voices apart: a recording of several at once as as many recordings, piece by piece, whatever its length."""

from collections.abc import Iterable, Iterator
from math import gcd
from pathlib import Path

import numpy as np
import scipy.signal
import torch
from numpy.typing import NDArray

from models import checkpoint
from models.catalogue import VOICES, path_of
from models.device import Where, device_of
from models.mossformer2 import MossFormer2, MossFormer2Config

Samples = NDArray[np.float32]

WINDOW_S = 2.0
OVERLAP_S = 1.0
"""A recording is separated in windows, each begun so long before the last one ends; on what they share it shows which
voice is which, and one is faded into the next. A window is as long as what ours learned from: of the validation voices'
mixtures of 3 s it separates 2.7 dB in one piece, and of 2 s 4.6."""
LOUDNESS_OF_SILENCE = 1e-6


class Separator:
    """separator = Separator.load()
    first, second = separator.separate(samples, rate)
    """

    def __init__(self, name: str, model: MossFormer2, *, window_s: float = WINDOW_S, overlap_s: float = OVERLAP_S):
        if not 0 < 2 * overlap_s <= window_s:
            raise ValueError(f"windows of {window_s} s cannot overlap by {overlap_s} s: at most half, and something")
        self.name, self.model = name, model
        self.rate, self.n_speakers = model.config.rate, model.config.n_speakers
        self.window, self.overlap = int(window_s * self.rate), int(overlap_s * self.rate)

    @classmethod
    def load(cls, name: str | Path = VOICES, *, device: Where = None) -> "Separator":
        """A shipped model by name, or a folder. Raises UnknownModel or CheckpointError."""
        folder = path_of(str(name))
        return cls(str(name), checkpoint.load(folder, MossFormer2, MossFormer2Config, device=device))

    def separate(self, samples: Samples, rate: int) -> Samples:
        """(n,) samples, full scale 1, at any rate, to voices (K, n) at that rate.

        What the network hears and answers is at its own rate, 8 kHz for ours, so voices have nothing above 4 kHz. Each
        is as loud as it is in the mixture, as far as their sum can be the mixture. Raises ValueError for samples that
        are not one channel of finite numbers.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"samples are {samples.shape}, expected one channel (n,)")
        if rate < 1:
            raise ValueError(f"a rate of {rate} samples a second, expected at least 1")
        common = gcd(rate, self.rate)
        up, down = self.rate // common, rate // common
        mixture = _resampled(_checked(samples), up, down)
        parts = list(self.stream([mixture]))
        voices = np.concatenate(parts, 1) if parts else np.zeros((self.n_speakers, 0), np.float32)
        voices = _resampled(voices, down, up)[:, : len(samples)]
        return np.pad(voices, ((0, 0), (0, len(samples) - voices.shape[1])))

    def stream(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Blocks (m,) of a recording at the model's own rate to pieces (K, m') of its voices, as long in all.

        A voice keeps its row from the first piece to the last. Two windows are held, however long the recording is.
        Raises ValueError for a block that is not one channel of finite numbers.
        """
        held = np.zeros(0, np.float32)
        last: _Tail | None = None
        for block in blocks:
            held = np.concatenate([held, _checked(block)])
            while len(held) >= self.window + self.overlap:  # so that what is left at the end is a window at least
                piece, last = self._next(held[: self.window], last, self.overlap)
                yield piece
                held = held[self.window - self.overlap :]
        if len(held) > self.window:  # the last window is whole, and overlaps the one before by more
            piece, last = self._next(held[: self.window], last, 2 * self.window - len(held))
            yield piece
            held = held[-self.window :]
        if len(held):
            piece, last = self._next(held, last, min(self.overlap, len(held)))
            yield piece
            yield last.voices

    def _next(self, window: Samples, last: "_Tail | None", overlap: int) -> tuple[Samples, "_Tail"]:
        """What of a window is settled, and its end, into which the next one is faded."""
        voices = self._separated(window)
        signature = _signature(voices)
        if last is not None:
            n = last.voices.shape[1]
            order = _order(last, voices[:, :n], signature)
            voices, signature = voices[order], signature[order]
            rise = np.linspace(0, 1, n, dtype=np.float32)
            voices[:, :n] = rise * voices[:, :n] + (1 - rise) * last.voices
            signature = last.signature + signature
        end = voices.shape[1] - overlap
        return voices[:, :end], _Tail(voices[:, end:], signature)

    @torch.inference_mode()
    def _separated(self, window: Samples) -> Samples:
        """(n,) to (K, n), scaled so that the sum comes as near to the mixture as it can."""
        size = float(np.sqrt(np.mean(window**2)))
        if size < LOUDNESS_OF_SILENCE:
            return np.zeros((self.n_speakers, len(window)), np.float32)
        mixture = torch.from_numpy(window * np.float32(0.1 / size)).to(device_of(self.model))
        voices = self.model(mixture[None])[0].float().cpu().numpy().astype(np.float64)
        gram = voices @ voices.T
        gram += np.eye(len(gram)) * (1e-3 * np.trace(gram) / len(gram) + 1e-12)
        scale = np.linalg.solve(gram, voices @ window.astype(np.float64)).clip(min=0)
        found: Samples = (scale[:, None] * voices).astype(np.float32)
        return found


class _Tail:
    """The end of what was separated, and what its voices have sounded like."""

    def __init__(self, voices: Samples, signature: NDArray[np.float64]) -> None:
        self.voices, self.signature = voices, signature


def _order(last: _Tail, head: Samples, signature: NDArray[np.float64]) -> list[int]:
    """Which new voice continues each old one: by what they share, and by their spectra where that is silence."""
    from scipy.optimize import linear_sum_assignment

    alike = _cosines(last.voices.astype(np.float64), head.astype(np.float64))
    alike = alike + 0.1 * _cosines(last.signature, signature)
    _, columns = linear_sum_assignment(-alike)
    return [int(i) for i in columns]


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    sizes = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a @ b.T) / (sizes + 1e-9)
    return cosines


def _signature(voices: Samples) -> NDArray[np.float64]:
    """The power spectrum (K, F) of each voice over the window, its square root: what its sound is like, roughly."""
    n = 256
    voices = np.pad(voices, ((0, 0), (0, -voices.shape[1] % n)))
    power = np.abs(np.fft.rfft(voices.reshape(len(voices), -1, n) * np.hanning(n), axis=-1)) ** 2
    found: NDArray[np.float64] = np.sqrt(power.sum(1))
    return found


def _checked(samples: Samples) -> Samples:
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1:
        raise ValueError(f"samples are {samples.shape}, expected one channel (n,)")
    if not np.isfinite(samples).all():
        raise ValueError(f"{int((~np.isfinite(samples)).sum())} samples are no finite numbers")
    return samples


def _resampled(samples: Samples, up: int, down: int) -> Samples:
    if up == down or not samples.shape[-1]:
        return samples
    found: Samples = scipy.signal.resample_poly(samples, up, down, axis=-1).astype(np.float32)
    return found
