"""DiffQKV: attention with fewer and narrower keys than values, and queries that cost no cache made larger."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from models.mixers.attention import norm_of
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.mixers.pieces import by_pieces
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffQKVConfig:
    d_model: int
    n_heads: int = 8
    n_key_heads: int = 2
    """Each shared by n_heads / n_key_heads query heads."""
    n_value_heads: int = 4
    """Likewise, by a grouping of its own."""
    d_key: int | None = None
    """Cached width of a key; None is a head's. Where it differs, a map per key head leads to a head's width."""
    expand: Literal["linear", "mlp"] = "linear"
    """That map: a matrix, which is folded into the query and costs a step nothing; or two layers with SiLU between,
    which every cached key goes through anew at every call. The paper says "feed-forward" and no more."""
    d_augmented: int | None = None
    """Middle width of the SwiGLU block that makes the queries; None is 1.5 d_model, 0 a plain projection."""
    window: int | None = None
    """A token sees this many before it; None is no limit, and the cache then grows."""
    selected_values: int | None = None
    """In evaluation, how many of each head's likeliest tokens have their values read; None is all."""
    qk_norm: Literal["layer", "rms", "none"] = "none"
    """Of a head's queries before the keys' map is folded into them, and of keys in their cached width; the paper leaves
    it open."""
    renormalise: bool = False
    """The weights of the selected ones are made to sum to 1 again; the paper does not say."""
    positions: Literal["rotary", "none"] = "rotary"
    """Keys are turned in their cached width, so that the map to a head's width can be folded into the query; those that
    go through an mlp behind it, since no layer of it would leave the angles alone."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        for name, n in (("n_key_heads", self.n_key_heads), ("n_value_heads", self.n_value_heads)):
            if n < 1 or self.n_heads % n:
                raise ValueError(f"n_heads {self.n_heads} is not a multiple of {name} {n}")
        if self.key_width < 1 or self.augmented < 0 or (self.positions == "rotary" and self.turned % 2):
            raise ValueError(f"d_key {self.d_key} must be positive, and even under rotary positions")
        if self.qk_norm not in ("layer", "rms", "none"):
            raise ValueError(f"qk_norm is {self.qk_norm!r}, expected 'layer', 'rms' or 'none'")
        if self.expand not in ("linear", "mlp") or (self.expand == "mlp" and self.key_width == self.d_head):
            raise ValueError(
                f"expand is {self.expand!r}, expected 'linear', or 'mlp' where d_key is not a head's width"
            )
        if any(n is not None and n < 1 for n in (self.window, self.selected_values)):
            raise ValueError(f"window {self.window} and selected_values {self.selected_values} must be positive")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def key_width(self) -> int:
        return self.d_head if self.d_key is None else self.d_key

    @property
    def turned(self) -> int:
        """The width in which keys are turned by their positions."""
        return self.key_width if self.expand == "linear" else self.d_head

    @property
    def augmented(self) -> int:
        return 3 * self.d_model // 2 if self.d_augmented is None else self.d_augmented


class DiffQKVState(NamedTuple):
    k: Tensor  # (B, S, G_k, d_key), turned by their positions unless an mlp is still to widen them
    v: Tensor  # (B, S, G_v, K)
    position: Tensor  # (B,) long: tokens seen


class DiffQKV(SequenceMixer[DiffQKVState]):
    """alpha_h = softmax(q_h . U k_{h G_k/H} / sqrt(K)),  o_h = sum alpha_h v_{h G_v/H}   (Sigma, Hu et al. 2025)

    with q = W_down(silu(W_gate q_0) * (W_up q_0)), q_0 = W_q x: "augmented Q" is a SwiGLU block on the query, not a
    wider head (the paper's appendix). U is folded into the query, q' = U^T q, which the paper leaves open, so that
    narrow keys cost nothing at decoding; with `expand="mlp"` the cached keys are made wide instead, at every call. How
    weights start it does not say: as PyTorch's do.

    The state is S (G_k d_key + G_v K) numbers a row for S tokens seen.
    """

    def __init__(self, config: DiffQKVConfig) -> None:
        super().__init__()
        self.config = c = config
        d = c.d_model
        self.query = nn.Linear(d, d, bias=False)
        if c.augmented:
            self.augment_gate, self.augment_up = (nn.Linear(d, c.augmented, bias=False) for _ in range(2))
            self.augment_down = nn.Linear(c.augmented, d, bias=False)
        self.key = nn.Linear(d, c.n_key_heads * c.key_width, bias=False)
        self.value = nn.Linear(d, c.n_value_heads * c.d_head, bias=False)
        self.q_norm, self.k_norm = norm_of(c.qk_norm, c.d_head), norm_of(c.qk_norm, c.key_width)
        if c.key_width != c.d_head:
            self.expand = nn.Parameter(torch.randn(c.n_key_heads, c.d_head, c.key_width) * c.key_width**-0.5)
        if c.expand == "mlp":
            self.expand_on = nn.Parameter(torch.randn(c.n_key_heads, c.d_head, c.d_head) * c.d_head**-0.5)
        self.out = nn.Linear(d, d, bias=False)

    def initial_state(self, batch: int) -> DiffQKVState:
        c, weight = self.config, self.out.weight
        k = weight.new_zeros(batch, c.window or 0, c.n_key_heads, c.key_width)
        v = weight.new_zeros(batch, c.window or 0, c.n_value_heads, c.d_head)
        return DiffQKVState(k, v, torch.zeros(batch, dtype=torch.long, device=weight.device))

    def state_floats(self, n_tokens: int) -> int:
        c = self.config
        slots = n_tokens if c.window is None else c.window
        return slots * (c.n_key_heads * c.key_width + c.n_value_heads * c.d_head) + 1

    def queries(self, x: Tensor) -> Tensor:
        """(B, T, H, d_key), U folded in where it is a matrix."""
        c = self.config
        q: Tensor = self.query(x)
        if c.augmented:
            q = self.augment_down(F.silu(self.augment_gate(q)) * self.augment_up(q))
        q = self.q_norm(q.unflatten(-1, (c.n_heads, c.d_head)))
        if c.key_width == c.d_head or c.expand == "mlp":
            return q
        grouped = q.unflatten(2, (c.n_key_heads, -1))
        return torch.einsum("btgrd,gdk->btgrk", grouped, self.expand.to(q.dtype)).flatten(2, 3)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: DiffQKVState | None = None
    ) -> tuple[Tensor, DiffQKVState]:
        self.refuse_ids(ids)
        c = self.config
        batch, n_tokens, _ = x.shape
        fresh = state is None and c.window is None
        state = self.initial_state(batch) if state is None else state
        lengths = None if mask is None else mask.sum(1)
        now = torch.arange(n_tokens, device=x.device)
        positions = state.position[:, None] + now
        q, k = self.queries(x), self.k_norm(self.key(x).unflatten(-1, (c.n_key_heads, c.key_width)))
        v = self.value(x).unflatten(-1, (c.n_value_heads, c.d_head))
        if c.positions == "rotary":
            q, k = rotary(q, positions), rotary(k, positions) if c.expand == "linear" else k
        k, v = torch.cat([state.k, k.to(state.k.dtype)], 1), torch.cat([state.v, v.to(state.v.dtype)], 1)
        # Rows are right-aligned: what lies before a row's first key means nothing.
        start = None if fresh else (k.shape[1] - n_tokens - state.position).clamp(min=0)
        wide = k if c.expand == "linear" else self._expanded(k, state.position - state.k.shape[1])
        y = self.out(self._attend(q.to(k.dtype), wide, v, start).flatten(2))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        slots = k.shape[1] if c.window is None else c.window
        k, v = (last(z, slots, n_tokens, lengths) for z in (k, v))
        return y, DiffQKVState(k, v, state.position + (n_tokens if lengths is None else lengths))

    def _expanded(self, k: Tensor, first: Tensor) -> Tensor:
        """Cached keys (B, S, G_k, d_key) made wide, (B, S, G_k, K), and turned; each row's first slot is at `first`."""
        k = torch.einsum("bsgk,gdk->bsgd", k, self.expand.to(k.dtype))
        k = torch.einsum("bsgd,ged->bsge", F.silu(k), self.expand_on.to(k.dtype))
        if self.config.positions == "none":
            return k
        return rotary(k, first[:, None] + torch.arange(k.shape[1], device=k.device))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, start: Tensor | None) -> Tensor:
        """(B, T, H, K). Keys and values are each repeated to the query heads: their groups differ."""
        c = self.config
        k = k.repeat_interleave(c.n_heads // c.n_key_heads, 2).transpose(1, 2)
        v = v.repeat_interleave(c.n_heads // c.n_value_heads, 2).transpose(1, 2)
        if self.training or c.selected_values is None or c.selected_values >= k.shape[2]:
            pattern = Pattern(window=c.window, scale=c.d_head**-0.5)
            return attention(q.transpose(1, 2), k, v, pattern, Structure(start=start)).transpose(1, 2)
        place = (torch.arange(q.shape[1], device=q.device) + k.shape[2] - q.shape[1]).expand(q.shape[:2])
        start = torch.zeros_like(place[:, 0]) if start is None else start
        row = len(q) * c.n_heads * k.shape[2]
        return by_pieces(self._selected, [q, place], [k, v, start], row)[0]

    def _selected(self, q: Tensor, place: Tensor, k: Tensor, v: Tensor, start: Tensor) -> tuple[Tensor]:
        """Queries (B, t, H, d_key) at slots (B, t), each with the values it weighs most."""
        c = self.config
        slot, place = torch.arange(k.shape[2], device=k.device), place[..., None]
        seen = (slot <= place) & (slot >= start[:, None, None])  # (B, t, S)
        if c.window is not None:
            seen = seen & (slot >= place - c.window)
        scores = (q.transpose(1, 2) @ k.mT * c.d_head**-0.5).masked_fill(~seen[:, None], -torch.inf)
        weights, chosen = scores.softmax(-1).topk(c.selected_values or 0, -1)
        if c.renormalise:
            weights = weights / weights.sum(-1, keepdim=True)
        sparse = torch.zeros_like(scores).scatter(-1, chosen, weights)
        return ((sparse @ v).transpose(1, 2),)
