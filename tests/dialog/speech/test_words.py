"""Words heard in several stretches at once go to the stretch they were said in."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dialog.speech.recognisers import Heard, Word, Words
from dialog.speech.sound import RATE, Sound
from dialog.speech.voices import Turn
from dialog.speech.words import REST_S, Stretch, heard_in, shared


def sound_of(seconds: int) -> Sound:
    """Each second is as loud as its number, so that it can be told which was heard; channels are two."""
    numbers = np.repeat(np.arange(1, seconds + 1, dtype=np.int16), RATE) * 100
    return Sound(name="numbers", samples=np.stack([numbers, -numbers], 1))


class Numbering:
    """Hears in each second its number, and how much it was given at once."""

    name = "numbering"

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.lengths: list[float] = []

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        raise AssertionError("it was to be asked for words with times")

    def words(self, samples: NDArray[np.float32]) -> Words:
        self.lengths.append(len(samples) / RATE)
        found: list[Word] = []
        edges = [0, *(np.flatnonzero(np.diff(samples)) + 1).tolist(), len(samples)]
        for start, end in itertools.pairwise(edges):
            if (level := round(float(samples[start]) * 32768 / 100)) != 0:
                found.append(Word(f" {level}", start / RATE, end / RATE, 0.5))
        return Words(tuple(found), "en")


def texts(turns: Sequence[tuple[int, Turn]], window_s: float) -> tuple[list[str], list[float]]:
    recogniser = Numbering(window_s)
    return [heard.text for heard in heard_in(sound_of(20), turns, recogniser)], recogniser.lengths


def test_stretches_are_heard_together_and_each_has_its_own_words() -> None:
    turns = [(0, Turn(0, 2, 0)), (0, Turn(5, 6, 1)), (1, Turn(5, 7, 1)), (0, Turn(9, 12, 0))]
    said, lengths = texts(turns, 28.0)
    assert said == ["1 2", "6", "-6 -7", "10 11 12"]
    assert lengths == [pytest.approx(8 + 3 * REST_S)]


def test_a_window_takes_as_many_stretches_as_fit_and_at_least_one() -> None:
    turns = [(0, Turn(0, 2, 0)), (0, Turn(5, 8, 1)), (0, Turn(9, 19, 0)), (0, Turn(19.8, 20, 1))]
    said, lengths = texts(turns, 6.0)
    assert said == ["1 2", "6 7 8", " ".join(map(str, range(10, 20))), "20"]
    assert lengths == [pytest.approx(5 + REST_S), 10, pytest.approx(0.2)]


def test_neighbours_keep_what_lies_between_them_and_nothing_is_cut() -> None:
    said, lengths = texts([(0, Turn(0, 1.8, 0)), (0, Turn(2.2, 4, 1)), (0, Turn(4, 5.5, 0))], 28.0)
    assert lengths == [pytest.approx(5.5)]
    assert said == ["1 2", "3 4", "5 6"]


def test_a_word_that_is_said_to_begin_in_the_silence_before_goes_where_it_ends() -> None:
    stretches = [Stretch(0, 3), Stretch(3.6, 6)]
    late = Word(" yes", 2.0, 4.2, 0.9)
    assert [heard.text for heard in shared(Words((late,)), stretches)] == ["", "yes"]


@given(
    st.lists(st.tuples(st.floats(0.1, 4), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0.02, 0.5)), max_size=12),
)
def test_no_word_is_lost_or_said_twice(lengths: list[tuple[float, float]], times: list[tuple[float, float]]) -> None:
    stretches, at = [], 0.0
    for length, gap in lengths:
        stretches.append(Stretch(at, at + length))
        at += length + gap
    words = [Word(f" w{n}", start, start + long, 0.5) for n, (start, long) in enumerate(sorted(times))]
    heard = shared(Words(tuple(words), "de"), stretches)
    assert len(heard) == len(stretches)
    assert " ".join(one.text for one in heard if one.text).split() == [word.text.strip() for word in words]
    assert all(one.language == ("de" if one.text else None) for one in heard)


class Plain:
    name = "plain"

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        return Heard(f"{len(samples) / RATE:.0f} s")


def test_a_recogniser_without_times_hears_each_stretch_by_itself() -> None:
    turns = [(0, Turn(0, 2, 0)), (1, Turn(5, 6, 1))]
    assert [heard.text for heard in heard_in(sound_of(8), turns, Plain())] == ["2 s", "1 s"]
    assert list(heard_in(sound_of(8), turns, None)) == [Heard("")] * 2
