"""The one interface every sequence mixer has, and what can be done to any mixer's state."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from models.mixers import door

if TYPE_CHECKING:
    from models.mixers.dynamical import DynamicalSystem

State = TypeVar("State", bound=tuple[Any, ...])


class SequenceMixer(nn.Module, ABC, Generic[State]):
    """Mixes information along time: x (B, T, D) to y (B, T, D).

    mask (B, T) is True on real tokens; padding is on the right. At a padded step y is zero
    and the state stays as it was. With no mask every token is real. ids (B, T) are integers of which
    only equality matters (who speaks, which picture); mixers with `takes_ids` need them, others refuse them.

    State is a NamedTuple of tensors (or of such tuples), batch first in every leaf. It is a value: a call returns
    a new one and leaves the old one good, so that a beam can fork and a reply can be made again.
    """

    streams: bool = True
    """False where y_t needs later tokens; such a mixer has no step."""

    takes_ids: bool = False

    def __call__(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """`forward`, past the door: ValueError for what does not fit together, and padding's contents cleared.

        What stands at padded steps, NaN or infinity included, reaches no real token, no state and no gradient.
        """
        if not torch.compiler.is_compiling():  # a compiled graph looks at no values, and was traced from a checked call
            door.check(type(self).__name__, x, mask, ids, state, self._width(), self._new_state())
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        y: tuple[Tensor, State] = super().__call__(x, mask=mask, ids=ids, state=state)
        return y

    def _width(self) -> int | None:
        """D where the mixer says it in its config."""
        return getattr(getattr(self, "config", None), "d_model", None)

    def _new_state(self) -> tuple[type, tuple[door.Shape, ...]]:
        """Type and shapes of a state of one row, worked out once."""
        known: tuple[type, tuple[door.Shape, ...]] | None = self.__dict__.get("_state_like")
        if known is None:
            with torch.no_grad():
                fresh = self.initial_state(1)
            known = self.__dict__["_state_like"] = (type(fresh), door.shapes_of(fresh))
        return known

    @abstractmethod
    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]: ...

    @abstractmethod
    def initial_state(self, batch: int) -> State: ...

    def step(self, x_t: Tensor, state: State, *, ids_t: Tensor | None = None) -> tuple[Tensor, State]:
        """One token, x_t (B, D) to y_t (B, D). Override where there is something faster than forward.

        Raises ValueError where later tokens are needed.
        """
        if not self.streams:
            raise ValueError(f"{type(self).__name__} needs later tokens here, so it has no step")
        y, state = self(x_t[:, None], ids=None if ids_t is None else ids_t[:, None], state=state)
        return y[:, 0], state

    def state_floats(self, n_tokens: int) -> int:
        """How many numbers a sequence's state holds after n_tokens. A mixer whose state grows overrides this."""
        return state_numbers(self.initial_state(1))

    def as_dynamical_system(self, x: Tensor) -> "DynamicalSystem":
        """This mixer on x (B, T, D) as h_t = A_t h_{t-1} + B_t x_t, y_t = C_t h_t + D_t x_t, dense, to be looked at.

        For every mixer in a shape that is linear in x once its weights and gates are given: attention that streams (its
        state is every token's value, and grows), linear recurrences, matrices that learn online; and single layers of
        cells, whose gates hear the state, along the trajectory of x. ValueError for others, such as networks that
        learn.
        """
        from models.mixers.systems import system_of  # it knows the mixers, which know this class

        return system_of(self, x)

    def refuse_ids(self, ids: Tensor | None) -> None:
        """For the forward of a mixer that takes none: better an error than speakers silently ignored."""
        if ids is not None:
            raise ValueError(f"{type(self).__name__} takes no ids")


def take_rows(state: State, rows: Tensor) -> State:
    """The state of the batch rows named, rows (B',) long; a row may repeat (a beam) or be left out (it has ended)."""
    return _map(state, lambda leaf: leaf.index_select(0, rows.to(leaf.device)))


def detach(state: State) -> State:
    """The same numbers without their history, for truncated back-propagation through time."""
    return _map(state, torch.Tensor.detach)


def move(state: State, device: torch.device | str) -> State:
    """The state on another device."""
    return _map(state, lambda leaf: leaf.to(device))


def state_bytes(state: tuple[Any, ...]) -> int:
    """What a state weighs, all rows together, in bytes."""
    return sum(state_bytes(leaf) if isinstance(leaf, tuple) else leaf.numel() * leaf.element_size() for leaf in state)


def state_numbers(state: tuple[Any, ...]) -> int:
    """How many numbers a state holds, all rows together."""
    return sum(state_numbers(leaf) if isinstance(leaf, tuple) else leaf.numel() for leaf in state)


def leaves(state: tuple[Any, ...]) -> list[torch.Tensor]:
    """A state's tensors in order, for a file; `rebuilt` puts them back."""
    return [one for part in state for one in (leaves(part) if isinstance(part, tuple) else [part])]


def rebuilt(like: State, tensors: Iterator[torch.Tensor]) -> State:
    """A state made as `like` is, of the tensors in the order of `leaves`."""
    parts = [rebuilt(part, tensors) if isinstance(part, tuple) else next(tensors) for part in like]
    make = getattr(type(like), "_make", None)
    return cast(State, make(parts) if make else tuple(parts))


def joined(states: Sequence[State]) -> State:
    """The rows of several states as one state's, in order."""
    every = [leaves(state) for state in states]
    return rebuilt(states[0], (torch.cat(same) for same in zip(*every, strict=True)))


def apart(state: State, n_rows: int) -> list[State]:
    """Each of a state's rows as a state of its own, which keeps nothing of the others alive."""
    every = leaves(state)
    return [rebuilt(state, (leaf[i : i + 1].clone() for leaf in every)) for i in range(n_rows)]


def _map(state: State, f: Any) -> State:
    parts = [_map(leaf, f) if isinstance(leaf, tuple) else f(leaf) for leaf in state]
    make = getattr(type(state), "_make", None)
    return cast(State, make(parts) if make else tuple(parts))
