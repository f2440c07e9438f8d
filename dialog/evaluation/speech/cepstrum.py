"""Mean and spread of the cepstrum: what a voice sounds like without anything learned, to compare with."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from transformers.audio_utils import mel_filter_bank

from dialog.corpora.recordings import RATE

_FRAME, _HOP, _N_FFT, _BANDS, _COEFFICIENTS = RATE // 40, RATE // 100, 256, 40, 19
_FILTERS = mel_filter_bank(_N_FFT // 2 + 1, _BANDS, 80.0, 3800.0, RATE, norm="slaney", mel_scale="slaney")


def cepstrum(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T, 19) mel-frequency cepstral coefficients, 10 ms apart and without the loudness, of samples (n,) at RATE."""
    frames = np.lib.stride_tricks.sliding_window_view(_padded(samples), _FRAME)[::_HOP] * np.hamming(_FRAME)
    power = np.abs(np.fft.rfft(frames, _N_FFT)) ** 2 @ _FILTERS
    return np.asarray(dct(np.log(power + 1e-8), norm="ortho")[:, 1 : _COEFFICIENTS + 1])


def statistics(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """(38,) mean and spread of the cepstrum where samples (n,) are loud."""
    frames = np.lib.stride_tricks.sliding_window_view(_padded(samples), _FRAME)[::_HOP]
    loud = frames.astype(np.float64).std(1)
    kept = cepstrum(samples)[loud >= np.median(loud) * 0.5]
    return np.concatenate([kept.mean(0), kept.std(0)])


def _padded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(samples, (0, max(0, _FRAME - len(samples))))
