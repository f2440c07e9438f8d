"""Ops that a compiler and an exporter take whole: their loops over time are not unrolled, so any T is one graph."""

from ast import literal_eval
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from kernels.first_order import SecondDerivative

Answers = Tensor | tuple[Tensor, ...]

_library = Library("rapport", "FRAGMENT")


class Whole:
    """An op that is one node, `rapport::NAME`, in a graph of torch.compile or torch.export, whatever the length.

    `run(*tensors, **settings)` computes it; a tensor may be None, a setting is a word without a
    semicolon, a number, a truth or None. `like(*tensors, **settings)` gives empty tensors of
    the shapes and dtypes it answers in, from tensors that have no values. The backward is computed from the inputs
    again, which are all that is kept; a second derivative is an error. Outside a graph nobody calls this: there `run`
    is called by itself, and differentiated as it is.

        _scan = Whole("scan", run=lambda a, b: ..., like=lambda a, b: b.new_empty(b.shape))
        y = _scan(a, b) if torch.compiler.is_compiling() else run(a, b)
    """

    def __init__(self, name: str, run: Callable[..., Answers], like: Callable[..., Answers]) -> None:
        self._run, self._like = run, like
        forward, backward = f"rapport::{name}", f"rapport::{name}_backward"
        _library.define(f"{name}(Tensor[] given, str how) -> Tensor[]")
        _library.define(f"{name}_backward(Tensor[] given, Tensor[] gradients, str how) -> Tensor[]")
        # No kernel of its own for autograd, so that the backward's inner graph is recorded.
        _library.impl(name, self._forward, "CompositeExplicitAutograd")
        _library.impl(f"{name}_backward", self._backward, "CompositeExplicitAutograd")
        torch.library.register_fake(forward, self._empty, lib=_library)
        torch.library.register_fake(backward, self._empty_gradients, lib=_library)
        self._op = getattr(torch.ops.rapport, name).default
        self._op_backward = getattr(torch.ops.rapport, f"{name}_backward").default
        torch.library.register_autograd(forward, self._gradients, setup_context=_keep, lib=_library)

    def __call__(self, *tensors: Tensor | None, **settings: Any) -> Any:
        """What `run` answers: one tensor, or a tuple of them."""
        # Written out here, since a compiler can follow this and knows the settings; which tensors are None comes first.
        how = "".join("-" if z is None else "+" for z in tensors)
        for name, value in settings.items():
            how += f";{name}={value!r}"
        found = self._op([z for z in tensors if z is not None], how)
        return found[0] if len(found) == 1 else tuple(found)

    def _forward(self, given: list[Tensor], how: str) -> list[Tensor]:
        owned = {z.untyped_storage().data_ptr() for z in given}
        found = [z.contiguous() for z in _several(_call(self._run, given, how))]
        # An op's answer is never its argument, nor a part of it.
        return [z.clone() if z.untyped_storage().data_ptr() in owned else z for z in found]

    def _empty(self, given: list[Tensor], how: str) -> list[Tensor]:
        return list(_several(_call(self._like, given, how)))

    def _backward(self, given: list[Tensor], gradients: list[Tensor], how: str) -> list[Tensor]:
        with torch.enable_grad():
            inputs = [z.detach().requires_grad_(z.is_floating_point()) for z in given]
            found = _several(_call(self._run, inputs, how))
            pairs = [(y, g) for y, g in zip(found, gradients, strict=True) if y.requires_grad]
            wanted = [z for z in inputs if z.requires_grad]
            back = torch.autograd.grad([y for y, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
        return [torch.zeros_like(z) if g is None else g.contiguous().clone() for z, g in zip(wanted, back, strict=True)]

    def _empty_gradients(self, given: list[Tensor], gradients: list[Tensor], how: str) -> list[Tensor]:
        return [z.new_empty(z.shape) for z in given if z.is_floating_point()]

    def _gradients(self, ctx: Any, gradients: list[Tensor | None]) -> tuple[list[Tensor | None], None]:
        if torch.is_grad_enabled() and any(type(g) is Tensor for g in gradients):  # none is, while a graph is made
            raise SecondDerivative(f"{self._op} has no second derivative: its gradient is one op of a graph")
        given = list(ctx.saved_tensors)
        there = [
            like.new_zeros(like.shape) if g is None else g
            for like, g in zip(self._empty(given, ctx.how), gradients, strict=True)
        ]
        back = iter(self._op_backward(given, there, ctx.how))
        return [next(back) if z.is_floating_point() else None for z in given], None


def _keep(ctx: Any, inputs: tuple[list[Tensor], str], output: list[Tensor]) -> None:
    given, ctx.how = inputs
    ctx.save_for_backward(*given)


def _call(function: Callable[..., Answers], given: list[Tensor], how: str) -> Answers:
    there, *settings = how.split(";")
    left = iter(given)
    tensors = [next(left) if mark == "+" else None for mark in there]
    return function(*tensors, **{name: literal_eval(value) for name, value in (one.split("=", 1) for one in settings)})


def _several(found: Answers) -> tuple[Tensor, ...]:
    return (found,) if isinstance(found, Tensor) else tuple(found)
