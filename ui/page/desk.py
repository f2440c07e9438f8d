"""What the events of one visitor share while they run side by side, so that none undoes another."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

Step = TypeVar("Step")


class Desk:
    """One for all states of a visitor: the number of the act that began last, and the state that was shown last."""

    def __init__(self) -> None:
        self.newest = 0
        self.shown: Any = None
        self.lock = threading.RLock()

    def __deepcopy__(self, memo: Any) -> "Desk":
        """Whoever comes anew begins with a copy of the first state, and has a desk of his own."""
        return Desk()

    def begin(self) -> int:
        """The number of an act that begins now."""
        self.newest += 1
        return self.newest

    def until_the_next(self, steps: Iterator[Step]) -> Iterator[Step]:
        """What an act does step by step, until another begins: what comes of it after that is dropped."""
        own = self.begin()
        for step in steps:
            if self.newest != own:
                return
            yield step


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDesk:
    """A state that acts change, and looks that repeat by themselves. `act` is the newest act that it knows of."""

    desk: Desk = field(default_factory=Desk, compare=False)
    act: int = field(default=0, compare=False)


State = TypeVar("State", bound=OnDesk)


def acted(state: State, act: Callable[[State], State]) -> State:
    """The state after an act of the visitor. One act waits for another, and sets out from what that has shown, whatever
    was on the page when it was asked for."""
    desk = state.desk
    desk.begin()
    with desk.lock:
        desk.shown = replace(act(desk.shown or state), desk=desk, act=desk.newest)
        after: State = desk.shown
    return after


def looked(state: State, look: Callable[[State], State]) -> State | None:
    """The state after a look; None where an act has begun that it does not know of, and shows more than it."""
    desk, after = state.desk, look(state)
    with desk.lock:
        if state.act != desk.newest:
            return None
        desk.shown = after
    return after
