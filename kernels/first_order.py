"""Backward passes written by hand: differentiable once, and an error, not a wrong number, where twice is asked."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


class SecondDerivative(RuntimeError):
    """`create_graph=True` went through an op whose backward pass is written by hand."""


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward of an autograd function, run without a graph.

    `torch.autograd.function.once_differentiable` notices a second derivative only where the incoming gradient itself
    asks for one: that of a plain sum does not, and the terms through this op would be left out in silence.
    """

    @wraps(backward)
    def run(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise SecondDerivative(
                f"{backward.__qualname__.split('.')[0].lstrip('_')} has no second derivative: its backward pass is "
                'written by hand. `with use_backend("reference"):` differentiates as often as you like'
            )
        with torch.no_grad():
            return backward(ctx, *gradients)

    return run
