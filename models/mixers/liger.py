"""Liger: a pretrained decoder's own projections as a gated recurrence, half and half with a sliding window."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from kernels.gla import gated_linear_attention, value_gated_attention
from models.mixers.attention import norm_of
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.mixers.grouped import GroupedConfig, per_query_head
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class LigerConfig(GroupedConfig):
    window: int = 64
    """w, keys a query sees in the softmax half, its own among them."""
    kind: Literal["gla", "hgrn2", "gsa", "head"] = "gla"
    """The recurrence: a gate for each key channel, HGRN2's tied keys, gated slots, or one gate a head."""
    gate_temperature: float = 16.0
    """Divides the log forget gate, but for HGRN2's; larger remembers longer."""
    linear_share: float = 0.5
    """Of the recurrence in the sum; the window has the rest. The paper finds it important that they add up to 1."""
    learned_share: bool = False
    rotary: bool = True
    """In the window; the recurrence has no positions."""
    rotary_base: float = 10_000.0
    qk_norm: Literal["layer", "rms", "none"] = "none"
    """Of each head's queries and keys, before anything is made of them; decoders that have one keep it."""

    def __post_init__(self) -> None:
        GroupedConfig.__post_init__(self)
        if self.window < 1:
            raise ValueError(f"window is {self.window}, expected at least 1")
        if self.kind not in ("gla", "hgrn2", "gsa", "head"):
            raise ValueError(f"kind is {self.kind!r}, expected 'gla', 'hgrn2', 'gsa' or 'head'")
        if self.rotary and self.d_head % 2:
            raise ValueError(f"rotary positions turn pairs, and a head is {self.d_head} wide")


class LigerState(NamedTuple):
    S: Tensor  # (B, H_kv, d, d), float32 or wider; with slots, each head's slot values
    slot_keys: Tensor  # (B, H_kv, d, d) transposed, with slots; else (B, 0, d, d)
    k: Tensor  # (B, w-1, H_kv, d): the last keys, turned
    v: Tensor  # (B, w-1, H_kv, d)
    position: Tensor  # (B,) long: tokens seen


class Liger(SequenceMixer[LigerState]):
    """o_t = m phi(q_t)^T S_t + (1 - m) softmax over the last w keys, m = 0.5   (Lan et al. 2025, eqs. 9 to 11)

    with S_t = diag(alpha_t) S_{t-1} + phi(k_t) v_t^T, phi the softmax over a head's channels, and alpha made of the key
    itself, so that a pretrained model gains no parameter. The paper pools the key and takes a sigmoid; its code pools
    by the identity and takes alpha = sigmoid(k)^{1/16}, and so do we. No scale and no denominator. The kinds:

    gla: as above;  head: alpha from the mean of the key's channels, one a head (formula ours);
    hgrn2: log alpha = logsigmoid(k), and 1 - alpha in phi(k)'s place;
    gsa: d slots with keys K and values V, K_t = diag(alpha_t) K_{t-1} + (1 - alpha_t) k_t^T, V likewise, and
    o = V^T softmax(K q d^{-1/2}) (gated slot attention's; how Liger scales it is not known).

    The window covers exactly w keys (the official wrapper is off by one in some versions), turned by their positions.
    The state is H_kv (d^2 + 2 (w-1) d) + 1 numbers: the recurrence's S is kept once a key head, not once a query head.
    """

    def __init__(self, config: LigerConfig) -> None:
        super().__init__()
        self.config = c = config
        self.query = nn.Linear(c.d_model, c.n_heads * c.d_head, bias=False)
        self.key = nn.Linear(c.d_model, c.kv_heads * c.d_head, bias=False)
        self.value = nn.Linear(c.d_model, c.kv_heads * c.d_head, bias=False)
        self.out = nn.Linear(c.n_heads * c.d_head, c.d_model, bias=False)
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.normal_(linear.weight, std=0.02)
        self.q_norm, self.k_norm = norm_of(c.qk_norm, c.d_head), norm_of(c.qk_norm, c.d_head)
        share = torch.tensor(float(c.linear_share))
        if c.learned_share:
            self.linear_share = nn.Parameter(share)
        else:
            self.register_buffer("linear_share", share, persistent=False)

    def initial_state(self, batch: int) -> LigerState:
        c, weight = self.config, self.out.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        S = torch.zeros(batch, c.kv_heads, c.d_head, c.d_head, dtype=wide, device=weight.device)
        k = weight.new_zeros(batch, c.window - 1, c.kv_heads, c.d_head)
        position = torch.zeros(batch, dtype=torch.long, device=weight.device)
        return LigerState(S, S.clone() if c.kind == "gsa" else S[:, :0], k, k.clone(), position)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: LigerState | None = None
    ) -> tuple[Tensor, LigerState]:
        self.refuse_ids(ids)
        c = self.config
        state = self.initial_state(len(x)) if state is None else state
        lengths = None if mask is None else mask.sum(1)
        q, k, v = (f(x).unflatten(-1, (-1, c.d_head)) for f in (self.query, self.key, self.value))  # (B, T, H, d)
        q, k = self.q_norm(q), self.k_norm(k)
        linear, S, slot_keys = self._linear(q, k, v, mask, state)
        near, keys, values = self._window(q, k, v, lengths, state)
        share = self.linear_share.to(x.dtype)
        y = self.out((share * linear + (1 - share) * near).flatten(2))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        position = state.position + (x.shape[1] if lengths is None else lengths)
        return y, LigerState(S, slot_keys, keys, values, position)

    def _linear(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, state: LigerState
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The recurrent half's output (B, T, H, d), its state and its slot keys."""
        p, written, log_f, slot_keys = self.features(q, k, mask, state.slot_keys)
        o, S = gated_linear_attention(p, written.to(v.dtype), v.transpose(1, 2), log_f, state.S)
        return o.transpose(1, 2), S, slot_keys

    def features(
        self, q: Tensor, k: Tensor, mask: Tensor | None, slot_keys: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """With what the recurrence is asked and written to, its log gates, each (B, H or H_kv, T, d or 1), and the slot
        keys after it."""
        c = self.config
        wide = torch.promote_types(k.dtype, torch.float32)
        gate_logits = k.to(wide).mean(-1, keepdim=True) if c.kind == "head" else k.to(wide)
        log_f = F.logsigmoid(gate_logits) / (1.0 if c.kind == "hgrn2" else c.gate_temperature)
        written = k.softmax(-1) if c.kind in ("gla", "head") else -torch.expm1(log_f)  # 1 - alpha
        if mask is not None:
            # A padded step must leave S alone: forget nothing (log alpha = 0), write nothing.
            pad = ~mask[:, :, None, None]
            log_f, written = log_f.masked_fill(pad, 0.0), written.masked_fill(pad, 0.0)
        n = c.n_heads // c.kv_heads
        q, k, log_f, written = (z.transpose(1, 2) for z in (q, k, log_f, written.to(k.dtype)))  # (B, H, T, d)
        if c.kind != "gsa":
            return q.softmax(-1), written, log_f, slot_keys
        scores, slot_keys = value_gated_attention(q * c.d_head**-0.5, *per_query_head(n, k, written, log_f, slot_keys))
        return scores.softmax(-1), written, log_f, slot_keys[:, ::n]

    def _window(
        self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None, state: LigerState
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The softmax half's output (B, T, H, d), and the last w-1 keys and values after it."""
        c, n_tokens = self.config, q.shape[1]
        if c.rotary:
            positions = state.position[:, None] + torch.arange(n_tokens, device=q.device)
            q, k = rotary(q, positions, c.rotary_base), rotary(k, positions, c.rotary_base)
        keys, values = torch.cat([state.k, k], 1), torch.cat([state.v, v], 1)
        start = (c.window - 1 - state.position).clamp(min=0)
        pattern = Pattern(window=c.window - 1)
        near = attention(
            q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), pattern, Structure(start=start)
        )
        keys, values = (last(z, c.window - 1, n_tokens, lengths) for z in (keys, values))
        return near.transpose(1, 2), keys, values
