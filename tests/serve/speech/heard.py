"""A recogniser for tests: it says how long a stretch was, or what the test wants, and may fail."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from dialog.speech.recognisers import Heard, NoRecogniser
from dialog.speech.sound import RATE
from tests.dialog.speech.voices_made import HIGH, LOW, talk


class Counting:
    """Says `great` for stretches that are long, and `sad` for others. `calls` is how many it has heard."""

    name = "counting"
    calls: ClassVar[int] = 0
    before: ClassVar[Callable[[int], None]] = staticmethod(lambda n: None)
    """Called with how many there were, before each."""

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        type(self).calls += 1
        type(self).before(self.calls)
        return Heard("a great job" if len(samples) > 2 * RATE else "so sad", 0.5)


class Failing(Counting):
    """Hears one stretch, and then is gone."""

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        if self.calls:
            raise OSError("the host answered 500")
        return super().hear(samples)


class Slow(Counting):
    """Takes a second for each stretch, so that something can happen to it meanwhile."""

    def hear(self, samples: NDArray[np.float32]) -> Heard:
        time.sleep(1.0)
        return super().hear(samples)


def open_recogniser(name: str, *, language: str | None = None) -> Any:
    """As dialog.speech.recognisers.recogniser_of."""
    if name == "missing":
        raise NoRecogniser("missing is not installed: pip install 'rapport[speech]'")
    return {"failing": Failing, "slow": Slow}.get(name, Counting)()


OPENER = "tests.serve.speech.heard:open_recogniser"
TURNS = ((HIGH, 2.5), (LOW, 1.5), (HIGH, 2.5), (LOW, 1.5))
"""Two people in turn."""


def call(path: Path, turns: Any = TURNS, **how: Any) -> Path:
    """A recording of these turns."""
    samples, _ = talk(turns)
    soundfile.write(path, samples, RATE, **how)
    return path
