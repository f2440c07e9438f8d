"""The same, a chunk at a time: the weights of a chunk's tokens are never built, only what they answer.

Within a chunk gradients are taken at its start, so all of them are known at once, each an outer product. With
r = keep, the weights after token t are

    W_t = B_t W + c_t S - sum_{i<=t} theta_i G_{ti} u_i,   B_t = prod r,   G_{ti} = sum_{i<=m<=t} (prod_{m<j<=t} r_j)
    (prod_{i<j<=m} eta_j),   c_t the same sum for the momentum S that the chunk began with

(derived from eq. 13 and 14; only non-negative terms, no division), and a query meets the outer products as scores.
"""

import torch
from torch import Tensor

from kernels.neural_memory.rule import Fast, Gates, Rule, Weights, activate, answer, gradients, norm, where
from kernels.neural_memory.slots import in_slots, of_tokens
from kernels.neural_memory.tables import Tables, tables


def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None
) -> tuple[Tensor, Fast]:
    """As `reference.neural_memory`, for rules that do not settle and have no map or are read at a chunk's start."""
    slots = in_slots(q, k, v, gates, state, rule, mask)
    weights, momentum, anchor, phase = state
    anchor = where(phase == 0, weights, anchor)
    # Cut once: each slice of its own would have a gradient as long as the text.
    chunks = zip(*(z.split(rule.chunk, 2) for z in slots[:3]), slots.gates.split(rule.chunk), strict=True)
    outputs: list[Tensor] = []
    for real, (q_n, k_n, v_n, gates_n) in zip(slots.real.split(rule.chunk, 1), chunks, strict=True):
        anchor = where(real.any(1), weights, anchor) if outputs else anchor
        now = real[:, None].to(q.dtype)
        y, weights, momentum = _chunk(q_n, k_n, v_n, gates_n, now, weights, momentum, anchor, rule)
        outputs.append(y)
    y = of_tokens(torch.cat(outputs, 2), slots)
    return y, Fast(weights, momentum, anchor, (phase + slots.lengths) % rule.chunk)


def _chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    real: Tensor,
    weights: Weights,
    momentum: Weights,
    anchor: Weights,
    rule: Rule,
) -> tuple[Tensor, Weights, Weights]:
    """One chunk's answers (B, H, C, d), and the weights and the momentum after it."""
    used = rule.used(anchor)
    pairs = gradients(used, k, v, gates, rule)
    if gates.by_channel:  # a row of the matrix is a memory of its own, with tables of its own
        left = tables(gates._replace(**{n: getattr(gates, n).mT for n in Gates._fields[:3]}), real[:, :, None], rule)
    else:
        left = tables(gates, real, rule)
    if rule.read == "start":
        y = answer(used, q, rule)
    else:
        y = _read(q, left, weights, momentum, pairs, rule)
        y = q + norm(y) if rule.residual_norm else y
    after, moved = [], []
    for w, s, (e, a) in zip(weights, momentum, pairs, strict=True):
        after.append(_by_row(left.B_end) * w + _by_row(left.c_end) * s - (e * _by_token(left.reach)).mT @ a)
        moved.append(_by_row(left.eta_end) * s - (e * _by_token(left.reach_momentum)).mT @ a)
    return y, tuple(after), tuple(moved)


def _read(
    x: Tensor, left: Tables, weights: Weights, momentum: Weights, pairs: list[tuple[Tensor, Tensor]], rule: Rule
) -> Tensor:
    for i, (w, s, (e, a)) in enumerate(zip(weights, momentum, pairs, strict=True)):
        x = activate(x, rule) if i else x
        kept = _by_token(left.B) * (x @ w.mT) + _by_token(left.c) * (x @ s.mT)
        scores = x @ a.mT  # (B, H, C, C)
        if left.P.dim() == 5:
            x = kept - torch.einsum("bhtj,bhitj,bhji->bhti", scores, left.P, e)
        else:
            x = kept - (scores * left.P) @ e
    return x


def _by_row(gate: Tensor) -> Tensor:
    """(B, H) for a matrix, or (B, H, d) for its rows."""
    return gate[..., None] if gate.dim() == 3 else gate[..., None, None]


def _by_token(gate: Tensor) -> Tensor:
    """(B, H, C) for tokens, or (B, H, d, C) for their channels."""
    return gate.mT if gate.dim() == 4 else gate[..., None]
