"""The separator that is shipped: small, and of use."""

import numpy as np
import pytest

from dialog.corpora.recordings import TEST, VALIDATION
from dialog.speech.separation import Separator
from models.catalogue import VOICES, WEIGHTS, shipped


@pytest.fixture(scope="module")
def separator() -> Separator:
    return Separator.load(device="cpu")


def test_it_is_small_and_says_what_it_is_worth() -> None:
    assert (WEIGHTS / VOICES / "model.safetensors").stat().st_size < 8_000_000
    card = next(one for one in shipped() if one.name == VOICES)
    assert "rapport evaluate speech" in card.text
    assert card.scores["test"]["audio"]["metrics"]["si_snr_improvement"] > 0


def test_its_figures_are_of_voices_it_did_not_hear() -> None:
    card = next(one for one in shipped() if one.name == VOICES)
    heard = set(card.scores["test"]["audio"]["voices"])
    assert heard == {"/".join(voice) for voice in TEST}
    assert not heard & {"/".join(voice) for voice in VALIDATION}


def test_its_rows_add_up_to_about_the_mixture(separator: Separator) -> None:
    t = np.arange(24_000) / 8000
    buzzes = [
        np.sign(np.sin(2 * np.pi * pitch * t)) * np.sin(2 * np.pi * slow * t) ** 2
        for pitch, slow in ((110, 1), (205, 1.7))
    ]
    mixture = (0.05 * sum(buzzes)).astype(np.float32)
    voices = separator.separate(mixture, 8000)
    assert voices.shape == (2, 24_000)
    assert np.square(voices.sum(0) - mixture).mean() < 0.3 * np.square(mixture).mean()
    assert not separator.separate(np.zeros(9000, np.float32), 8000).any()
