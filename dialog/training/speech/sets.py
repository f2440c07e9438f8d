"""The voices that a training of speech learns from: those of data/audio and a folder of many more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialog.corpora.recordings import Part, Recording, by_voice, recordings, sounds
from dialog.corpora.voice_folders import SET, folder_voices

Voice = Sequence[Recording]

KEPT_EVERY, KEPT = 12, 5
"""One voice in so many of a folder, in order of name, is for validation: the sixth, the eighteenth and so on."""
ENOUGH_S = 300.0
"""Within its set a voice is drawn by the root of its seconds, up to these."""
RARE, RARELY = ("formant-", "game-"), 0.25
"""Voices of the folder by these names are no good likenesses of people; they are drawn this much less often."""


@dataclass(frozen=True)
class VoiceSets:
    """`learned` and `kept` (for validation): set -> its voices; the folder's are one set. `sounds` has the samples of
    all of them. No test voice is read."""

    learned: Mapping[str, Sequence[Voice]]
    kept: Mapping[str, Sequence[Voice]]
    sounds: Mapping[Recording, NDArray[np.int16]]

    @classmethod
    def read(cls, audio: Path, folder: Path | None = None) -> "VoiceSets":
        """Recordings of data/audio's shape, and a folder of a subfolder a voice. Raises BadRecordings."""
        listed = [one for one in recordings(audio) if one.part != "test"]
        heard = dict(sounds(audio, listed))
        learned, kept = _by_set(listed, "train"), _by_set(listed, "validation")
        for i, ones in enumerate(folder_voices(folder).values() if folder else ()):
            heard |= ones
            (kept if i % KEPT_EVERY == KEPT else learned).setdefault(SET, []).append(list(ones))
        return cls(learned, kept, heard)

    def draw(self, rng: np.random.Generator, name: str) -> Voice:
        """A voice to learn from, of that set."""
        voices = self.learned[name]
        return voices[int(rng.choice(len(voices), p=_shares(voices)))]

    def some(self, rng: np.random.Generator, count: int) -> list[Voice]:
        """`count` voices to learn from, of all sets and different ones as far as there are so many."""
        every = [voice for voices in self.learned.values() for voice in voices]
        drawn = rng.choice(len(every), count, replace=count > len(every), p=_shares(every))
        return [every[int(i)] for i in drawn]

    def counts(self) -> dict[str, int]:
        """Set -> how many voices of it are learned from."""
        return {name: len(voices) for name, voices in sorted(self.learned.items())}

    def seconds(self) -> float:
        """Of the recordings that are learned from."""
        return sum(one.seconds for voices in self.learned.values() for voice in voices for one in voice)


def _by_set(listed: Sequence[Recording], part: Part) -> dict[str, list[Voice]]:
    found: dict[str, list[Voice]] = {}
    for (name, _), ones in by_voice([one for one in listed if one.part == part]).items():
        found.setdefault(name, []).append(ones)
    return found


def _shares(voices: Sequence[Voice]) -> NDArray[np.float64]:
    p = np.array([np.sqrt(min(ENOUGH_S, sum(one.seconds for one in voice))) for voice in voices])
    p[[voice[0].speaker.startswith(RARE) for voice in voices]] *= RARELY
    share: NDArray[np.float64] = p / p.sum()
    return share
