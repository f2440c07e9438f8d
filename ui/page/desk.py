"""What the events of one visitor share while they run side by side, so that an older one does not undo a newer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar


@dataclass(slots=True)
class Desk:
    """One for all states of a visitor."""

    newest: int = 0
    """The number of the act that began last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDesk:
    """A state that acts change, and looks that repeat by themselves. `act` is the newest act that it knows of."""

    desk: Desk = field(default_factory=Desk)
    act: int = 0


State = TypeVar("State", bound=OnDesk)


def acted(state: State, act: Callable[[State], State]) -> State:
    """The state after an act of the visitor."""
    state.desk.newest += 1
    after = act(state)
    return replace(after, desk=state.desk, act=state.desk.newest)


def looked(state: State, look: Callable[[State], State]) -> State | None:
    """The state after a look; None where an act has begun that it does not know of, and shows more than it."""
    after = look(state)
    return after if state.act == state.desk.newest else None
