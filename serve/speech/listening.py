"""What is heard in a recording, found in a process of its own: `python -m serve.speech.listening FOLDER`.

A stranger's file is decoded there, and a recogniser computes for minutes; neither takes the service along, and to stop
it is to kill it. It reads what is asked from its standard input, as a line of JSON, and says on its standard output how
far it is and at last what it found. It ends where the input does: with whoever asked.
"""

import contextlib
import os
import sys
import threading
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from dialog.conversation import Caveat, Voice
from dialog.speech.names import Channels, NotSound
from dialog.speech.recognisers import Heard, NoRecogniser, Recogniser, Word, Words, times_words
from dialog.speech.sound import read_sound
from dialog.speech.transcript import Part, caveats, parts_of
from serve.config import imported
from serve.edge import logs
from serve.speech.wave import envelope_of, write_sound

SOUND = "sound.wav"
"""The name of the file in a recording's folder with what there is to hear."""
JOURNAL = "heard.jsonl"
"""And of the one with the words that were heard so far."""
UPLOADED = "in"
"""And of the folder with what was sent, until it has been listened to."""
_READ = 0.05  # of the work, roughly


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is to be listened to, and how."""

    filename: str
    opener: str
    """`module:name` of the function that opens a recogniser."""
    recogniser: str
    """What that function takes."""
    called: str
    """What the recogniser is called outside."""
    language: str | None = None
    n_speakers: int | None = None
    channels: Channels = "found"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was heard: `envelope` is that of `envelope_of`."""

    seconds: float
    envelope: bytes
    parts: tuple[Part, ...]
    warnings: tuple[Caveat, ...]


Told = Callable[[float], None]
"""Hears the share of the work that is done, 0 to 1, and may raise to end it."""
Listen = Callable[[Path, Asked, Told], Found]
_Said = TypeVar("_Said")


def listen(folder: Path, asked: Asked, told: Told) -> Found:
    """What is heard in the file that lies in this folder; keeps its sound there. NotSound for a file that has none.

    Where nobody can hear the words, the speakers are found all the same, and a warning says why there are none.
    """
    try:
        sound = read_sound(folder / UPLOADED / asked.filename, channels=asked.channels)
    except NotSound as error:  # its sender knows what he has sent
        raise NotSound(str(error).removeprefix(f"{asked.filename}: ")) from None
    told(_READ / 2)
    write_sound(sound.samples, folder / SOUND)
    envelope = envelope_of(sound.samples)
    told(_READ)
    warnings: list[Caveat] = []
    recogniser: _Careful | None = None
    try:
        recogniser = _Careful(imported(asked.opener)(asked.recogniser, language=asked.language), asked.called)
    except NoRecogniser as error:
        why = str(error) if asked.recogniser == asked.called else f"{asked.called} cannot be used here"
        warnings.append(Caveat("no-recogniser", f"nobody heard the words: {why}"))
    known = _words_in(folder / JOURNAL)
    with (folder / JOURNAL).open("ab", buffering=0) as journal:
        journal.write(b"\n")  # after what the kill may have torn
        parts = parts_of(
            sound,
            None if recogniser is None else _Remembering(recogniser, known, journal),
            n_speakers=asked.n_speakers,
            progress=lambda share: told(_READ + (1 - _READ) * share),
        )
    if recogniser is not None and recogniser.failed:
        lacking = [n for n, part in enumerate(parts) if not part.text]
        warnings.append(Caveat("words-missing", f"{asked.called} failed on the way, so words are missing", lacking))
        recogniser = None
    found = (Caveat.of(warning) for warning in caveats(sound, parts, recogniser, asked.n_speakers))
    return Found(seconds=sound.seconds, envelope=envelope, parts=tuple(parts), warnings=(*found, *warnings))


def _words_in(journal: Path) -> dict[int, list[Any]]:
    """What was heard before a kill, as it was written, by the samples it was heard in."""
    known: dict[int, list[Any]] = {}
    for line in journal.read_bytes().splitlines() if journal.exists() else ():
        with contextlib.suppress(orjson.JSONDecodeError):  # torn
            key, *heard = orjson.loads(line)
            known[key] = heard
    return known


class _Careful:
    """A recogniser that, once it has failed, hears no more words instead of losing those before."""

    def __init__(self, recogniser: Recogniser, called: str) -> None:
        self.name = called
        self.failed = False
        self._recogniser = recogniser
        self.window_s = recogniser.window_s if times_words(recogniser) else 0.0

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """Words, while there are some."""
        return self._tried(lambda: self._recogniser.hear(samples), Heard(""))

    def words(self, samples: NDArray[np.float32]) -> Words:
        """The same with their times."""
        assert times_words(self._recogniser)
        return self._tried(partial(self._recogniser.words, samples), Words())

    def _tried(self, hear: Callable[[], _Said], nothing: _Said) -> _Said:
        if self.failed:
            return nothing
        try:
            return hear()
        except OSError as error:
            logs.get().error("recogniser failed", model=self.name, **logs.about(error))
            self.failed = True
            return nothing


class _Remembering:
    """A recogniser that writes down what it has heard: after a kill it goes on where it was."""

    def __init__(self, recogniser: _Careful, known: dict[int, list[Any]], journal: BinaryIO) -> None:
        self.name, self.window_s = recogniser.name, recogniser.window_s
        self._recogniser = recogniser
        self._known = known
        self._journal = journal

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        """Words, heard now or before the kill."""
        return Heard(*self._kept(samples, lambda: list(self._recogniser.hear(samples))))

    def words(self, samples: NDArray[np.float32]) -> Words:
        """The same with their times."""
        words, language = self._kept(samples, lambda: list(self._recogniser.words(samples)))
        return Words(tuple(Word(*word) for word in words), language)

    def _kept(self, samples: NDArray[np.float32], hear: Callable[[], list[Any]]) -> list[Any]:
        key = zlib.crc32(samples.tobytes(), len(samples))
        if key not in self._known:
            heard = hear()
            if self._recogniser.failed:
                return heard
            self._known[key] = heard
            self._journal.write(orjson.dumps([key, *heard]) + b"\n")
        return self._known[key]


def written(found: Found) -> dict[str, Any]:
    """What was found as a JSON object."""
    return {
        "seconds": found.seconds,
        "envelope": list(found.envelope),
        "parts": [part._asdict() | {"voice": part.voice and part.voice.to_dict()} for part in found.parts],
        "warnings": [warning.to_dict() for warning in found.warnings],
    }


def read(value: dict[str, Any]) -> Found:
    """What was found, of its JSON object."""
    return Found(
        seconds=value["seconds"],
        envelope=bytes(value["envelope"]),
        parts=tuple(_part(part) for part in value["parts"]),
        warnings=tuple(Caveat.of(warning) for warning in value["warnings"]),
    )


def _part(value: dict[str, Any]) -> Part:
    return Part(**value | {"voice": value["voice"] and Voice.from_dict(value["voice"])})


def asked_as_json(asked: Asked) -> bytes:
    """The line that the process reads."""
    return orjson.dumps(asdict(asked)) + b"\n"


def main(folder: Path) -> None:
    """Does what is asked on the standard input."""
    # What libraries print is not for whoever asked.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    asked = Asked(**orjson.loads(sys.stdin.buffer.readline()))

    def leave_with_whoever_asked() -> None:
        os.read(0, 1)  # not through Python's own buffer, whose lock would be missed at the end
        os._exit(1)

    threading.Thread(target=leave_with_whoever_asked, daemon=True).start()

    def say(value: dict[str, Any]) -> None:
        answers.write(orjson.dumps(value) + b"\n")

    try:
        found = written(listen(folder, asked, lambda share: say({"share": share})))
    except ValueError as error:  # of the file, in words for its sender
        say({"refused": str(error)})
    except Exception as error:
        say({"failed": logs.about(error), "errno": error.errno if isinstance(error, OSError) else None})
    else:
        say({"found": found})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
