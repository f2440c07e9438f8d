"""Recorded speech: a folder with `recordings.jsonl.gz` and a tar file of FLAC a set, at 8 kHz."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

RATE = 8000
"""Samples a second."""
LIST = "recordings.jsonl.gz"

Part = Literal["train", "validation", "test"]

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "joy",
    "N": "neutral",
    "T": "sadness",
}
"""EmoDB's letters, and what they stand for."""

TEST = frozenset({("fsdd", "nicolas"), ("fsdd", "yweweler"), ("emodb", "03"), ("emodb", "14")})
"""Voices that are heard in no training."""
VALIDATION = frozenset({("emodb", "09"), ("emodb", "12")})
"""A woman and a man by whom the best step of a training is chosen. FSDD has too few voices to spare one."""


class BadRecordings(ValueError):
    """A folder of recordings that cannot be read, with the file and what is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    set: str
    file: str
    speaker: str
    seconds: float
    emotion: str | None = None
    """One of EMOTIONS, where an emotion was acted."""

    @property
    def voice(self) -> tuple[str, str]:
        """The speaker among the speakers of all sets."""
        return self.set, self.speaker

    @property
    def part(self) -> Part:
        """Which part of ours the speaker belongs to; voices that are not ours are for training."""
        return "test" if self.voice in TEST else "validation" if self.voice in VALIDATION else "train"


def recordings_of(data: Sequence[Path], part: str | None) -> tuple[list[Recording], list[Recording]]:
    """All recordings of the one folder in `data`, and those of our train, validation or test voices alone; None for all
    of them. ValueError for any other number of folders or part; raises BadRecordings."""
    if len(data) != 1:
        raise ValueError(f"{len(data)} folders, expected one folder of recordings")
    if part is not None and part not in get_args(Part):
        raise ValueError(f"part is {part!r}, expected one of {', '.join(get_args(Part))}")
    listed = recordings(data[0])
    return listed, [one for one in listed if part is None or one.part == part]


def recordings(folder: Path | str) -> list[Recording]:
    """The recordings that a folder lists, in its order. Raises BadRecordings."""
    path = Path(folder) / LIST
    found = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    found.append(_recording(json.loads(line)))
                except (ValueError, KeyError, TypeError) as error:
                    raise BadRecordings(
                        f"{path}, line {number}: {line.strip()[:80]!r} is no recording; expected an object with set, "
                        f"file, speaker and seconds ({type(error).__name__}: {error})"
                    ) from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadRecordings(f"cannot read {path}: {error}; expected a folder of recordings") from error
    return found


def _recording(record: dict[str, object]) -> Recording:
    emotion = record.get("emotion")
    return Recording(
        set=str(record["set"]),
        file=str(record["file"]),
        speaker=str(record["speaker"]),
        seconds=float(cast(float, record["seconds"])),
        emotion=None if emotion is None else str(emotion),
    )


def sounds(folder: Path | str, wanted: Iterable[Recording]) -> dict[Recording, NDArray[np.int16]]:
    """The samples of each recording, 8 kHz. Raises BadRecordings for one that is missing or is no such sound."""
    by_set: dict[str, dict[str, Recording]] = {}
    for one in wanted:
        by_set.setdefault(one.set, {})[one.file] = one
    found = {}
    for name, ones in by_set.items():
        path = Path(folder) / f"{name}.tar"
        try:
            with tarfile.open(path) as tar:
                for member in tar:
                    one_file = member.name.removeprefix("./").removesuffix(".flac")
                    if member.isfile() and one_file in ones:
                        stream = tar.extractfile(member)
                        assert stream is not None  # a file has one
                        found[ones[one_file]] = _samples(stream.read(), f"{path}: {member.name}")
        except (OSError, tarfile.TarError) as error:
            raise BadRecordings(f"cannot read {path}: {error}; expected the recordings of {name} there") from error
        missing = [file for file, one in ones.items() if one not in found]
        if missing:
            raise BadRecordings(f"{path} lacks {len(missing)} of the recordings listed, {missing[0]}.flac for one")
    return found


def _samples(data: bytes, name: str) -> NDArray[np.int16]:
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise BadRecordings(f"{name} is no sound file: {error}") from error
    if rate != RATE or samples.shape[1] != 1:
        raise BadRecordings(f"{name} has {samples.shape[1]} channels at {rate} Hz, expected 1 at {RATE} Hz")
    return cast(NDArray[np.int16], samples[:, 0])


def by_voice(ones: Sequence[Recording]) -> dict[tuple[str, str], list[Recording]]:
    """The recordings of each voice, voices in order of name."""
    voices: dict[tuple[str, str], list[Recording]] = {}
    for one in sorted(ones, key=lambda r: (r.voice, r.file)):
        voices.setdefault(one.voice, []).append(one)
    return voices
