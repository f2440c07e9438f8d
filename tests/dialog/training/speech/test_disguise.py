"""One voice as another: pitch, formants, microphone and room change; length and loudness do not."""

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from dialog.training.speech.disguise import Disguise, bent, disguised, reverberated
from models.mossformer2.si_snr import si_snr
from tests.dialog.speech.voices_made import said
from tests.dialog.voices import hum

FLAT = np.zeros(5)


def _voice(seconds: float = 1.0) -> np.ndarray:
    return said((160, 1.0), seconds, rate=8000).astype(np.float32)


@pytest.mark.parametrize("n", [1, 63, 64, 257, 8000])
def test_what_is_not_bent_comes_back(n: int) -> None:
    sound = _voice()[:n]
    np.testing.assert_allclose(bent(sound, 1.0, FLAT), sound, atol=1e-5)


def test_formants_move_and_the_pitch_stays() -> None:
    sound = _voice(2.0)
    moved = bent(sound, 1.15, FLAT)

    def spectrum(x: np.ndarray) -> np.ndarray:
        return np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2

    def centre(x: np.ndarray) -> float:
        power = spectrum(x)
        return float((power * np.arange(len(power))).sum() / power.sum())

    def pitch(x: np.ndarray) -> float:
        cut = x[4000:6000]
        alike = np.correlate(cut, cut, "full")[len(cut) - 1 :]
        peaks, _ = find_peaks(alike[25:120])
        return 8000 / (25 + peaks[np.argmax(alike[25:120][peaks])])

    assert centre(moved) > 1.04 * centre(sound)
    assert pitch(moved) == pytest.approx(pitch(sound), rel=0.04)


def test_a_microphone_colours() -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    dark = bent(noise, 1.0, np.array([12.0, 0, 0, 0, 0]))  # the first wave falls from 12 dB to -12
    power = np.abs(np.fft.rfft(dark)) ** 2
    below, above = power[:1000].mean(), power[-1000:].mean()
    assert 15 < 10 * np.log10(below / above) < 30


def test_a_disguise_is_as_long_as_asked_for_and_drawn_by_its_seed() -> None:
    how = Disguise(bent=1.0, reverberant=1.0, noisy=1.0)
    one, same, other = (disguised(np.random.default_rng(seed), _voice(), 7000, how) for seed in (0, 0, 1))
    assert (one.shape, one.dtype) == ((7000,), np.float32)
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_silence_stays_finite() -> None:
    how = Disguise(bent=1.0, reverberant=1.0, noisy=0.0)
    assert np.abs(disguised(np.random.default_rng(0), np.zeros(5000, np.float32), 4000, how)).max() < 1e-6


def test_a_room_keeps_what_was_said_and_its_length() -> None:
    sound = hum(140, 0.5)
    echoed = reverberated(np.random.default_rng(0), sound)
    assert echoed.shape == sound.shape
    assert -15 < float(si_snr(torch.from_numpy(echoed), torch.from_numpy(sound))) < 60
