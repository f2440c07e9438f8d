"""Ridge regression as matmuls: the systems of a chunk are solved at once, and differentiated implicitly.

x_t = A_t^{-1} q_t with A_t = S_t + diag(ridge) is found without a graph, a chunk of A at a time. A_t x_t is also what
gated linear attention answers to the query x_t where the values are the keys, so the residual q_t - A_t x_t, which is
nothing, carries the gradients to everything A is made of; the gradient by it is one more solution, A_t being symmetric.
So backward keeps T K numbers a head and not T K^2. Solutions are exact (Cholesky): no count of iterations is part of
the model, as it is where conjugate gradients stop early.
"""

from typing import Any

import torch
from torch import Tensor

from kernels.first_order import first_order
from kernels.gla.chunked import gated_linear_attention
from kernels.whole import Whole

CHUNK = 16


def ridge_regression(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, weight: Tensor, ridge: Tensor, S: Tensor, N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.ridge_regression`."""
    run = _whole if torch.compiler.is_compiling() else _run
    y: tuple[Tensor, Tensor, Tensor] = run(q, k, v, log_f, weight, ridge, S, N)
    return y


def _run(
    q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, weight: Tensor, ridge: Tensor, S: Tensor, N: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    written, gate = weight[..., None] * k, log_f[..., None]
    system = tuple(z.detach() for z in (k, log_f, weight, ridge, S))
    with torch.no_grad():
        x = solve(q.detach(), *system)
    through, S = gated_linear_attention(x, written, k, gate, S)
    residual = q - through - ridge[:, None] * x
    o, N = gated_linear_attention(_Solved.apply(x, residual, *system), written, v, gate, N)
    return o, S, N


_whole = Whole(
    "ridge_regression",
    run=_run,
    like=lambda q, k, v, log_f, weight, ridge, S, N: tuple(z.new_empty(z.shape) for z in (v, S, N)),
)


class _Solved(torch.autograd.Function):
    """x, as A^{-1} applied to a residual that is nothing."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, residual: Tensor, *system: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    @first_order
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, solve(gradient, *ctx.saved_tensors), None, None, None, None, None


def solve(b: Tensor, k: Tensor, log_f: Tensor, weight: Tensor, ridge: Tensor, S: Tensor) -> Tensor:
    """A_t^{-1} b_t for every token, (B, H, T, K)."""
    solutions = []
    diagonal = torch.diag_embed(ridge)[:, None]  # (H, 1, K, K)
    for b_n, k_n, log_n, w_n in zip(*(z.split(CHUNK, 2) for z in (b, k, log_f, weight)), strict=True):
        sums = log_n.cumsum(-1)
        between = (sums[..., :, None] - sums[..., None, :]).tril().exp().tril()  # (B, H, C, C)
        outer = (k_n[..., :, None] * k_n[..., None, :]).flatten(-2)  # (B, H, C, K^2)
        added = ((between * w_n[..., None, :]) @ outer).unflatten(-1, k_n.shape[-1:] * 2)
        Ss = sums.exp()[..., None, None] * S[:, :, None] + added  # (B, H, C, K, K)
        solutions.append(torch.cholesky_solve(b_n[..., None], torch.linalg.cholesky(Ss + diagonal))[..., 0])
        S = Ss[:, :, -1]
    return torch.cat(solutions, 2)
