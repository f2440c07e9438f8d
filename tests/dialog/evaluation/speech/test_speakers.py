"""`rapport evaluate speakers`: error rates are what they are defined as, and hums of two pitches are told apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.evaluation.speech.cepstrum import cepstrum, statistics
from dialog.evaluation.speech.speakers import (
    equal_error_rate,
    error_rate_of,
    evaluate_speakers,
    right_numbers,
    windows,
    wrong_share,
)
from tests.dialog.voices import hum, write_recordings


def test_hums_are_measured_beside_the_cepstrum(tmp_path: Path) -> None:
    pitches = {("fsdd", "nicolas"): 110.0, ("fsdd", "a"): 170.0, ("emodb", "03"): 320.0}
    folder = write_recordings(tmp_path / "audio", pitches)
    result = evaluate_speakers([folder], count=1)
    told = {"equal_error_rate", "wrong_speaker_2", "wrong_speaker_3"}
    assert result["baselines"]["cepstrum"].keys() == told
    assert result["metrics"].keys() == told | {"right_number", *(f"right_number_{n}" for n in (1, 2, 3))}
    assert [sum(found.values()) for found in result["numbers"].values()] == [1, 1, 1]
    assert all(0 <= value <= 1 for value in result["metrics"].values())
    assert evaluate_speakers([folder], part="test", count=1)["voices"] == ["emodb/03", "fsdd/nicolas"]
    with pytest.raises(ValueError, match="has 1 voices for train, expected two"):
        evaluate_speakers([folder], part="train")
    with pytest.raises(ValueError, match="part is 'dev'"):
        evaluate_speakers([folder], part="dev")


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_an_equal_error_rate_is_between_none_and_all(same: list[float], different: list[float]) -> None:
    assert 0 <= equal_error_rate(np.array(same), np.array(different)) <= 1


def test_numbers_are_right_where_they_are_the_true_ones() -> None:
    shares = right_numbers({1: [1, 1], 2: [2, 1], 3: [2, 2], 4: [4, 3]})
    assert shares == {
        **{"right_number": 0.5, "right_number_1": 1.0, "right_number_2": 0.5},
        **{"right_number_3": 0.0, "right_number_4": 0.5},
    }


def test_equal_error_rates_of_known_scores() -> None:
    assert equal_error_rate(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == 0
    assert equal_error_rate(np.array([0.1, 0.2]), np.array([0.8, 0.9])) == 1
    assert equal_error_rate(np.array([0.2, 0.6, 0.7, 0.8]), np.array([0.1, 0.3, 0.4, 0.65])) == 0.25


def test_prints_are_compared_by_their_directions() -> None:
    prints = np.array([[1.0, 0], [5.0, 0.1], [0, 2.0], [0.1, 9.0]])
    assert error_rate_of(prints, np.array([0, 0, 1, 1])) == 0
    assert error_rate_of(prints, np.array([0, 1, 0, 1])) > 0.4


def test_time_is_wrong_where_another_is_said_to_speak() -> None:
    speaker = np.repeat([0, 1, 0, 1], 40_000)  # 5 s each
    n = len(windows(np.zeros(len(speaker), np.float32)))
    middles = np.arange(n) * 4000 + 6000
    right = speaker[np.minimum(middles, len(speaker) - 1)]
    assert wrong_share(right, speaker) < 0.06
    assert wrong_share(1 - right, speaker) < 0.06  # names do not matter
    assert wrong_share(np.zeros(n, int), speaker) == pytest.approx(0.5, abs=0.01)


def test_a_cepstrum_knows_a_vowel_whatever_its_loudness() -> None:
    one, other = hum(120, 1.0), hum(240, 1.0)
    np.testing.assert_allclose(cepstrum(one * 0.5)[30:60].mean(0), cepstrum(one)[30:60].mean(0), atol=0.5)
    assert np.abs(statistics(other) - statistics(one)).max() > 1
    assert statistics(one[:50]).shape == (38,)
