"""A text and the parts of a drawing to one joint vector: the fusion of `fusion.py` for what is few, exact and counted.

Co-attention averages, and of an average one cannot tell two from three. So that "exactly two" can be said, a tally is
kept beside it: gates that open on the parts a text is about, summed and not averaged, as in counting modules for
questions about pictures (Zhang, Hare, Prügel-Bennett 2018; the gates here are read off co-attended parts).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.fusion import CoAttention, Fused, Pooling, SharedDropout

MOST = 6
"""Numbers from 0 to here are told apart; more is more."""


class Tally(nn.Module):
    """sum_r g(v_r) for each of K gates g, told as how near the sum is to 0, 1, 2, ... and as it is."""

    def __init__(self, d_model: int, n_gates: int) -> None:
        super().__init__()
        self.gates = nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU(), nn.Linear(d_model, n_gates))
        self.out = nn.Linear(n_gates * (MOST + 2), d_model)

    def forward(self, v: Tensor, mask: Tensor) -> Tensor:
        """v (B, R, D) and mask (B, R) to (B, D)."""
        open_ = self.gates(v).float().sigmoid() * mask[..., None]
        n = open_.sum(1)[..., None]  # (B, K, 1)
        near = F.relu(1 - (n - torch.arange(MOST + 1, device=n.device)).abs())
        y: Tensor = self.out(torch.cat([near, n / MOST], -1).flatten(1).to(v.dtype))
        return y


class PartsFusion(nn.Module):
    """Token vectors and a drawing's parts to joint vectors, in the space of `fusion.Fusion`'s."""

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d = config.d_model
        self.embed_words = nn.Linear(config.d_text, d)
        self.embed_parts = nn.Sequential(nn.Linear(config.d_part, d), nn.ReLU(), nn.Linear(d, d))
        self.layers = nn.ModuleList(CoAttention(config) for _ in range(config.n_part_layers))
        self.pool_words, self.pool_parts = Pooling(d), Pooling(d)
        self.tally = Tally(d, config.n_tallies)
        self.earlier = nn.Parameter(torch.zeros(d)) if config.question_reads == "previous" else None
        self.norm = nn.LayerNorm(d)
        self.dropout = SharedDropout(config.dropout)

    def look(self, parts: Tensor, mask: Tensor) -> Tensor:
        """parts (B, R, D_part) and mask (B, R) to (B, R, D); 0 at padding."""
        y: Tensor = self.embed_parts(parts).masked_fill(~mask[..., None], 0.0)
        return y

    def forward(
        self, words: Tensor, word_mask: Tensor, v: Tensor, v_mask: Tensor, earlier: Tensor | None = None
    ) -> Fused:
        """words (B, L, D_text), mask (B, L), parts v (B, R, D) as `look` leaves them, mask (B, R); `earlier` (B, L) are
        words of the round before."""
        q = self.embed_words(words)
        if earlier is not None and self.earlier is not None:
            q = q + earlier[..., None] * self.earlier
        q = self.dropout(q).masked_fill(~word_mask[..., None], 0.0)
        for layer in self.layers:
            q, v = layer(q, word_mask, v, v_mask)
        of_words, p_words = self.pool_words(q, word_mask)
        of_parts, p_parts = self.pool_parts(v, v_mask)
        return Fused(self.norm(of_words + of_parts + self.tally(v, v_mask)), p_words, p_parts)
