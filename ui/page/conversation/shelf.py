"""A labelled log stays for an hour under a key that only its visitor's address has, so that reload and Back find it."""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Values in memory, at most `most` of them, each for `seconds` since it was last asked for. Safe for threads.

    Together they weigh at most `heaviest`, the newest always stays.

    Shelf(most=2, seconds=60).put("a") gives the key under which get gives "a" again; None once it is gone.
    """

    def __init__(
        self,
        *,
        most: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        weight: Callable[[T], float] = lambda _: 0,
        heaviest: float = 0,
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._weight, self._heaviest = weight, heaviest
        self._kept: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, value: T, key: str | None = None) -> str:
        """Keeps the value, under a key of its own or in place of what stood under this one."""
        key = key or uuid.uuid4().hex
        with self._lock:
            self._kept[key] = (self._clock(), value)
            self._kept.move_to_end(key)
            self._drop_old()
        return key

    def get(self, key: str) -> T | None:
        """The value, or None where it is gone or never was."""
        with self._lock:
            self._drop_old()
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept[key] = (self._clock(), found[1])
            self._kept.move_to_end(key)
            return found[1]

    def _drop_old(self) -> None:
        oldest = self._clock() - self._seconds
        while self._kept and (len(self._kept) > self._most or next(iter(self._kept.values()))[0] < oldest):
            self._kept.popitem(last=False)
        while len(self._kept) > 1 and sum(self._weight(value) for _, value in self._kept.values()) > self._heaviest:
            self._kept.popitem(last=False)
