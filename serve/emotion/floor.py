"""Who has the model: one call at a time, its owners in turn, and a long call lets others go between its pieces.

A call of 2,000 utterances takes seconds, and its owner is not the only one who waits. So it says between two pieces
of its work that others may go first: where any wait, it goes to the back of its own owner's queue, and the next owner
has the turn. Nothing more is done for whoever has gone.
"""

import threading
from collections import OrderedDict, deque
from types import TracebackType
from typing import Self


class Gone(BaseException):
    """Nobody waits for this call any more. No fault of what is labelled, so that nobody takes it for one."""


class Floor:
    """The turns of the calls of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._holder: Turn | None = None

    def turn(self, owner: str) -> "Turn":
        """For a call of this owner, to be entered in the thread that does the work."""
        return Turn(self, owner)

    def _join(self, turn: "Turn") -> None:
        """Gives it the turn, or a place at the back of its owner's queue. Under the lock, like all below."""
        if self._holder is None:
            self._holder = turn
            turn.go.set()
        else:
            self._waiting.setdefault(turn.owner, deque()).append(turn)

    def _give_on(self) -> None:
        self._holder = None
        if self._waiting:
            owner, queue = self._waiting.popitem(last=False)
            self._holder = queue.popleft()
            self._holder.go.set()
            if queue:
                self._waiting[owner] = queue  # behind all other owners

    def _leave(self, turn: "Turn") -> None:
        queue = self._waiting.get(turn.owner)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[turn.owner]


class Turn:
    """A call's: `with turn:` waits for it and holds it, but for what happens in `pass_on`."""

    def __init__(self, floor: Floor, owner: str) -> None:
        self.owner = owner
        self.go = threading.Event()
        self._floor = floor
        self._gone = False

    def __enter__(self) -> Self:
        with self._floor._lock:
            if not self._gone:
                self._floor._join(self)
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._floor._lock:
            if self._floor._holder is self:
                self._floor._give_on()

    def pass_on(self, _: int = 0) -> None:
        """Lets others go first, if any wait. To be called between two pieces of the work. Raises Gone."""
        with self._floor._lock:
            if not self._gone:
                if not self._floor._waiting:
                    return
                self.go.clear()
                self._floor._waiting.setdefault(self.owner, deque()).append(self)
                self._floor._give_on()
        self._wait()

    def drop(self) -> None:
        """Nobody waits for this call any more; from any thread."""
        with self._floor._lock:
            self._gone = True
            self._floor._leave(self)
            self.go.set()

    def _wait(self) -> None:
        self.go.wait()
        if self._gone:
            self.__exit__(None, None, None)
            raise Gone
