"""Routing attention: a token attends to the last tokens of its own cluster."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from models.mixers.along import take_along
from models.mixers.base import SequenceMixer
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingConfig:
    d_model: int
    n_heads: int = 4
    n_clusters: int = 8
    window: int = 16
    """How many tokens of its cluster a token sees, itself among them."""
    shared_keys: bool = False
    """Keys are the normalised queries, as in the paper's causal models; otherwise they have a projection."""
    decay: float = 0.999
    """Of the running sums and counts that move the centroids while training."""
    commitment: float = 1e-4
    """Weight of ||q - centroid||^2; `commitment_loss` holds the last forward's, for the trainer to add."""
    positions: Literal["rotary", "none"] = "rotary"
    """Of queries and keys, once clustered: which cluster is no matter of place."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.n_clusters < 1 or self.window < 1 or not 0 <= self.decay < 1:
            raise ValueError(
                f"n_clusters {self.n_clusters} and window {self.window} must be positive, decay {self.decay} in [0, 1)"
            )


class RoutingState(NamedTuple):
    k: Tensor  # (B, H, C, window, K): the last keys of each cluster, turned by their positions
    v: Tensor
    seen: Tensor  # (B, H, C) long: tokens each cluster has had
    position: Tensor  # (B,) long


class Routing(SequenceMixer[RoutingState]):
    """c(t) = argmax_c norm(q_t) . mu_c;  token t attends to the last `window` tokens j <= t with c(j) = c(t)

    (Routing Transformer, Roy et al. 2021, in a strictly causal form). The published balanced clustering, every cluster
    taking its nearest tokens of the whole sequence, looks at later tokens: a later one pushes an earlier one out, and
    step and forward disagree; here they are equal. Queries and keys are layer-normed without a gain; the centroids
    are running means of the queries assigned to them, as in the official code (sums and counts decayed), and move in
    training only. The state is 2 H C window K numbers a row, whatever the length. Cost O(T (C + window) D).
    """

    def __init__(self, config: RoutingConfig) -> None:
        super().__init__()
        self.config = c = config
        d, width = c.d_model, c.d_model // c.n_heads
        self.query = nn.Linear(d, d, bias=False)
        self.key = None if c.shared_keys else nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        centroids = F.layer_norm(torch.randn(c.n_heads, c.n_clusters, width), (width,))
        self.register_buffer("sums", centroids)
        self.register_buffer("counts", torch.ones(c.n_heads, c.n_clusters))
        self.sums: Tensor
        self.counts: Tensor
        self.commitment_loss: Tensor | None = None

    @property
    def centroids(self) -> Tensor:
        """(H, C, K)."""
        return self.sums / self.counts[..., None]

    def initial_state(self, batch: int) -> RoutingState:
        c, weight = self.config, self.out.weight
        k = weight.new_zeros(batch, c.n_heads, c.n_clusters, c.window, c.d_model // c.n_heads)
        seen = torch.zeros(batch, c.n_heads, c.n_clusters, dtype=torch.long, device=weight.device)
        return RoutingState(k, k.clone(), seen, seen.new_zeros(batch))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: RoutingState | None = None
    ) -> tuple[Tensor, RoutingState]:
        self.refuse_ids(ids)
        c = self.config
        batch, n_tokens, _ = x.shape
        state = self.initial_state(batch) if state is None else state
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
        plain = self._heads(self.query(x))  # (B, T, H, K)
        k = plain if self.key is None else self._heads(self.key(x))
        v = self.value(x).unflatten(-1, (c.n_heads, -1))
        cluster = self.clusters(plain)  # (B, T, H)
        if self.training:
            self._learn(plain, cluster, real)
        positions = state.position[:, None] + torch.arange(n_tokens, device=x.device)
        q = plain
        if c.positions == "rotary":
            q, k = rotary(q, positions), rotary(k, positions)
        q, k, v = (z.transpose(1, 2).to(state.k.dtype) for z in (q, k, v))  # (B, H, T, K)
        o, k, v, seen = self._attend(q, k, v, cluster.transpose(1, 2), real, state)
        y = self.out(o.transpose(1, 2).flatten(2))
        y = y if mask is None else y.masked_fill(~mask[..., None], 0.0)
        return y, RoutingState(k, v, seen, state.position + real.sum(1))

    def clusters(self, q: Tensor) -> Tensor:
        """Which cluster each head's query belongs to, (B, T, H) long."""
        with torch.no_grad():
            return torch.einsum("bthk,hck->bthc", q, self.centroids.to(q.dtype)).argmax(-1)

    def _heads(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (self.config.n_heads, -1))
        return F.layer_norm(heads, heads.shape[-1:])

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, cluster: Tensor, real: Tensor, state: RoutingState
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each token with the ring of its own cluster and the tokens of this call.

        Sorted by cluster, with each cluster's ring before its new tokens, a token's window is a run of neighbours.
        """
        c = self.config
        batch, heads, n_tokens, _ = q.shape
        old = c.n_clusters * c.window
        # Old entries first, each cluster's oldest first; padding sorts behind everything as a cluster of its own.
        named = torch.where(real[:, None], cluster, c.n_clusters)
        kinds = torch.arange(c.n_clusters, device=q.device).repeat_interleave(c.window).expand(batch, heads, old)
        order = torch.cat([kinds, named], -1).argsort(dim=-1, stable=True)  # (B, H, S)
        place = torch.empty_like(order).scatter(
            -1, order, torch.arange(order.shape[-1], device=q.device).expand_as(order)
        )
        keys = take_along(torch.cat([state.k.flatten(2, 3), k], 2), order[..., None], 2)
        values = take_along(torch.cat([state.v.flatten(2, 3), v], 2), order[..., None], 2)
        mine = place[..., old:]  # where each new token stands
        filled = (
            torch.arange(c.window, device=q.device) >= c.window - state.seen[..., None]
        )  # (B, H, C, W): a ring's end
        # What stands in no run has a name nobody else has.
        names = torch.cat([torch.where(filled.flatten(2), kinds, c.n_clusters + 1), named], -1)
        kind = take_along(names, order, 2)
        if n_tokens == 1:
            o = self._by_hand(q, keys, values, mine, kind, named)
        else:
            o = self._in_order(q, keys, values, order, mine, kind)
        # A cluster's new ring is the last of its run.
        counts = torch.zeros_like(state.seen).scatter_add(-1, cluster, real[:, None].expand_as(cluster).long())
        ends = (counts + c.window).cumsum(-1)
        ring = (ends[..., None] - c.window + torch.arange(c.window, device=q.device)).flatten(2)[..., None]
        new_k, new_v = (take_along(z, ring, 2).unflatten(2, (c.n_clusters, c.window)) for z in (keys, values))
        return o, new_k, new_v, state.seen + counts

    def _in_order(self, q: Tensor, keys: Tensor, values: Tensor, order: Tensor, mine: Tensor, kind: Tensor) -> Tensor:
        """All at once: in the order of clusters it is attention in a window, of the same kind alone.

        Slots of rings ask too, for nothing: their answers are not taken. So a window's tiles are the whole cost.
        """
        batch, heads = q.shape[:2]
        asked = torch.cat([q.new_zeros(batch, heads, order.shape[-1] - q.shape[2], q.shape[3]), q], 2)
        asked = take_along(asked, order[..., None], 2)
        # A head has clusters of its own, as a row has.
        asked, keys, values = (z.flatten(0, 1)[:, None] for z in (asked, keys, values))
        pattern = Pattern(window=self.config.window - 1, only="same")
        o = attention(asked, keys, values, pattern, Structure(ids=kind.flatten(0, 1)))
        return take_along(o[:, 0].unflatten(0, (batch, heads)), mine[..., None], 2)

    def _by_hand(self, q: Tensor, keys: Tensor, values: Tensor, mine: Tensor, kind: Tensor, named: Tensor) -> Tensor:
        """One token: the slots before its own are fetched."""
        near = (mine - torch.arange(self.config.window - 1, -1, -1, device=q.device)).clamp(min=0)  # (B, H, W)
        visible = (take_along(kind, near, 2) == named) & (
            mine >= torch.arange(near.shape[-1] - 1, -1, -1, device=q.device)
        )
        near_k, near_v = (take_along(z, near[..., None], 2) for z in (keys, values))
        scores = (q * near_k).sum(-1) * q.shape[-1] ** -0.5
        weights = scores.masked_fill(~visible, -torch.inf).softmax(-1).nan_to_num(0.0)
        o: Tensor = (weights[..., None] * near_v).sum(-2, keepdim=True)
        return o

    @torch.no_grad()
    def _means(self, q: Tensor, cluster: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        one_hot = F.one_hot(cluster, self.config.n_clusters) * real[..., None, None]
        one_hot = one_hot.to(self.sums.dtype)
        return torch.einsum("bthc,bthk->hck", one_hot, q.to(self.sums.dtype)), one_hot.sum((0, 1))

    def _learn(self, q: Tensor, cluster: Tensor, real: Tensor) -> None:
        """Moves the centroids, and keeps the commitment loss of this forward."""
        c = self.config
        sums, counts = self._means(q, cluster, real)
        self.sums.mul_(c.decay).add_(sums, alpha=1 - c.decay)
        self.counts.mul_(c.decay).add_(counts, alpha=1 - c.decay).clamp_(min=1e-5)
        heads = torch.arange(c.n_heads, device=q.device)
        away = (q - self.centroids.to(q.dtype)[heads, cluster]).square().sum(-1)
        self.commitment_loss = c.commitment * (away * real[..., None]).sum() / real.sum().clamp(min=1) / c.n_heads
