"""A recurrent cell's walk through a sequence as one op for a compiler, its weights among the op's arguments."""

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call

from kernels.whole import Whole

if TYPE_CHECKING:
    from models.mixers.recurrent import Cell, RecurrentConfig, Vectors

_made_of: dict[str, tuple[type[Any], "RecurrentConfig", int]] = {}


def known_as(cell: type[Any], config: "RecurrentConfig", d_in: int) -> str:
    """The name under which the op finds how such a cell is made: a graph holds words and tensors, no modules."""
    name = f"{cell.__name__}({d_in}, {config})"
    _made_of[name] = cell, config, d_in
    return name


def walked(cell: "Cell", x: Tensor, state: "Vectors", lengths: Tensor | None) -> tuple[Tensor, "Vectors"]:
    """What `cell.walk` answers."""
    names, weights = zip(*cell.named_parameters(), strict=True)
    h, *after = _walk(x, lengths, *state, *weights, cell=cell.kind, names=" ".join(names), training=cell.training)
    return h, tuple(after)


def _run(x: Tensor, lengths: Tensor | None, *rest: Tensor, cell: str, names: str, training: bool) -> tuple[Tensor, ...]:
    module, n_weights = _Walk(_fresh(cell).train(training)), len(names.split())
    state, weights = rest[:-n_weights], rest[-n_weights:]
    named = dict(zip((f"cell.{name}" for name in names.split()), weights, strict=True))
    h, after = functional_call(module, named, (x, state, lengths))
    return h, *after


def _empty(
    x: Tensor, lengths: Tensor | None, *rest: Tensor, cell: str, names: str, training: bool
) -> tuple[Tensor, ...]:
    state = rest[: -len(names.split())]
    return state[0].new_empty(*x.shape[:2], state[0].shape[-1]), *(z.new_empty(z.shape) for z in state)


_walk = Whole("recurrent_cell", run=_run, like=_empty)


class _Walk(torch.nn.Module):
    def __init__(self, cell: "Cell") -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, state: "Vectors", lengths: Tensor | None) -> tuple[Tensor, "Vectors"]:
        return self.cell.walk(x, state, lengths)


def _fresh(name: str) -> "Cell":
    """A cell without weights, of this caller's own."""
    if name not in _made_of:
        raise ValueError(f"this process has made no {name}; build a mixer of its config before the graph is run")
    return copy.deepcopy(_skeleton(name))


@cache
def _skeleton(name: str) -> "Cell":
    cell, config, d_in = _made_of[name]
    with torch.device("meta"):
        made: Cell = cell(config, d_in)
    return made
