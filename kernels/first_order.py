"""Backward passes written by hand: differentiable once, and an error, not a wrong number, where twice is asked."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import get_interpreter_stack


class SecondDerivative(RuntimeError):
    """`create_graph=True`, or a gradient of torch.func's, went through an op whose backward pass is written by hand."""


def keep_inputs(ctx: Any, inputs: tuple[Any, ...]) -> None:
    """For `setup_context` where what is saved does not depend, for autograd, on all that was given.

    Under torch.func alone, so that a gradient of the gradient is noticed.
    """
    ctx.given = tuple(z for z in inputs if isinstance(z, Tensor)) if functional() else ()


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """The backward of an autograd function, run without a graph.

    `torch.autograd.function.once_differentiable` notices a second derivative only where the incoming gradient itself
    asks for one: that of a plain sum does not, and the terms through this op would be left out in silence.
    """

    what = backward.__qualname__.split(".")[0].lstrip("_")

    @wraps(backward)
    def run(ctx: Any, *gradients: Any) -> Any:
        # Under torch.func a graph of the gradient is always recorded, wanted or not: there the error waits in it.
        under_func = functional()
        if torch.is_grad_enabled() and not torch.compiler.is_compiling() and not under_func:
            raise SecondDerivative(_why(what))
        with torch.no_grad():
            found = backward(ctx, *gradients)
        if not under_func:
            return found
        needed = [z for z in (*ctx.saved_tensors, *getattr(ctx, "given", ()), *gradients) if isinstance(z, Tensor)]
        there = [z for z in found if z is not None]
        back = iter(_Once.apply(what, len(there), *there, *needed))
        return tuple(None if z is None else next(back) for z in found)

    return run


def functional() -> bool:
    """Whether torch.func is at work. A compiled graph cannot ask."""
    return not torch.compiler.is_compiling() and bool(get_interpreter_stack())


class _Once(torch.autograd.Function):
    """Gradients as they are, whose own gradient is an error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(what: str, n: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(z.clone() for z in tensors[:n])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.what = inputs[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise SecondDerivative(_why(ctx.what))


def _why(what: str) -> str:
    return (
        f"{what} has no second derivative: its backward pass is written by hand. "
        '`with use_backend("reference"):` differentiates as often as you like'
    )
