"""What the mixers with a key cache share: projections, positions, the cache, and the call of the op."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.positions import alibi, rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionConfig:
    d_model: int
    n_heads: int = 4
    n_kv_heads: int | None = None
    """Key and value heads, each shared by n_heads / n_kv_heads query heads; None is n_heads."""
    d_head: int | None = None
    """None is d_model / n_heads."""
    causal: bool = True
    window: int | None = None
    """A token sees this many before it (and after it, if not causal); None is no limit, and the cache then grows."""
    positions: Literal["rotary", "alibi", "learned", "none"] = "rotary"
    rotary_base: float = 10_000.0
    n_distances: int = 128
    """With learned positions: how many distances have a bias of their own; further ones share the last."""
    qk_norm: Literal["layer", "rms", "none"] = "none"
    """Of each head's queries and keys, before they are turned."""
    only: Literal["same", "other"] | None = None
    """With ids: a token sees those of its own id alone, or those of other ids alone. Then the mixer takes ids."""
    bias: bool = False
    """In the four projections."""
    dropout: float = 0.0
    """Of the attention weights."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or (self.d_head is None and self.d_model % self.n_heads):
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}, and no d_head is given"
            )
        if self.n_heads % self.key_heads or self.key_heads < 1:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}")
        for name, allowed in (
            ("positions", ("rotary", "alibi", "learned", "none")),
            ("qk_norm", ("layer", "rms", "none")),
            ("only", ("same", "other", None)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {allowed}")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(f"rotary positions turn pairs, and a head is {self.head_width} wide")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window is {self.window}, expected at least 1, or None for no limit")
        if self.n_distances < 1:
            raise ValueError(f"n_distances is {self.n_distances}, expected at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")

    @property
    def key_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_width(self) -> int:
        return self.d_model // self.n_heads if self.d_head is None else self.d_head


def norm_of(kind: Literal["layer", "rms", "none"], width: int) -> nn.Module:
    """A norm over the last axis. Its epsilon is the same in every dtype, which RMSNorm's default is not."""
    if kind == "none":
        return nn.Identity()
    return nn.LayerNorm(width, eps=1e-6) if kind == "layer" else nn.RMSNorm(width, eps=1e-6)


class AttentionState(NamedTuple):
    """A key cache of S slots, the newest token in the last. S is the window; without one every chunk adds its T."""

    k: Tensor  # (B, S, G, K), turned to their positions
    v: Tensor  # (B, S, G, K)
    ids: Tensor  # (B, S) long; (B, 0) where the mixer takes none
    position: Tensor  # (B,) long: tokens seen, which the last min(S, position) slots hold


class AttentionMixer(SequenceMixer[AttentionState]):
    """Projections, positions and cache around `kernels.attention`; a subclass says how a score becomes a weight."""

    kind: Literal["softmax", "sigmoid", "exp"]

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        self.streams, self.takes_ids = config.causal, config.only is not None
        d, width = config.d_model, config.head_width
        self.widths = [config.n_heads * width, config.key_heads * width, config.key_heads * width]
        self.project = nn.Linear(d, sum(self.widths), bias=config.bias)  # q, k, v
        self.out = nn.Linear(self.widths[0], d, bias=config.bias)
        self.q_norm, self.k_norm = norm_of(config.qk_norm, width), norm_of(config.qk_norm, width)
        if config.positions == "learned":
            n_tables = 1 if config.causal else 2
            self.relative = nn.Parameter(torch.zeros(1, config.n_heads, n_tables * config.n_distances - n_tables + 1))

    def initial_state(self, batch: int) -> AttentionState:
        c, weight = self.config, self.out.weight
        slots = (c.window or 0) if c.causal else 0
        k = weight.new_zeros(batch, slots, c.key_heads, c.head_width)
        ids = torch.zeros(batch, slots if self.takes_ids else 0, dtype=torch.long, device=weight.device)
        return AttentionState(k, k.clone(), ids, ids.new_zeros(batch))

    def state_floats(self, n_tokens: int) -> int:
        if not self.config.causal:
            return 1
        slots = n_tokens if self.config.window is None else self.config.window
        return slots * (2 * self.widths[1] + self.takes_ids) + 1

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
        state: AttentionState | None = None,
    ) -> tuple[Tensor, AttentionState]:
        c = self.config
        batch, n_tokens, _ = x.shape
        if not self.takes_ids:
            self.refuse_ids(ids)
        elif ids is None or ids.shape != x.shape[:2]:
            raise ValueError(f"ids is {None if ids is None else tuple(ids.shape)}, expected {(batch, n_tokens)}")
        lengths = None if mask is None else mask.sum(1)
        if state is None or not c.causal:
            state = self.initial_state(batch)
        positions = state.position[:, None] + torch.arange(n_tokens, device=x.device)  # (B, T)
        q, k, v = self.project(x).split(self.widths, -1)
        q, k, v = (z.unflatten(-1, (-1, c.head_width)) for z in (q, k, v))  # (B, T, H or G, K)
        q, k, v = self.q_norm(q), self.k_norm(k), self.values(v, x)
        if c.positions == "rotary":
            q, k = rotary(q, positions, c.rotary_base), rotary(k, positions, c.rotary_base)

        fresh = state.k.shape[1] == 0
        # Under autocast the projections, the norms and the cache may each have a dtype of their own.
        dtype = v.dtype if fresh else state.k.dtype
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
        keys, values = (k, v) if fresh else (torch.cat([state.k, k], 1), torch.cat([state.v, v], 1))
        all_ids = torch.cat([state.ids, ids.long()], 1) if ids is not None else None
        before = 0 if fresh else state.k.shape[1]
        structure = Structure(
            start=None if fresh else (before - state.position).clamp(min=0),
            # A causal query sees no padding anyhow, padding being on the right.
            end=None if lengths is None or c.causal else lengths,
            ids=all_ids,
            relative=self._relative(keys.shape[1]),
            offset=self.offset(positions, lengths),
        )
        dropout = c.dropout if self.training else 0.0
        pattern = Pattern(kind=self.kind, causal=c.causal, window=c.window, only=c.only, dropout=dropout)
        o = attention(q.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), pattern, structure)
        o = self.answers(o.transpose(1, 2), x, positions, lengths)  # (B, T, H, K)
        y = self.finish(self.out(o.flatten(2)))
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        if not c.causal:
            return y, state
        slots = before + n_tokens if c.window is None else c.window
        keys, values = (last(z, slots, n_tokens, lengths) for z in (keys, values))
        all_ids = state.ids if all_ids is None else last(all_ids, slots, n_tokens, lengths)
        return y, AttentionState(keys, values, all_ids, state.position + (n_tokens if lengths is None else lengths))

    def offset(self, positions: Tensor, lengths: Tensor | None) -> Tensor | None:
        """What is added to all of a query's scores, (B or 1, H or 1, T or 1); nothing unless a subclass has it."""
        return None

    def values(self, v: Tensor, x: Tensor) -> Tensor:
        """The values v (B, T, G, K) as the cache keeps them; x (B, T, D) is what they were made of."""
        return v

    def answers(self, o: Tensor, x: Tensor, positions: Tensor, lengths: Tensor | None) -> Tensor:
        """The heads' answers o (B, T, H, K) before the last projection."""
        return o

    def finish(self, y: Tensor) -> Tensor:
        """The last word on y (B, T, D) before padding is cleared."""
        return y

    def n_visible(self, positions: Tensor, lengths: Tensor | None) -> Tensor:
        """How many keys a token sees, ids not looked at, (B, T) long; at least 1, which padding may not."""
        window = self.config.window
        if self.config.causal:
            return (positions if window is None else positions.clamp(max=window)) + 1
        end = positions.new_full((len(positions), 1), positions.shape[1]) if lengths is None else lengths[:, None]
        if window is None:
            return end.clamp(min=1).expand_as(positions)
        return (torch.minimum(positions + window + 1, end) - (positions - window).clamp(min=0)).clamp(min=1)

    def _relative(self, n_keys: int) -> Tensor | None:
        c = self.config
        if c.positions == "learned":
            return self.relative
        if c.positions == "alibi":
            width = n_keys if c.window is None else min(n_keys, c.window + 1)
            return alibi(c.n_heads, width, c.causal, self.out.weight.device).to(self.out.weight.dtype)
        return None
