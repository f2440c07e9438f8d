"""What is said in each stretch of a recording.

A recogniser that times its words hears several stretches at once, with a rest between them that are not neighbours,
and each word goes to the stretch it lies in: so one speaker's words are not cut in half where another takes over, and a
word costs no whole window.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dialog.speech.recognisers import Heard, Recogniser, TimesWords, Word, Words, times_words
from dialog.speech.sound import RATE, Sound

if TYPE_CHECKING:
    from dialog.speech.voices import Turn

REST_S = 0.6
"""Between stretches that are no neighbours. Neighbours keep what lies between them."""
_LONGEST_WORD_S = 0.6
"""A word that is said to be longer began later: before it was silence."""


class Stretch(NamedTuple):
    """Where in a window a turn lies, in seconds."""

    start: float
    end: float


def heard_in(sound: Sound, turns: "Sequence[tuple[int, Turn]]", recogniser: Recogniser | None) -> Iterator[Heard]:
    """What is said in each turn, of a channel and a turn; nothing without a recogniser. Raises as it does."""
    if recogniser is not None and times_words(recogniser):
        yield from _together(sound, turns, recogniser)
        return
    for channel, turn in turns:
        yield Heard("") if recogniser is None else recogniser.hear(sound.part(turn.start, turn.end, channel))


def _together(sound: Sound, turns: "Sequence[tuple[int, Turn]]", recogniser: TimesWords) -> Iterator[Heard]:
    at = 0
    while at < len(turns):
        samples, stretches = _window(sound, turns[at:], recogniser.window_s)
        yield from shared(recogniser.words(samples), stretches)
        at += len(stretches)


def _window(
    sound: Sound, turns: "Sequence[tuple[int, Turn]]", window_s: float
) -> tuple[NDArray[np.float32], list[Stretch]]:
    """Samples (n,) of the first turns, as many as there is room for, and where they lie in it; at least one."""
    pieces: list[NDArray[np.float32]] = []
    stretches: list[Stretch] = []
    length, before = 0, None
    for channel, turn in turns:
        between = np.zeros(int(REST_S * RATE), np.float32)
        if before is not None and before[0] == channel and 0 <= turn.start - before[1].end <= REST_S:
            between = sound.part(before[1].end, turn.start, channel)
        said = sound.part(turn.start, turn.end, channel)
        if before is not None and length + len(between) + len(said) > window_s * RATE:
            break
        if before is not None:
            pieces.append(between)
            length += len(between)
        pieces.append(said)
        stretches.append(Stretch(length / RATE, (length + len(said)) / RATE))
        length, before = length + len(said), (channel, turn)
    return np.concatenate(pieces), stretches


def shared(said: Words, stretches: Sequence[Stretch]) -> list[Heard]:
    """What is said in each stretch: every word goes to the one in which its middle lies, or to the nearest, and to none
    before that of the word before it."""
    mine: list[list[Word]] = [[] for _ in stretches]
    at = 0
    for word in said.words:
        middle = max((word.start + word.end) / 2, word.end - _LONGEST_WORD_S / 2)
        off = [max(one.start - middle, middle - one.end, 0.0) for one in stretches]
        at = max(at, off.index(min(off)))
        mine[at].append(word)
    return [Words(tuple(words), said.language).heard() for words in mine]
