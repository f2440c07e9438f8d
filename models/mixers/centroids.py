"""Clusters of vectors by online k-means: centroids that are running means of what is assigned to them."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROUNDS = 4
"""Of Lloyd's algorithm after seeding."""


class Centroids(nn.Module):
    """A set a head, for vectors q (B, T, H, K) of one length; the nearest is the one with the largest dot product.

    Sums and counts decay and take in each batch (the Routing Transformer's official code; its paper prints a sum in
    place of the mean). They are float32 or wider whatever the model is, since 0.999 is 1 in bfloat16. Counts begin at
    1, so that the first batch moves them no more than the others.
    """

    def __init__(self, n_heads: int, n_clusters: int, width: int, *, decay: float, seeded: bool, revive: float) -> None:
        super().__init__()
        self.decay, self.seeded, self.revive = decay, seeded, revive
        self.register_buffer("sums", F.layer_norm(torch.randn(n_heads, n_clusters, width), (width,)))
        self.register_buffer("counts", torch.ones(n_heads, n_clusters))
        self.register_buffer("started", torch.tensor(not seeded))
        self.sums: Tensor
        self.counts: Tensor
        self.started: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in ("sums", "counts"):
            buffer = getattr(self, name)
            setattr(self, name, buffer.to(torch.promote_types(buffer.dtype, torch.float32)))
        return self

    @property
    def means(self) -> Tensor:
        """(H, C, K)."""
        return self.sums / self.counts[..., None]

    def scores(self, q: Tensor) -> Tensor:
        """(B, T, H, C): how near each is."""
        with torch.no_grad():
            return torch.einsum("bthk,hck->bthc", q, self.means.to(q.dtype))

    def away(self, q: Tensor, cluster: Tensor) -> Tensor:
        """(B, T, H): squared distances from the centroids of these clusters (B, T, H), which get no gradient."""
        heads = torch.arange(q.shape[2], device=q.device)
        return (q - self.means.to(q.dtype)[heads, cluster]).square().sum(-1)

    @torch.no_grad()
    def begin(self, q: Tensor, real: Tensor) -> None:
        """Where it is wanted and has not been done: k-means of these vectors, those real (B, T) alone."""
        if not self.seeded or bool(self.started):
            return
        vectors = q[real].transpose(0, 1).to(self.sums.dtype)  # (H, N, K)
        if vectors.shape[1]:
            self.sums.copy_(k_means(vectors, self.sums.shape[1]))
            self.counts.fill_(1.0)
            self.started.fill_(True)

    @torch.no_grad()
    def learn(self, q: Tensor, cluster: Tensor, real: Tensor) -> None:
        """Moves them towards the means of their vectors, cluster (B, T, H) long, real (B, T)."""
        one_hot = (F.one_hot(cluster, self.sums.shape[1]) * real[..., None, None]).to(self.sums.dtype)
        sums, counts = torch.einsum("bthc,bthk->hck", one_hot, q.to(self.sums.dtype)), one_hot.sum((0, 1))
        self.sums.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay).clamp_(min=1e-5)
        if self.revive:
            self._revive(q, real)

    def _revive(self, q: Tensor, real: Tensor) -> None:
        """Centroids with less than `revive` of an even share begin anew at vectors of this batch, drawn at random."""
        vectors = q[real].transpose(0, 1).to(self.sums.dtype)
        if not vectors.shape[1]:
            return
        even = self.counts.mean(-1, keepdim=True)
        dead = self.counts < self.revive * even
        drawn = torch.randint(vectors.shape[1], self.counts.shape, device=q.device)
        anew = vectors.take_along_dim(drawn[..., None], 1)
        self.sums.copy_(torch.where(dead[..., None], anew * even[..., None], self.sums))
        self.counts.copy_(torch.where(dead, even.expand_as(dead), self.counts))


def k_means(vectors: Tensor, n_clusters: int) -> Tensor:
    """(H, n_clusters, K) of vectors (H, N, K): seeded by k-means++, each seed drawn by its squared distance from those
    before, then some rounds of means. Fewer vectors than clusters leave some alike."""
    heads, n, _ = vectors.shape
    every = torch.arange(heads, device=vectors.device)
    seeds = [vectors[every, torch.randint(n, (heads,), device=vectors.device)]]
    far = torch.full((heads, n), torch.inf, device=vectors.device, dtype=vectors.dtype)
    for _ in range(n_clusters - 1):
        far = torch.minimum(far, (vectors - seeds[-1][:, None]).square().sum(-1))
        seeds.append(vectors[every, torch.multinomial(far + 1e-12, 1)[:, 0]])
    means = torch.stack(seeds, 1)
    for _ in range(ROUNDS):
        one_hot = F.one_hot((vectors @ means.mT).argmax(-1), n_clusters).to(vectors.dtype)
        counts = one_hot.sum(1)[..., None]
        means = torch.where(counts > 0, one_hot.mT @ vectors / counts.clamp(min=1), means)
    return means
