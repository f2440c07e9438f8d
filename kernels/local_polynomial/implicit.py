"""Local polynomial regression as attention with corrected weights, its small systems differentiated implicitly.

With mu = sum_i p_i phi_i and Sigma = sum_i p_i phi_i phi_i^T + ridge I, phi_i = phi(k_i - q), the constant is

    o = sum_i s_i v_i,   s_i = p_i (1 - phi_i . rho) / (1 - mu . rho),   Sigma rho = mu.

rho is found without a graph, a few queries at a time. Everything else is products of (T, S) tables, since phi_i . rho
is a polynomial in k_i whose coefficients depend on the query (`_in_keys`), and sums of p_i phi_i follow from those over
plain keys (`_about`): so backward keeps T S numbers and never T F^2, and the residual mu - Sigma rho, which is nothing,
carries the gradients to what Sigma and mu are made of, the gradient by it being one more solution.
"""

from typing import Any

import torch
from torch import Tensor

from kernels.first_order import first_order
from kernels.local_polynomial.reference import Pairs
from kernels.whole import Whole

BLOCK = 128
"""Queries whose tables stand at once."""
ELEMENTS = 1 << 23
"""Most numbers of phi that stand at once while systems are solved."""
FLOOR = 1e-6
"""Of 1 - mu . rho, which is above 0 for a ridge above 0."""


def local_polynomial_attention(
    q: Tensor, k: Tensor, v: Tensor, scale: Tensor, ridge: Tensor, start: Tensor, order: int, pairs: Pairs | None
) -> Tensor:
    """As `reference.local_polynomial_attention`."""
    given = (q, k, v, scale, ridge, start, *(pairs or (None, None)))
    y: Tensor = _whole(*given, order=order) if torch.compiler.is_compiling() else _run(*given, order=order)
    return y


def _run(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: Tensor,
    ridge: Tensor,
    start: Tensor,
    first: Tensor | None,
    second: Tensor | None,
    *,
    order: int,
) -> Tensor:
    pairs = None if first is None or second is None else (first, second)
    before = k.shape[2] - q.shape[2]
    psi = k if pairs is None else torch.cat([k, k[..., pairs[0]] * k[..., pairs[1]]], -1)  # (B, H, S, F)
    outputs = []
    for n in range(0, q.shape[2], BLOCK):
        q_n = q[:, :, n : n + BLOCK]
        end = before + n + q_n.shape[2]
        slot, query = torch.arange(end, device=k.device), torch.arange(end - q_n.shape[2], end, device=k.device)
        seen = (slot <= query[:, None]) & (slot >= start[:, None, None, None])  # (B, 1, C, S)
        scores = scale[:, None, None] * (q_n @ k[:, :, :end].mT)
        p = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        if order > 0:
            p = _corrected(p, q_n, k[:, :, :end], psi[:, :, :end], ridge, pairs)
        outputs.append(p @ v[:, :, :end])
    return torch.cat(outputs, 2)


_whole = Whole(
    "local_polynomial_attention",
    run=_run,
    like=lambda q, k, v, *rest, order: v.new_empty(*q.shape[:3], v.shape[-1]),
)


def _corrected(p: Tensor, q: Tensor, k: Tensor, psi: Tensor, ridge: Tensor, pairs: Pairs | None) -> Tensor:
    """s (B, H, C, S) of p."""
    mu = _about(torch.ones_like(q[..., :1]), p @ psi, q, pairs)
    p_, q_, k_, ridge_ = (z.detach() for z in (p, q, k, ridge))
    with torch.no_grad():
        rho = solve(mu.detach(), p_, q_, k_, ridge_, pairs)
    weighted = p * _in_keys(rho, q, psi, pairs)
    residual = mu - _about(weighted.sum(-1, keepdim=True), weighted @ psi, q, pairs) - ridge[:, None, None] * rho
    rho = _Solved.apply(rho, residual, p_, q_, k_, ridge_, *(pairs or (None, None)))
    s = p * (1 - _in_keys(rho, q, psi, pairs))
    return s / s.sum(-1, keepdim=True).clamp_min(FLOOR)


class _Solved(torch.autograd.Function):
    """rho, as Sigma^{-1} applied to a residual that is nothing."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rho: Tensor, residual: Tensor, *system: Tensor | None) -> Tensor:
        return rho.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor | None, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    @first_order
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        p, q, k, ridge, first, second = ctx.saved_tensors
        found = solve(gradient, p, q, k, ridge, None if first is None else (first, second))
        return None, found, None, None, None, None, None, None


def solve(b: Tensor, p: Tensor, q: Tensor, k: Tensor, ridge: Tensor, pairs: Pairs | None) -> Tensor:
    """Sigma_t^{-1} b_t for every query, (B, H, C, F)."""
    size = max(1, ELEMENTS // max(1, k.shape[0] * k.shape[1] * k.shape[2] * b.shape[-1]))
    diagonal = ridge[:, None, None, None] * torch.eye(b.shape[-1], dtype=b.dtype, device=b.device)
    solutions = []
    for b_n, p_n, q_n in zip(*(z.split(size, 2) for z in (b, p, q)), strict=True):
        z = k[:, :, None] - q_n[:, :, :, None]  # (B, H, c, S, K)
        phi = z if pairs is None else torch.cat([z, z[..., pairs[0]] * z[..., pairs[1]]], -1)
        sigma = (p_n[..., None] * phi).mT @ phi + diagonal
        solutions.append(torch.cholesky_solve(b_n[..., None], torch.linalg.cholesky(sigma))[..., 0])
    return torch.cat(solutions, 2)


def _about(total: Tensor, moments: Tensor, q: Tensor, pairs: Pairs | None) -> Tensor:
    """sum_i u_i phi(k_i - q) from sum_i u_i (..., 1) and sum_i u_i psi(k_i), psi being phi of a plain key."""
    if pairs is None:
        return moments - total * q
    first, second = pairs
    plain, products = moments[..., : q.shape[-1]], moments[..., q.shape[-1] :]
    turned = plain[..., first] * q[..., second] + q[..., first] * plain[..., second]
    return torch.cat([plain - total * q, products - turned + total * q[..., first] * q[..., second]], -1)


def _in_keys(rho: Tensor, q: Tensor, psi: Tensor, pairs: Pairs | None) -> Tensor:
    """phi(k_i - q_t) . rho_t for every pair, (B, H, C, S)."""
    if pairs is None:
        return rho @ psi.mT - (rho * q).sum(-1, keepdim=True)
    first, second = pairs
    slope, bend = rho[..., : q.shape[-1]], rho[..., q.shape[-1] :]
    q_first, q_second = q[..., first], q[..., second]
    tilt = slope.index_add(-1, first, bend * q_second, alpha=-1).index_add(-1, second, bend * q_first, alpha=-1)
    level = (bend * q_first * q_second).sum(-1, keepdim=True) - (slope * q).sum(-1, keepdim=True)
    return torch.cat([tilt, bend], -1) @ psi.mT + level
