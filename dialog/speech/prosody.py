"""How something is said, in numbers: the pitch, loudness, pace, cepstrum and spectrum of a stretch of speech.

Nothing here is learned, and nothing changes with how loud the recording is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, irfft, rfft, rfftfreq
from scipy.ndimage import median_filter
from scipy.signal import get_window
from transformers.audio_utils import mel_filter_bank

Floats = NDArray[np.float64]

RATE = 8000
"""Samples a second of what is measured: the band of a telephone, which every recording has."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
"""Of a pitch."""
VOICED = 0.5
"""How periodic a frame is at least, of 1, that counts as voiced."""
SIZES = {"pitch": 10, "loudness": 10, "voicing": 8, "pace": 7, "cepstrum": 76, "spectrum": 22}
"""What is measured, in this order, and in how many numbers."""
N_MEASURES = sum(SIZES.values())

_HOP_S = 0.01
_HOP = int(RATE * _HOP_S)
_PITCH_FRAME, _PITCH_FFT, _FINER = RATE // 20, 1024, 4
_FRAME, _FFT, _MEL, _COEFFICIENTS = RATE // 40, 256, 26, 19
_QUIET_DB, _SOFT_DB = -30.0, -15.0
"""Below the loudest frames: what is no voice, and what says little of a spectrum."""
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
_OCTAVE_COST = 0.02
_BANDS, _BAND = 16, 8  # of so many bins each
_RHYTHMS_HZ = ((0.5, 2), (2, 4), (4, 6), (6, 9), (9, 14), (14, 25), (25, 50))
_FILTERS = mel_filter_bank(_FFT // 2 + 1, _MEL, 80.0, 3800.0, RATE, norm="slaney", mel_scale="slaney")


class Track(NamedTuple):
    """Every hundredth of a second: pitch in Hz, how periodic it is up to 1, how loud in dB, whether it is a voice."""

    hertz: Floats
    clarity: Floats
    decibels: Floats
    voiced: NDArray[np.bool_]

    @property
    def voiced_seconds(self) -> float:
        """How long a voice is heard."""
        return float(self.voiced.sum()) * _HOP_S


def track(samples: NDArray[np.float32]) -> Track:
    """The pitch of samples (n,) at RATE: the highest peak of the autocorrelation, over that of the window, of frames of
    50 ms (Boersma 1993, eq. 9), an octave lower only where that is clearer (eq. 26); smoothed over 50 ms."""
    window = get_window("hann", _PITCH_FRAME, fftbins=False)
    frames = _frames(samples, _PITCH_FRAME)
    windowed = (frames - frames.mean(1, keepdims=True)) * window
    first, last = int(RATE * _FINER / HIGHEST_HZ), int(RATE * _FINER / LOWEST_HZ)
    heights = _autocorrelation(windowed)[:, : last + 1] / _autocorrelation(window[None])[:, : last + 1]
    at = np.arange(first, last + 1)
    best = first + (heights[:, first:] - _OCTAVE_COST * np.log2(at / first)).argmax(1)
    clarity = np.clip(heights[np.arange(len(best)), best], 0.0, 1.0)
    decibels = 10 * np.log10((windowed**2).mean(1) + 1e-10)
    loud = decibels > np.quantile(decibels, 0.95) + _QUIET_DB
    hertz = median_filter(RATE * _FINER / best, 5, mode="nearest")
    return Track(hertz, clarity, decibels, (clarity > VOICED) & loud)


def _autocorrelation(frames: Floats) -> Floats:
    """(T, lags) of frames (T, n), 1 at lag 0, _FINER lags a sample: between two samples a high voice has its peak."""
    power = np.abs(rfft(frames, _PITCH_FFT)) ** 2
    lags = irfft(power, _PITCH_FFT * _FINER)
    return np.asarray(lags / (lags[:, :1] + 1e-12))


def measures(samples: NDArray[np.float32], found: Track | None = None) -> Floats:
    """(N_MEASURES,) of samples (n,) at RATE, full scale 1, in groups as SIZES says. found: their track, if known."""
    t = track(samples) if found is None else found
    power = np.abs(rfft(_frames(samples, _FRAME) * np.hamming(_FRAME), _FFT)) ** 2  # (T, F)
    level = 10 * np.log10(power.sum(1) + 1e-10)
    loud = level > np.quantile(level, 0.95) + _SOFT_DB
    return np.concatenate(
        [_pitch(t), _loudness(t), _voicing(t), _pace(t), _cepstrum(power, loud), _spectrum(power[loud])]
    )


def _pitch(t: Track) -> Floats:
    """In semitones above 100 Hz: quantiles, spread, steps from frame to frame, range, and slope a second."""
    if t.voiced.sum() < 3:
        return np.zeros(SIZES["pitch"])
    tones = 12 * np.log2(t.hertz / 100)
    here, steps = tones[t.voiced], _steps(tones, t.voiced)
    slope = np.polyfit(np.flatnonzero(t.voiced) * _HOP_S, here, 1)[0]
    told = (here.std(), np.minimum(steps, 6).mean(), np.median(steps), np.ptp(here), slope)
    return np.array([*np.quantile(here, _SHARES), *told])


def _loudness(t: Track) -> Floats:
    """In dB below the loudest: quantiles, spread, and how it rises and falls from frame to frame."""
    level = _below_the_loudest(t, -50.0)
    steps = np.diff(level) if len(level) > 1 else np.zeros(1)
    told = (level.std(), np.abs(steps).mean(), np.abs(steps).std(), *np.quantile(steps, (0.95, 0.05)))
    return np.array([*np.quantile(level, _SHARES), *told])


def _voicing(t: Track) -> Floats:
    """Share of voiced frames, how clear they are, how long and how many their runs, how unsteady their loudness."""
    if not t.voiced.any():
        return np.zeros(SIZES["voicing"])
    edges = np.flatnonzero(np.diff(np.concatenate(([0], t.voiced.astype(np.int8), [0]))))
    runs = (edges[1::2] - edges[::2]) * _HOP_S
    clear, unsteady = t.clarity[t.voiced], _steps(t.decibels, t.voiced)
    rate = len(runs) / (len(t.voiced) * _HOP_S)
    told = (t.voiced.mean(), clear.mean(), clear.std(), runs.mean(), runs.std(), rate)
    return np.array([*told, unsteady.mean(), np.median(unsteady)])


def _pace(t: Track) -> Floats:
    """How much of the loudness's movement is at the rhythm of phrases, words, syllables and faster; logarithms."""
    level = _below_the_loudest(t, -40.0)
    moving = (level - level.mean()) * np.hanning(len(level))
    n = max(1024, 1 << (len(moving) - 1).bit_length())
    strength = np.abs(rfft(moving, n)) ** 2
    at = rfftfreq(n, _HOP_S)
    shares = [strength[(at >= low) & (at < high)].sum() for low, high in _RHYTHMS_HZ]
    return np.asarray(np.log(np.array(shares) / (strength.sum() + 1e-9) + 1e-4))


def _cepstrum(power: Floats, loud: NDArray[np.bool_]) -> Floats:
    """Of mel-frequency cepstral coefficients where it is loud: mean, spread, spread of the change over 40 ms, and its
    mean size."""
    relative = power / (power[loud].sum(1).mean() + 1e-12)
    found = dct(np.log(relative @ _FILTERS + 1e-6), norm="ortho")[:, 1 : _COEFFICIENTS + 1]
    change, here = found[4:] - found[:-4], loud[2:-2]
    change = change[here] if here.any() else np.zeros((1, _COEFFICIENTS))
    kept = found[loud]
    return np.concatenate([kept.mean(0), kept.std(0), change.std(0), np.abs(change).mean(0)])


def _spectrum(power: Floats) -> Floats:
    """Of loud frames: the share of each band in logarithms, the centre of gravity, and how fast the shape changes."""
    bands = power[:, : _BANDS * _BAND].reshape(len(power), _BANDS, _BAND).sum(2).mean(0)
    whole = power.sum(1, keepdims=True) + 1e-12
    centre = (power * np.arange(power.shape[1])).sum(1) / whole[:, 0]
    flux = np.sqrt((np.diff(power / whole, axis=0) ** 2).sum(1)) if len(power) > 1 else np.zeros(1)
    told = (centre.mean(), centre.std(), *np.quantile(centre, (0.1, 0.9)), flux.mean(), flux.std())
    return np.array([*np.log(bands / (bands.sum() + 1e-12) + 1e-6), *told])


def _steps(values: Floats, voiced: NDArray[np.bool_]) -> Floats:
    """(k,) how far it is from each voiced frame to a voiced one after it; at least one number."""
    both = voiced[1:] & voiced[:-1]
    return np.abs(np.diff(values))[both] if both.any() else np.zeros(1)


def _below_the_loudest(t: Track, floor: float) -> Floats:
    return np.maximum(t.decibels - np.quantile(t.decibels, 0.95), floor)


def _frames(samples: NDArray[np.float32], size: int) -> Floats:
    """(T, size), a hundredth of a second apart; samples shorter than one are padded."""
    padded = np.pad(np.asarray(samples, np.float64), (0, max(0, size - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::_HOP]
