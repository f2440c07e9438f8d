"""How many people speak: groups that lie apart are counted, and what is shipped says what it was learned over."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dialog.speech.counting import FILE, MEASURES, MOST_SPEAKERS, Counting, length_of, measured
from dialog.speech.voices import clustered, groupings
from dialog.training.speech.speakers import SpeakersRecipe, learn
from models.catalogue import VOICEPRINTS, path_of
from models.checkpoint import CheckpointError


def prints_of(n: int, seed: int, spread: float = 0.08, windows: int = 40) -> NDArray[np.float64]:
    """Voiceprints (W, D) of n voices in turns, each round a direction of its own."""
    rng = np.random.default_rng((n, seed))
    voices = np.linalg.qr(rng.standard_normal((24, n)))[0].T
    found = voices[np.arange(windows) // 4 % n] + spread * rng.standard_normal((windows, 24))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def counting() -> Counting:
    return learn(SpeakersRecipe(), [(n, prints_of(n, i)) for n in range(1, 5) for i in range(12)])


def test_what_was_learned_counts_voices_it_has_not_heard(counting: Counting) -> None:
    for n in range(1, MOST_SPEAKERS + 1):
        assert [len(set(clustered(prints_of(n, 100 + i), None, counting).tolist())) for i in range(4)] == [n] * 4


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(2, 60), st.integers(0, 9))
def test_however_short_a_talk_is_there_is_a_number(n: int, windows: int, seed: int) -> None:
    prints = prints_of(n, seed, windows=windows)
    found = groupings(prints)
    assert measured(prints, found).shape == (MOST_SPEAKERS - 1, len(MEASURES))
    assert 1 <= Counting.load()(prints, found) <= min(MOST_SPEAKERS, windows)


def test_the_order_of_what_is_said_does_not_matter(counting: Counting) -> None:
    prints = prints_of(3, 5)
    shuffled = prints[np.random.default_rng(0).permutation(len(prints))]
    assert counting(prints, groupings(prints)) == counting(shuffled, groupings(shuffled)) == 3


def test_a_length_beyond_what_was_heard_says_no_more() -> None:
    assert length_of(40) == 0
    assert length_of(1) == -length_of(10_000) < 0


def test_what_does_not_fit_the_voiceprints_is_refused(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(path_of(VOICEPRINTS) / name, tmp_path)
    with pytest.raises(CheckpointError, match="cannot read"):
        Counting.load(tmp_path)
    whole = Counting.load()
    replace(whole, voiceprints="0" * 12).save(tmp_path)
    with pytest.raises(CheckpointError, match="train it anew"):
        Counting.load(tmp_path)
    for broken in ({"mean": [1.0]}, {"colour": "red"}, [1, 2]):
        (tmp_path / FILE).write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match="does not say how to count"):
            Counting.load(tmp_path)
    with pytest.raises(ValueError, match="expected 4 and 3"):
        replace(whole, bias=(1.0,))
