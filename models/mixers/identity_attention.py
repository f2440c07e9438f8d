"""Identity-masked attention: who spoke decides which key is seen (EmotionIC's global branch)."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.positions import sinusoidal


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityAttentionConfig:
    d_model: int
    n_heads: int = 8
    window: int = 128
    """How far a token sees, to either side; what it costs in memory is T times this."""
    causal: bool = False
    """True for live chat. False sees later tokens, and then there is no step."""
    positions: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    dropout: float = 0.0
    """Of the attention weights."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.window < 1:
            raise ValueError(f"window is {self.window}, expected at least 1")
        if self.positions not in ("sinusoidal", "learned", "none"):
            raise ValueError(f"positions is {self.positions!r}, expected 'sinusoidal', 'learned' or 'none'")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")


class IdentityAttentionState(NamedTuple):
    """The last W tokens, W = window, the newest in the last slot; W = 0 where the mixer is not causal."""

    k_same: Tensor  # (B, W, H, K)
    k_other: Tensor  # (B, W, H, K)
    v: Tensor  # (B, W, H, K)
    ids: Tensor  # (B, W) long
    n_seen: Tensor  # (B,) long: how many slots hold a token


class IdentityAttention(SequenceMixer[IdentityAttentionState]):
    """One joint softmax over both kinds of key   (EmotionIC, identity-masked multi-head attention):

    score_ij = (q_i . kS_j + pS_{i-j}) / sqrt(K)  where i and j have one speaker, j = i included;
    score_ij = (q_i . kO_j + pO_{i-j}) / sqrt(K)  where they have not;  |i - j| <= window.

    ids (B, T) are the speakers; no T x T mask is made of them. Two things differ from the official code, where they
    were faults: the scores are divided by sqrt(K), and a position is the distance i - j, so that neither padding nor
    the length of the history can matter. "sinusoidal" keeps its form, pS_d = pq . pkS_d with projections pq of the
    sinusoid at 0 and pkS, pkO of the sinusoid at distance d; "learned" is a number per head, kind and distance.

    The state of the causal form is a cache of W tokens, 12 W D + 8 W + 8 bytes a row in float32.
    """

    takes_ids = True

    def __init__(self, config: IdentityAttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.streams = config.causal
        d = config.d_model
        self.project = nn.Linear(d, 4 * d, bias=False)  # q, kS, kO, v
        self.out = nn.Linear(d, d)
        n_distances = config.window + 1 if config.causal else 2 * config.window + 1
        if config.positions == "learned":
            self.relative = nn.Parameter(torch.zeros(2, config.n_heads, n_distances))
        elif config.positions == "sinusoidal":
            self.position = nn.Linear(d // config.n_heads, 3 * d, bias=False)  # pq, pkS, pkO
        self.pattern = Pattern(causal=config.causal, window=config.window)
        self.dropping = Pattern(causal=config.causal, window=config.window, dropout=config.dropout)

    def initial_state(self, batch: int) -> IdentityAttentionState:
        c, weight = self.config, self.out.weight
        window = c.window if c.causal else 0
        keys = weight.new_zeros(batch, window, c.n_heads, c.d_model // c.n_heads)
        ids = torch.zeros(batch, window, dtype=torch.long, device=weight.device)
        return IdentityAttentionState(keys, keys.clone(), keys.clone(), ids, ids.new_zeros(batch))

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: IdentityAttentionState | None = None,
    ) -> tuple[Tensor, IdentityAttentionState]:
        batch, n_tokens, d = x.shape
        if ids is None or ids.shape != x.shape[:2]:
            raise ValueError(f"ids is {None if ids is None else tuple(ids.shape)}, expected {(batch, n_tokens)}")
        lengths = None if mask is None else mask.sum(1)
        heads = self.project(x).view(batch, n_tokens, 4, self.config.n_heads, d // self.config.n_heads)
        q, k_same, k_other, v = heads.unbind(2)  # (B, T, H, K)
        ids = ids.long()
        start, before = None, 0
        if state is not None and self.config.causal:
            before = self.config.window
            # Under autocast the projections are narrower than the cache.
            q, k_same, k_other, v = (z.to(state.v.dtype) for z in (q, k_same, k_other, v))
            k_same = torch.cat([state.k_same, k_same], 1)
            k_other = torch.cat([state.k_other, k_other], 1)
            v = torch.cat([state.v, v], 1)
            ids = torch.cat([state.ids, ids], 1)
            start = before - state.n_seen
        structure = Structure(
            start=start,
            end=None if lengths is None else before + lengths,
            ids=ids,
            k_other=k_other.transpose(1, 2),
            relative=self.position_scores(),
        )
        pattern = self.dropping if self.training else self.pattern
        o = attention(q.transpose(1, 2), k_same.transpose(1, 2), v.transpose(1, 2), pattern, structure)  # (B, H, T, K)
        y = self.out(o.transpose(1, 2).reshape(batch, n_tokens, d))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)

        if not self.config.causal:
            return y, self.initial_state(batch) if state is None else state
        n_seen = ids.new_zeros(batch) if state is None else state.n_seen
        n_seen = (n_seen + (n_tokens if lengths is None else lengths)).clamp(max=self.config.window)
        k_same, k_other, v, ids = (last(z, self.config.window, n_tokens, lengths) for z in (k_same, k_other, v, ids))
        return y, IdentityAttentionState(k_same, k_other, v, ids, n_seen)

    def position_scores(self) -> Tensor | None:
        """pS and pO by distance i - j, over sqrt(K): (2, H, distances), or None without positions."""
        c = self.config
        if c.positions == "none":
            return None
        width = c.d_model // c.n_heads
        if c.positions == "learned":
            return self.relative / math.sqrt(width)
        distances = torch.arange(0 if c.causal else -c.window, c.window + 1, device=self.position.weight.device)
        table = sinusoidal(distances, width).to(self.position.weight.dtype)
        pq, _, _ = self.position(table[0 if c.causal else c.window]).view(3, c.n_heads, width).unbind(0)
        _, pk_same, pk_other = self.position(table).view(-1, 3, c.n_heads, width).unbind(1)
        return torch.einsum("hk,nphk->nhp", pq, torch.stack([pk_same, pk_other])) / math.sqrt(width)
