"""A conversation too long to wait for in silence: a thread reads it, says how far it is, and can be stopped.

Whoever asks has the turn, which is a file beside the one that keeps what was read. Who asks after a kill takes the turn
away from the reading that nobody waits for any more, and goes on with what that has kept.
"""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dialog.emotion.port import Mode

T = TypeVar("T")

_TOLD_SECONDS = 0.5
"""How often whoever waits hears how far it is."""


class Stopped(Exception):
    """Nobody waits for this reading any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LongJob:
    """One conversation, as (speaker, text) in order, and the file in which what was read of it is kept."""

    turns: tuple[tuple[str, str], ...]
    model: str
    mode: Mode
    causes: bool
    keep: Path | None = None
    turn: str = ""
    """What `take_turn` gave for that file."""

    @property
    def kept(self) -> Path | None:
        """The file, where it lies on a disk of this machine."""
        return self.keep if self.keep is not None and self.keep.parent.is_dir() else None


def take_turn(keep: Path) -> str:
    """From now on whoever has this word may read on."""
    turn = uuid.uuid4().hex
    _turn_of(keep).write_text(turn)
    return turn


def check_turn(keep: Path, turn: str) -> None:
    """Raises Stopped where somebody else has the turn, or nobody."""
    try:
        if _turn_of(keep).read_text() == turn:
            return
    except OSError:
        pass
    raise Stopped


def end_turn(keep: Path) -> None:
    """Nobody is to read on."""
    with suppress(OSError):
        _turn_of(keep).unlink(missing_ok=True)


class Heard:
    """How many utterances a thread has read. Calling it raises Stopped once nobody listens."""

    def __init__(self) -> None:
        self.n = 0
        self._stopped = threading.Event()

    def __call__(self, n: int) -> None:
        """So many are read."""
        if self._stopped.is_set():
            raise Stopped
        self.n = n

    def stop(self) -> None:
        """Nobody listens any more."""
        self._stopped.set()


async def followed(executor: Executor | None, work: Callable[[Heard], T]) -> AsyncIterator[int | T]:
    """How far `work` is, now and then, and at last what it gives. It is stopped once nobody goes through this."""
    heard, told = Heard(), 0
    running = asyncio.get_running_loop().run_in_executor(executor, work, heard)
    try:
        while not (await asyncio.wait([running], timeout=_TOLD_SECONDS))[0]:
            if heard.n != told:
                told = heard.n
                yield told
        yield running.result()
    finally:
        heard.stop()


def _turn_of(keep: Path) -> Path:
    return keep.with_name(keep.name + ".turn")
