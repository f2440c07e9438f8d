"""One voice as many: pitch, length of the vocal tract, microphone, room and noise, drawn anew each time it is heard."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from dialog.corpora.mixtures import Samples, level
from dialog.corpora.recordings import RATE

FRAME, HOP = 256, 64
"""Samples of a frame of the spectrum that is bent, and from one to the next."""
ENVELOPE = 18
"""Cepstral coefficients of what the vocal tract does; pitches up to 440 Hz lie above them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disguise:
    """How far a voice may be taken from itself. Ranges are factors, shares are how often."""

    speed: tuple[float, float] = (0.8, 1.25)
    """A recording is played this much faster: pitch and formants move together."""
    formants: tuple[float, float] = (0.85, 1.18)
    """Formants alone move by this much, as in a longer or a shorter vocal tract (Jaitly and Hinton 2013)."""
    bent: float = 0.8
    """How often formants move and the microphone colours; a Fourier transform there and back."""
    colour_db: float = 5.0
    """Spread of what a microphone adds or takes away, a slow curve over frequency."""
    reverberant: float = 0.12
    noisy: float = 0.25
    noise_db: tuple[float, float] = (15.0, 45.0)
    """How far the noise lies below the voice."""


def disguised(rng: np.random.Generator, said: Samples, n: int, how: Disguise) -> Samples:
    """Samples (m,) of one voice as n of another: all of them, in n samples' time."""
    heard: Samples = scipy.signal.resample(said, n).astype(np.float32)
    if rng.random() < how.bent:
        heard = bent(heard, rng.uniform(*how.formants), rng.normal(0, how.colour_db, 5))
    if rng.random() < how.reverberant:
        heard = reverberated(rng, heard)
    if rng.random() < how.noisy:
        heard = level(heard, -23) + level(_noise(rng, n), -23 - rng.uniform(*how.noise_db))
    return heard


def bent(samples: Samples, formants: float, colour_db: NDArray[np.float64]) -> Samples:
    """Samples (n,) with the spectrum's envelope stretched by `formants`, its pitch as it was, and coloured.

    The envelope is the spectrum's first ENVELOPE cepstral coefficients, frame by frame. colour_db (k,): decibels of the
    first waves of a cosine series over frequency.
    """
    n = len(samples)
    window = scipy.signal.get_window("hann", FRAME).astype(np.float32)
    padded = np.pad(samples.astype(np.float32), (FRAME, FRAME + -n % HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * window
    spectrum = scipy.fft.rfft(frames, axis=1)  # (T, F)
    cepstrum = scipy.fft.irfft(np.log(np.abs(spectrum) + 1e-5), axis=1)
    cepstrum[:, ENVELOPE : FRAME - ENVELOPE + 1] = 0
    envelope = scipy.fft.rfft(cepstrum, axis=1).real
    bins = np.arange(envelope.shape[1])
    at = np.minimum(bins / formants, len(bins) - 1.001)
    below = at.astype(int)
    share = (at - below).astype(np.float32)
    moved = (1 - share) * envelope[:, below] + share * envelope[:, below + 1]
    waves = np.cos(np.pi * np.arange(1, len(colour_db) + 1)[:, None] * bins / len(bins))
    colour = (colour_db / np.arange(1, len(colour_db) + 1)) @ waves * (np.log(10) / 20)
    gain = np.exp(np.clip(moved - envelope, -3, 3) + colour.astype(np.float32))
    frames = scipy.fft.irfft(spectrum * gain, axis=1) * window
    # Overlapped and added: frames whose starts differ by a whole FRAME lie side by side.
    total = np.zeros(len(padded) + FRAME, np.float32)
    for k in range(FRAME // HOP):
        row = frames[k :: FRAME // HOP].ravel()
        total[k * HOP : k * HOP + len(row)] += row
    heard: Samples = total[FRAME : FRAME + n] / np.float32(1.5)  # four squared Hann windows add up to 1.5
    return heard


def reverberated(rng: np.random.Generator, samples: Samples) -> Samples:
    """A room by rule: the sound itself, then noise that falls by 60 dB in 0.1 to 0.4 s."""
    seconds = rng.uniform(0.1, 0.4)
    n = int(seconds * RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.05, 0.25)
    tail[: int(0.002 * RATE)] = 0
    tail[0] = 1.0
    heard: Samples = scipy.signal.fftconvolve(samples, tail)[: len(samples)].astype(np.float32)
    return heard


def _noise(rng: np.random.Generator, n: int) -> Samples:
    """White, or falling with frequency."""
    noise = rng.standard_normal(n).astype(np.float32)
    if rng.random() < 0.5:
        noise = scipy.signal.lfilter([1], [1, -0.95], noise).astype(np.float32)
    return noise
