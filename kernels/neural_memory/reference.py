"""What a memory that learns while it reads means, token by token."""

import torch
from torch import Tensor

from kernels.neural_memory.rule import Fast, Gates, Rule, answer, gradients, where


def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, gates: Gates, state: Fast, rule: Rule, mask: Tensor | None
) -> tuple[Tensor, Fast]:
    """u_t = grad_W loss(M_a(k_t), v_t),  S_t = eta_t S_{t-1} - theta_t u_t,  W_t = keep_t W_{t-1} + S_t,  y_t = M(q_t)

    (Titans, Behrouz et al. 2024, eq. 12 to 15), with gradients at the weights a as they stood at the start of the
    token's chunk (eq. 16; chunks of one are the online rule).
    """
    weights, momentum, anchor, phase = state
    outputs = []
    reals = mask.unbind(1) if mask is not None else [torch.ones_like(phase, dtype=torch.bool)] * q.shape[2]
    tokens = zip(*(z.split(1, 2) for z in (q, k, v)), gates.split(1), reals, strict=True)
    for q_t, k_t, v_t, gates_t, real in tokens:
        anchor = where(real & (phase == 0), weights, anchor)
        pairs = gradients(rule.used(anchor), k_t, v_t, gates_t, rule)
        step, log_keep, log_momentum, _ = gates_t
        theta, keep, eta = (_by_row(gate[:, :, 0]) for gate in (step, log_keep.exp(), log_momentum.exp()))
        moved = tuple(eta * s - theta * (e.transpose(-1, -2) @ a) for s, (e, a) in zip(momentum, pairs, strict=True))
        learned = tuple(keep * w + s for w, s in zip(weights, moved, strict=True))
        learned = learned if rule.settle is None else rule.settle(learned, theta)
        seen = {"after": learned, "before": weights, "start": anchor}[rule.read]
        outputs.append(answer(rule.used(seen), q_t, rule))
        weights, momentum = where(real, learned, weights), where(real, moved, momentum)
        phase = torch.where(real, (phase + 1) % rule.chunk, phase)
    return torch.cat(outputs, 2), Fast(weights, momentum, anchor, phase)


def _by_row(gate: Tensor) -> Tensor:
    """(B, H, 1, 1) of (B, H), or (B, H, d, 1) of (B, H, d)."""
    return gate[..., None] if gate.dim() == 3 else gate[..., None, None]
