"""The same, a chunk at a time: the weights of a chunk's tokens are never built, only what they answer.

Within a chunk gradients are taken at its start, so all of them are known at once, each an outer product. With
r = keep, the weights after token t are

    W_t = B_t W + c_t S - sum_{i<=t} theta_i G_{ti} u_i,   B_t = prod r,   G_{ti} = sum_{i<=m<=t} (prod_{m<j<=t} r_j)
    (prod_{i<j<=m} eta_j),   c_t the same sum for the momentum S that the chunk began with

(derived from eq. 13 and 14; only non-negative terms, no division), and a query meets the outer products as scores.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from kernels.neural_memory.rule import Fast, Gates, Rule, Weights, activate, answer, gradients, norm, where


def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None
) -> tuple[Tensor, Fast]:
    """As `reference.neural_memory`, for rules without a map or read at the start of a chunk."""
    batch, _, n_tokens, _ = q.shape
    lengths = state.phase.new_full((batch,), n_tokens) if mask is None else mask.sum(1)
    weights, momentum, anchor, phase = state
    # Every row's tokens go to the slots that continue its own chunk, so that chunks begin in the same slots.
    n_slots = -(-(n_tokens + rule.chunk - 1) // rule.chunk) * rule.chunk if rule.chunk > 1 else n_tokens
    place = torch.arange(n_slots, device=q.device) - phase[:, None]  # (B, slots): the token of a slot
    real = (place >= 0) & (place < lengths[:, None])
    token = place.clamp(0, n_tokens - 1)
    q, k, v = (_slots(z, token[:, None, :, None]) for z in (q, k, v))
    step, log_keep, log_eta = (_slots(g, token[:, None, :]).masked_fill(~real[:, None], 0.0) for g in gates)
    anchor = where(phase == 0, weights, anchor)
    outputs = []
    for n in range(0, n_slots, rule.chunk):
        here = slice(n, n + rule.chunk)
        alive = real[:, here].any(1)
        anchor = anchor if n == 0 else where(alive, weights, anchor)
        q_n, k_n, v_n = (z[:, :, here] for z in (q, k, v))
        gates_n = Gates(*(g[:, :, here] for g in (step, log_keep, log_eta)))
        now = real[:, None, here].to(q.dtype)
        y, weights, momentum = _chunk(q_n, k_n, v_n, gates_n, now, weights, momentum, anchor, rule)
        outputs.append(y)
    back = (phase[:, None] + torch.arange(n_tokens, device=q.device))[:, None, :, None]
    y = _slots(torch.cat(outputs, 2), back)
    return y, Fast(weights, momentum, anchor, (phase + lengths) % rule.chunk)


def _slots(z: Tensor, places: Tensor) -> Tensor:
    return z.take_along_dim(places, 2)


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
    step, log_keep, log_eta = gates
    used = rule.used(anchor)
    pairs = gradients(used, k, v, log_keep.exp(), rule)
    size = q.shape[2]
    past = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    keep, eta = (_products(z, past) for z in (log_keep, log_eta))  # (B, H, C, C): over (i, t]
    added = keep * real[..., None, :]
    G = added @ eta  # (B, H, C, C)
    from_momentum = log_eta.cumsum(-1).exp()
    B, c = log_keep.cumsum(-1).exp(), (added @ from_momentum[..., None])[..., 0]
    last = (B[..., -1], c[..., -1], step * G[..., -1, :], from_momentum[..., -1], step * eta[..., -1, :])
    if rule.read == "start":
        y = answer(used, q, rule)
    else:
        if rule.read == "before":  # the row above, and for the first token the chunk's start
            B, c, G = pad(B, (1, 0), value=1.0)[..., :-1], pad(c, (1, 0))[..., :-1], pad(G, (0, 0, 1, 0))[..., :-1, :]
        y = _read(q, B, c, G * step[..., None, :], weights, momentum, pairs)
        y = q + norm(y) if rule.residual_norm else y
    B_end, c_end, reach, eta_end, reach_momentum = last
    after, moved = [], []
    for w, s, (e, a) in zip(weights, momentum, pairs, strict=True):
        after.append(_wide(B_end) * w + _wide(c_end) * s - (e * reach[..., None]).transpose(-1, -2) @ a)
        moved.append(_wide(eta_end) * s - (e * reach_momentum[..., None]).transpose(-1, -2) @ a)
    return y, tuple(after), tuple(moved)


def _read(
    x: Tensor,
    B: Tensor,
    c: Tensor,
    P: Tensor,
    weights: Weights,
    momentum: Weights,
    pairs: list[tuple[Tensor, Tensor]],
) -> Tensor:
    for i, (w, s, (e, a)) in enumerate(zip(weights, momentum, pairs, strict=True)):
        x = activate(x) if i else x
        kept = B[..., None] * (x @ w.transpose(-1, -2)) + c[..., None] * (x @ s.transpose(-1, -2))
        x = kept - ((x @ a.transpose(-1, -2)) * P) @ e
    return x


def _products(logs: Tensor, past: Tensor) -> Tensor:
    """prod_{i<j<=t} exp(logs_j) at (t, i), 0 where i > t."""
    sums = logs.cumsum(-1)
    return (sums[..., :, None] - sums[..., None, :]).masked_fill(~past, -torch.inf).exp()


def _wide(x: Tensor) -> Tensor:
    return x[..., None, None]
