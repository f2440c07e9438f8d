"""Routing attention: a token attends to tokens of its own cluster."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.attention import Pattern, Structure, attention
from models.mixers.along import take_along
from models.mixers.balanced import balanced_attention
from models.mixers.base import SequenceMixer
from models.mixers.centroids import Centroids
from models.positions import rotary


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingConfig:
    d_model: int
    n_heads: int = 4
    n_clusters: int = 8
    window: int = 16
    """How many tokens of its cluster a token sees, itself among them; in mode paper, how many a cluster has."""
    mode: Literal["causal", "paper"] = "causal"
    """causal: a token sees the last tokens of its cluster. paper: every cluster takes the tokens of the whole sequence
    that are nearest to it, later ones too, so that it does not stream, and a language model's likelihood by it is not
    to be believed though members see earlier ones alone."""
    bidirectional: bool = False
    """Mode paper: members see later ones, and keys are taken into clusters by themselves; for encoders."""
    n_nearest: int = 1
    """Mode causal: in how many clusters a token is, its nearest ones; it answers with their mean."""
    n_local: int = 0
    """Heads that do not route and see the last `window` tokens; the official code recommends half of them."""
    shared_keys: bool = False
    """Keys are the normalised queries, as in the paper's causal models; otherwise they have a projection."""
    decay: float = 0.999
    """Of the running sums and counts that move the centroids while training."""
    commitment: float = 1e-4
    """Weight of ||q - centroid||^2; `commitment_loss` holds the last forward's, for the trainer to add."""
    start: Literal["random", "k_means"] = "random"
    """Of the centroids: normed noise; or k-means of the first batch that is trained on, noise until then."""
    revive: float = 0.0
    """A centroid with less than this share of an even count begins anew at a query of the batch; not in the paper."""
    positions: Literal["rotary", "none"] = "rotary"
    """Of queries and keys, once clustered: which cluster is no matter of place."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.n_clusters < 1 or self.window < 1 or not 0 <= self.decay < 1:
            raise ValueError(
                f"n_clusters {self.n_clusters} and window {self.window} must be positive, decay {self.decay} in [0, 1)"
            )
        if self.mode not in ("causal", "paper") or self.start not in ("random", "k_means"):
            raise ValueError(
                f"mode {self.mode!r} must be 'causal' or 'paper', and start {self.start!r} 'random' or 'k_means'"
            )
        if not 1 <= self.n_nearest <= self.n_clusters or not 0 <= self.n_local <= self.n_heads:
            raise ValueError(
                f"n_nearest {self.n_nearest} must be 1 to n_clusters {self.n_clusters}, n_local {self.n_local} 0 to "
                f"n_heads {self.n_heads}"
            )
        if self.mode == "paper" and self.n_nearest > 1:
            raise ValueError("n_nearest is for mode 'causal': in mode 'paper' clusters choose their tokens")
        if self.bidirectional and self.mode != "paper":
            raise ValueError("bidirectional is for mode 'paper'")
        if not 0 <= self.revive < 1:
            raise ValueError(f"revive is {self.revive}, expected 0 to below 1")


class RoutingState(NamedTuple):
    k: Tensor  # (B, H, C, window, K): the last keys of each cluster, turned by their positions
    v: Tensor
    seen: Tensor  # (B, H, C) long: tokens each cluster has had
    position: Tensor  # (B,) long


class Routing(SequenceMixer[RoutingState]):
    """c(t) = argmax_c norm(q_t) . mu_c;  token t attends to the last `window` tokens j <= t with c(j) = c(t)

    (Routing Transformer, Roy et al. 2021, in a strictly causal form). The published balanced clustering, every cluster
    taking its nearest tokens of the whole sequence, looks at later tokens: a later one pushes an earlier one out, and
    step and forward disagree; in mode causal they are equal, and mode paper has no step. Queries and keys are
    layer-normed without a gain; where keys have a projection of their own they are still clustered by their token's
    query, as in the official code. A token in several clusters has their mean; the code divides by their number and a
    hundredth. Left out: centroids learned by gradients, and a token's own score made small.

    The state is 2 H C window K numbers a row, whatever the length. Cost O(T (C + n_nearest window) D).
    """

    def __init__(self, config: RoutingConfig) -> None:
        super().__init__()
        self.config = c = config
        d, width = c.d_model, c.d_model // c.n_heads
        self.streams = c.mode == "causal"
        self.query = nn.Linear(d, d, bias=False)
        self.key = None if c.shared_keys else nn.Linear(d, d, bias=False)
        self.value = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.centroids = Centroids(
            c.n_heads, c.n_clusters, width, decay=c.decay, seeded=c.start == "k_means", revive=c.revive
        )
        self.commitment_loss: Tensor | None = None

    def initial_state(self, batch: int) -> RoutingState:
        c, weight = self.config, self.out.weight
        window = c.window if self.streams else 0
        k = weight.new_zeros(batch, c.n_heads, c.n_clusters, window, c.d_model // c.n_heads)
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
        if self.training:
            self._learn(plain, real)
        positions = state.position[:, None] + torch.arange(n_tokens, device=x.device)
        q, named = plain, k
        if c.positions == "rotary":
            q, k = rotary(q, positions), rotary(k, positions)
        q, k, v = (z.transpose(1, 2).to(state.k.dtype) for z in (q, k, v))  # (B, H, T, K)
        if c.mode == "paper":
            o = self._balanced(plain, named, q, k, v, real)
        else:
            o, state = self._routed(q, k, v, self.clusters(plain).transpose(1, 2), real, state)
        y = self.out(o.transpose(1, 2).flatten(2))
        return (y if mask is None else y.masked_fill(~mask[..., None], 0.0)), state

    def clusters(self, q: Tensor) -> Tensor:
        """Which clusters each head's query belongs to, the nearest first, (B, T, H, n_nearest) long."""
        nearest = self.centroids.scores(q).topk(self.config.n_nearest, -1).indices
        local = torch.arange(q.shape[2], device=q.device) < self.config.n_local
        return torch.where(local[:, None], torch.arange(self.config.n_nearest, device=q.device), nearest)

    def _heads(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (self.config.n_heads, -1))
        return F.layer_norm(heads, heads.shape[-1:])

    def _balanced(self, asking: Tensor, told: Tensor, q: Tensor, k: Tensor, v: Tensor, real: Tensor) -> Tensor:
        """Mode paper: asking, told (B, T, H, K) are clustered, q, k and v (B, H, T, K) attended with."""
        c, n = self.config, self.config.n_local
        near = self.centroids.scores(asking).transpose(1, 2)[:, n:]  # (B, H, T, C)
        far = near if not c.bidirectional else self.centroids.scores(told).transpose(1, 2)[:, n:]
        if not q.shape[2]:
            return v
        routed = balanced_attention(q[:, n:], k[:, n:], v[:, n:], near, far, real, c.window, causal=not c.bidirectional)
        if not n:
            return routed
        pattern = Pattern(window=c.window - 1, causal=not c.bidirectional)
        local = attention(q[:, :n], k[:, :n], v[:, :n], pattern, Structure(end=real.sum(1)))
        return torch.cat([local, routed], 1)

    def _routed(
        self, q: Tensor, k: Tensor, v: Tensor, cluster: Tensor, real: Tensor, state: RoutingState
    ) -> tuple[Tensor, RoutingState]:
        """Mode causal, cluster (B, H, T, R): a token comes once for each of its clusters, which differ, and so its
        comings do not meet."""
        n = cluster.shape[-1]
        if n > 1:
            q, k, v = (z.repeat_interleave(n, 2) for z in (q, k, v))
        often = real if n == 1 else real.repeat_interleave(n, 1)
        o, k, v, seen = self._attend(q, k, v, cluster.flatten(2), often, state)
        o = o if n == 1 else o.unflatten(2, (-1, n)).mean(3)
        return o, RoutingState(k, v, seen, state.position + real.sum(1))

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
        if n_tokens == c.n_nearest:  # one token
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
        """One token, in each of its clusters: the slots before its own are fetched."""
        back = torch.arange(self.config.window - 1, -1, -1, device=q.device)
        near = (mine[..., None] - back).clamp(min=0)  # (B, H, R, W)
        flat = near.flatten(2)
        visible = (take_along(kind, flat, 2).unflatten(2, near.shape[2:]) == named[..., None]) & (
            mine[..., None] >= back
        )
        near_k, near_v = (take_along(z, flat[..., None], 2).unflatten(2, near.shape[2:]) for z in (keys, values))
        scores = (q[..., None, :] * near_k).sum(-1) * q.shape[-1] ** -0.5
        weights = scores.masked_fill(~visible, -torch.inf).softmax(-1).nan_to_num(0.0)
        o: Tensor = (weights[..., None] * near_v).sum(-2)
        return o

    def _learn(self, q: Tensor, real: Tensor) -> None:
        """Moves the centroids, and keeps the commitment loss of this forward."""
        c, routing = self.config, slice(self.config.n_local, None)
        if not _again():
            self.centroids.begin(q, real)
            self.centroids.learn(q, self.centroids.scores(q).argmax(-1), real)
        away = self.centroids.away(q, self.centroids.scores(q).argmax(-1)) * real[..., None]
        n = real.sum().clamp(min=1) * max(1, c.n_heads - c.n_local)
        self.commitment_loss = c.commitment * away[:, :, routing].sum() / n


def _again() -> bool:
    """Whether this forward is a backward pass computing anew what it did not keep; it must not learn twice."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
