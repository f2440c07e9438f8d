"""Dense symmetric co-attention: a text and a picture's regions to one joint vector.

Words read regions and regions read words, layer upon layer, each with a few memory slots to attend to when nothing
fits (Nguyen and Okatani 2018; as SeqDialN's code uses it). That code has no padding masks, so that its vectors depend
on how much padding follows a text; here padding is masked in both softmaxes and in the pooling.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers import build_mixer
from models.mixers.base import SequenceMixer
from models.seqdialn.config import SeqDialNConfig


class Fused(NamedTuple):
    """One joint vector a text, and how its two halves were weighed; padding has weight 0."""

    vector: Tensor  # (B, D)
    p_words: Tensor  # (B, L)
    p_regions: Tensor  # (B, R)


class SharedDropout(nn.Module):
    """Dropout of x (B, N, D) that leaves out the same channels of all N: as many random numbers as one of them has."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * x.new_empty(len(x), 1, x.shape[-1]).bernoulli_(1 - self.p).div_(1 - self.p)


class CoAttention(nn.Module):
    """One layer: V + ReLU(W1 [V; Q^] + b1) and Q + ReLU(W2 [Q; V^] + b2), Q^ and V^ what the other side answered."""

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d, self.n_heads, self.n_memory = config.d_model, config.n_heads, config.n_memory
        self.scale = math.sqrt(d / config.n_heads if config.scale == "width" else config.n_heads)
        self.word_memory = nn.Parameter(torch.randn(self.n_memory, d) / math.sqrt(d))
        self.region_memory = nn.Parameter(torch.randn(self.n_memory, d) / math.sqrt(d))
        self.word_heads = nn.Linear(d, d, bias=False)
        self.region_heads = nn.Linear(d, d, bias=False)
        self.join_words = nn.Linear(2 * d, d)
        self.join_regions = nn.Linear(2 * d, d)
        self.dropout = SharedDropout(config.dropout)

    def forward(self, q: Tensor, q_mask: Tensor, v: Tensor, v_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Words q (B, L, D) and regions v (B, R, D) with their masks (B, L) and (B, R), each having read the other."""
        q_all, v_all = _with(q, self.word_memory), _with(v, self.region_memory)
        of_regions, of_words = self.maps(q_all, q_mask, v_all, v_mask)
        read_words, read_regions = of_regions @ q_all, of_words @ v_all
        # No dropout on regions, of which there are many: a recipe leaves out whole ones, at a fraction of the cost.
        v_next = v + F.relu(self.join_regions(torch.cat([v, read_words], -1)))
        q_next = q + self.dropout(F.relu(self.join_words(torch.cat([q, read_regions], -1))))
        return q_next, v_next

    def maps(self, q_all: Tensor, q_mask: Tensor, v_all: Tensor, v_mask: Tensor) -> tuple[Tensor, Tensor]:
        """What regions read, (B, R, L + K) over words, and what words read, (B, L, R + K) over regions.

        Every row sums to 1 over the real entries and the K memory slots, which are the last K. Attention knows no
        order, so memory may stand there and not, as in the official code, right after the last real word.
        """
        n_words, n_regions = q_mask.shape[1], v_mask.shape[1]
        heads_v = self.region_heads(v_all).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        heads_q = self.word_heads(q_all).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        a = heads_v @ heads_q.transpose(-1, -2) / self.scale  # (B, H, R + K, L + K)
        real_q, real_v = (F.pad(mask, (0, self.n_memory), value=True)[:, None, None] for mask in (q_mask, v_mask))
        of_regions = a[:, :, :n_regions].masked_fill(~real_q, -torch.inf).softmax(-1)
        of_words = a[..., :n_words].transpose(-1, -2).masked_fill(~real_v, -torch.inf).softmax(-1)
        return of_regions.mean(1), of_words.mean(1)


class Pooling(nn.Module):
    """sum_i softmax_i(MLP(x_i)) x_i over the real entries; zero where there is none."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d_model, d_model // 2), nn.ReLU(), nn.Linear(d_model // 2, 1))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, N, D) and mask (B, N) to the sum (B, D) and the weights (B, N)."""
        logits = self.score(x)[..., 0]
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        p = logits.softmax(-1) * mask  # a row of nothing but padding gets no weight at all
        return (p[:, None] @ x)[:, 0], p


class Gist(nn.Module):
    """W [tanh(A s) * tanh(B p) + C s + D p], s the text and p the picture each as one vector."""

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d = config.d_model
        d_picture = config.d_sentence + 2 * d
        self.of_text = nn.Linear(config.d_sentence, 2 * d)
        self.of_picture = nn.Linear(d_picture, 2 * d)
        self.out = nn.Linear(d, d)
        self.dropout = nn.Dropout(config.dropout)
        self.picture_dropout = nn.Dropout(min(0.5, 2.5 * config.dropout))  # pictures are few, and soon known by heart

    def forward(self, sentence: Tensor, picture: Tensor) -> Tensor:
        gate_s, s = self.of_text(self.dropout(sentence)).chunk(2, -1)
        gate_p, p = self.of_picture(self.picture_dropout(picture)).chunk(2, -1)
        y: Tensor = self.out(self.dropout(F.relu(gate_s.tanh() * gate_p.tanh() + s + p)))
        return y


class Fusion(nn.Module):
    """Token vectors and regions to joint vectors; questions and history items pass through the same weights."""

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        c = self.config = config
        self.embed_words = nn.Linear(c.d_text, c.d_model)
        self.embed_regions = nn.Linear(c.d_region, c.d_model)
        self.embed_boxes = nn.Linear(4, c.d_model, bias=False) if c.use_boxes else None
        self.read = nn.ModuleList(
            build_mixer("brnn", d_model=c.d_model, d_hidden=c.d_model // 2, cell="lstm") for _ in range(c.n_text_layers)
        )
        self.layers = nn.ModuleList(CoAttention(c) for _ in range(c.n_fusion_layers))
        self.pool_words, self.pool_regions = Pooling(c.d_model), Pooling(c.d_model)
        self.align = nn.Linear(c.d_sentence + 1, c.d_model) if c.d_sentence else None
        self.gist = Gist(c) if c.gist else None
        self.earlier = nn.Parameter(torch.zeros(c.d_model)) if c.question_reads == "previous" else None
        self.norm = nn.LayerNorm(c.d_model)  # not in the paper; it lets every mixer start from vectors of one size
        self.dropout = SharedDropout(c.dropout)

    def look(self, regions: Tensor, mask: Tensor, boxes: Tensor) -> Tensor:
        """V0 (B, R, D): what is made of a picture once and kept for all its rounds; 0 at padding.

        regions (B, R, D_region), mask (B, R), boxes (B, R, 4) as x0, y0, x1, y1 in fractions of the picture.
        """
        real = mask[..., None]
        regions = regions.masked_fill(~real, 0.0)
        if self.config.region_norm != "none":
            regions = F.normalize(regions, dim=-1 if self.config.region_norm == "region" else 1)
            # A unit vector of n entries has entries of 1 / sqrt(n); a linear layer wants entries of about 1.
            n = regions.shape[-1] if self.config.region_norm == "region" else mask.sum(1)[:, None, None].clamp(min=1)
            regions = regions * n**0.5
        v = self.embed_regions(regions)
        if self.embed_boxes is not None:
            v = v + self.embed_boxes(boxes.to(v.dtype))
        y: Tensor = v.masked_fill(~real, 0.0)
        return y

    def forward(
        self,
        words: Tensor,
        word_mask: Tensor,
        v: Tensor,
        v_mask: Tensor,
        sentence: Tensor | None = None,
        pooled: Tensor | None = None,
        earlier: Tensor | None = None,
    ) -> Fused:
        """words (B, L, D_text), mask (B, L), looked-at regions v (B, R, D) and mask (B, R); with d_sentence the text's
        and the picture's vectors in their common space, (B, D_sentence) each. `earlier` (B, L) are words of the round
        before, read for what the others refer to."""
        q = self.embed_words(words)
        if earlier is not None and self.earlier is not None:
            q = q + earlier[..., None] * self.earlier
        q = self.dropout(q)
        whole = _mean_and_peak(v, v_mask) if self.gist is not None else None
        for mixer in self.read:
            assert isinstance(mixer, SequenceMixer)
            q = mixer(q, mask=word_mask)[0]
        q = q.masked_fill(~word_mask[..., None], 0.0)
        for layer in self.layers:
            q, v = layer(q, word_mask, v, v_mask)
        of_words, p_words = self.pool_words(q, word_mask)
        of_regions, p_regions = self.pool_regions(v, v_mask)
        e = of_words + of_regions
        if self.align is not None:
            if sentence is None or pooled is None:
                raise ValueError(f"d_sentence is {self.config.d_sentence}, but no sentence or picture vectors came")
            product = F.normalize(sentence, dim=-1) * F.normalize(pooled, dim=-1)
            similarity = product.sum(-1, keepdim=True)
            e = e + self.align(torch.cat([product * product.shape[-1] ** 0.5, 10 * similarity], -1))
            if self.gist is not None and whole is not None:
                scale = sentence.shape[-1] ** 0.5  # entries of about 1
                picture = torch.cat([F.normalize(pooled, dim=-1) * scale, whole], -1)
                e = e + self.gist(F.normalize(sentence, dim=-1) * scale, picture)
        return Fused(self.norm(e), p_words, p_regions)


def _mean_and_peak(v: Tensor, mask: Tensor) -> Tensor:
    """Of the regions v (B, R, D) that are there, (B, 2 D); 0 where there is none."""
    real = mask[..., None]
    mean = v.masked_fill(~real, 0.0).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
    peak = v.masked_fill(~real, torch.finfo(v.dtype).min).amax(1).masked_fill(~mask.any(1, keepdim=True), 0.0)
    return torch.cat([mean, peak], -1)


def _with(x: Tensor, memory: Tensor) -> Tensor:
    return torch.cat([x, memory.expand(len(x), -1, -1)], 1)
