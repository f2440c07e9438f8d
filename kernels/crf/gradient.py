"""log Z under autograd, for engines that answer with log Z and its whole gradient in one pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.crf.structure import Chain
from kernels.first_order import first_order, keep_inputs


class Expectations(NamedTuple):
    """A batch's log Z and its gradient, row by row: how often each score is expected to be counted."""

    log_partition: Tensor
    """(B,) float64"""
    labels: Tensor
    """(B, N, L), by emission: the marginals"""
    transition: Tensor
    """(B, G, L, L)"""
    context: Tensor
    """(B, G, R, L)"""
    last: Tensor
    """(B, L), by end"""


def log_partition(emissions: Tensor, chain: Chain, engine: Callable[[Tensor, Chain], Expectations]) -> Tensor:
    """log Z (B,), differentiable once with respect to the emissions and the chain's scores."""
    scores = (emissions, chain.transition, chain.context, chain.end)
    result: Tensor = _LogPartition.apply(*scores, chain.kinds, chain.lengths, engine)[0]
    return result


def wanted(emissions: Tensor, chain: Chain) -> bool:
    """Whether autograd is recording anything that log Z depends on."""
    scores = (emissions, chain.transition, chain.context, chain.end)
    return torch.is_grad_enabled() and any(x.requires_grad for x in scores)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        emissions: Tensor,
        transition: Tensor,
        context: Tensor,
        end: Tensor,
        kinds: Tensor,
        lengths: Tensor,
        engine: Callable[[Tensor, Chain], Expectations],
    ) -> tuple[Tensor, ...]:
        return tuple(engine(emissions, Chain(kinds, lengths, transition, context, end)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])
        ctx.dtypes = [x.dtype for x in inputs[:4]]
        keep_inputs(ctx, inputs)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 7
        labels, transition, context, last = (x.double() for x in ctx.saved_tensors)
        grads = (
            grad[:, None, None] * labels,
            torch.einsum("b,bgxc->gxc", grad, transition),
            torch.einsum("b,bgrc->grc", grad, context),
            grad @ last,
        )
        return *(g.to(dtype) for g, dtype in zip(grads, ctx.dtypes, strict=True)), None, None, None
