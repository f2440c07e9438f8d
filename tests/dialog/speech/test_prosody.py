"""What is measured of a voice is what was put into it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dialog.speech.prosody import N_MEASURES, RATE, SIZES, measures, track
from tests.dialog.voices import hum


def group(found: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """The numbers of one group."""
    names = list(SIZES)
    start = sum(SIZES[one] for one in names[: names.index(name)])
    return found[start : start + SIZES[name]]


@settings(max_examples=25, deadline=None)
@given(st.floats(75, 450), st.floats(0.01, 1.0))
def test_a_pitch_is_found_whatever_its_loudness(hertz: float, gain: float) -> None:
    found = track(hum(hertz, 0.6) * np.float32(gain))
    assert found.voiced_seconds > 0.3
    assert np.median(found.hertz[found.voiced]) == pytest.approx(hertz, rel=0.02)


def test_noise_and_silence_have_no_voice() -> None:
    rng = np.random.default_rng(0)
    for samples in (np.zeros(RATE), rng.standard_normal(RATE), 1e-4 * rng.standard_normal(RATE)):
        assert track(samples.astype(np.float32)).voiced_seconds < 0.05


@pytest.mark.parametrize("n", [0, 1, 33, 399, 401, 8000])
@pytest.mark.parametrize("of", ["silence", "noise", "a click"])
def test_there_are_as_many_numbers_of_any_sound_and_all_are_finite(n: int, of: str) -> None:
    samples = np.zeros(n, np.float32)
    if of == "noise":
        samples = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    elif n:
        samples[n // 2] = of == "a click"
    found = measures(samples)
    assert found.shape == (N_MEASURES,)
    assert np.isfinite(found).all()


def test_nothing_changes_with_the_loudness() -> None:
    one = hum(140, 1.5)
    np.testing.assert_allclose(measures(one * np.float32(0.2)), measures(one), atol=2e-2)


def test_a_higher_voice_a_rising_voice_and_a_faster_one_are_told() -> None:
    low, high = (group(measures(hum(hertz, 1.0)), "pitch") for hertz in (110, 220))
    assert high[2] - low[2] == pytest.approx(12, abs=0.3)  # an octave has twelve semitones
    t = np.arange(RATE) / RATE
    rising = np.sin(2 * np.pi * np.cumsum(120 * 2**t) / RATE).astype(np.float32) * 0.3
    assert group(measures(rising), "pitch")[-1] == pytest.approx(12, abs=1.5)  # semitones a second
    slow, quick = (group(measures(np.tile(hum(150, length), round(2 / length))), "pace") for length in (1 / 3, 1 / 7.5))
    assert slow.argmax() < quick.argmax()
