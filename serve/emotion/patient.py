"""The models of the service, for a thread that has time: it waits for them however long it takes."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, wait
from typing import Any, Protocol, TypeVar

from serve.database.patience import TOLD_SECONDS, Ended
from serve.edge.problems import Refusal

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


class UnderWay(Protocol):
    """Work that may be told to end."""

    def check(self) -> None:
        """Raises Ended where it need not go on."""

    def pause(self, seconds: float) -> None:
        """Waits, and raises Ended where it need not go on."""


def ask_patiently(
    loop: asyncio.AbstractEventLoop,
    call: Callable[[], Coroutine[Any, Any, T]],
    run: UnderWay,
    meanwhile: Callable[[], None] = lambda: None,
) -> T:
    """What a coroutine of another thread's loop answers.

    A service that is too busy, or whose replica has died, is asked again. `meanwhile` is called now and then until the
    answer is there. Raises Ended where the run need not go on.
    """
    pause = _FIRST_PAUSE
    while True:
        future = asyncio.run_coroutine_threadsafe(call(), loop)
        try:
            while not wait([future], TOLD_SECONDS).done:
                run.check()
                meanwhile()
            return future.result()
        except (Refusal, CancelledError):
            run.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except Ended:
            future.cancel()
            raise
