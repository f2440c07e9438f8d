"""Mixers that read two pasts at once, an open one and a closed or a near one, as dynamical systems."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.gla import gated_linear_attention
from kernels.rat import chunk_scan
from models.mixers.dynamical import DynamicalSystem, added, asking, associative, every_value, finished, remembering
from models.mixers.liger import Liger
from models.mixers.lizard import Lizard
from models.mixers.rat import RAT
from models.positions import rotary


def rat_system(mixer: RAT, x: Tensor) -> DynamicalSystem:
    """The state is a slot a chunk, N = D T / L: that of the token's own chunk decays by its gate and is written to, the
    others stay."""
    c, (batch, n_tokens, _) = mixer.config, x.shape
    z, g, v, q, k = mixer.parts(x)
    nothing = mixer.initial_state(batch)
    averages, _ = chunk_scan(k, v, g, c.chunk, nothing.position, nothing.k, nothing.v)
    q, chunk = q.repeat(1, 1, c.n_heads // c.groups, 1), torch.arange(n_tokens, device=x.device) // c.chunk  # (T,)
    if c.rotary:
        q, averages = (rotary(y, chunk.expand(batch, -1), c.rotary_base) for y in (q, averages))
    n_chunks = -(-n_tokens // c.chunk)
    own = F.one_hot(chunk, n_chunks).bool()  # (T, J)
    ends = (c.chunk * torch.arange(1, n_chunks + 1, device=x.device) - 1).clamp(max=n_tokens - 1)
    scores = torch.einsum("bthp,bjhp->bthj", q, averages[:, ends])
    scores = torch.where(own[:, None], (q * averages).sum(-1, keepdim=True), scores) * c.d_head**-0.5
    later = torch.arange(n_chunks, device=x.device) > chunk[:, None]
    weights = scores.masked_fill(later[:, None], -torch.inf).softmax(-1)  # (B, T, H, J)

    g = g.flatten(2)[:, :, None]  # (B, T, 1, D)
    A = torch.where(own[..., None], g, 1.0)  # (B, T, J, D)
    start = mixer.widths[0] + mixer.widths[1]
    value = mixer.project.weight[start : start + c.d_model]
    B = (own[..., None] * (1 - g))[..., None] * value
    # A slot is of all heads, and `asking` has each head's slots together.
    A, B = (y.unflatten(3, (c.n_heads, -1)).transpose(2, 3).flatten(2, 4) for y in (A, B))
    C = asking(weights, c.n_heads, torch.eye(c.d_head, dtype=x.dtype, device=x.device))
    return finished(
        DynamicalSystem(A, B, C, x.new_zeros(*C.shape[:3], c.d_model)), x, c.n_heads, mixer.out, gate=z.sigmoid()
    )


def lizard_system(mixer: Lizard, x: Tensor) -> DynamicalSystem:
    """The gated branch's normaliser stands in C; the window's state is every token's value."""
    c, systems = mixer.config, []
    q, k = (f(x).unflatten(-1, (-1, c.d_head)) for f in (mixer.query, mixer.key))
    q, k = mixer.q_norm(q), mixer.k_norm(k)
    value = mixer.value.weight.unflatten(0, (c.kv_heads, -1))
    if c.branches != "window":
        phi, psi = mixer._phi(q, mixer.query_features), mixer._phi(k, mixer.key_features)
        log_f = mixer.log_gate(x, k).expand_as(psi)
        if c.norm == "row":
            asked, told, gates = (z.transpose(1, 2) for z in (phi, psi, log_f))
            S = x.new_zeros(len(x), c.kv_heads, c.d_phi, 1)
            total, _ = gated_linear_attention(asked, told, torch.ones_like(told[..., :1]), gates, S)
            phi = phi / total.transpose(1, 2)
        systems.append(associative(log_f.exp(), psi[..., None, :], phi, value[:, None]))
    if c.branches != "linear":
        keys, values = (F.pad(z, (0, 0, 0, 0, c.window - 1, 0)) for z in (k, every_value(x, c.kv_heads)))
        weights = mixer._window(q, keys, values, mixer.initial_state(len(x)).position).transpose(1, 2)
        systems.append(remembering(mixer.window_share * weights if c.branches == "both" else weights, value))
    return finished(added(*systems) if len(systems) > 1 else systems[0], x, c.n_heads, mixer.out)


def liger_system(mixer: Liger, x: Tensor) -> DynamicalSystem:
    """Slots' keys are the input's alone, so with them too a value is written and decays; beside it a window."""
    c, state = mixer.config, mixer.initial_state(len(x))
    q, k = (f(x).unflatten(-1, (-1, c.d_head)) for f in (mixer.query, mixer.key))
    q, k = mixer.q_norm(q), mixer.k_norm(k)
    phi, psi, log_f, _ = mixer.features(q, k, None, state.slot_keys)
    value = mixer.value.weight.unflatten(0, (c.kv_heads, -1))
    share = mixer.linear_share
    decay, psi, phi = (z.transpose(1, 2) for z in (log_f.exp().expand_as(psi), psi, share * phi))
    linear = associative(decay, psi[..., None, :], phi, value[:, None])
    state = state._replace(v=x.new_zeros(*state.v.shape[:-1], x.shape[1]))
    near, _, _ = mixer._window(q, k, every_value(x, c.kv_heads), None, state)
    return finished(added(linear, remembering((1 - share) * near.transpose(1, 2), value)), x, c.n_heads, mixer.out)
