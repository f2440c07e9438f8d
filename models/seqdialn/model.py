"""SeqDialN: what is said about a picture and what is in it, fused round by round, reasoned over, answered.

Jiang, Zhao, Ye, Yang, Chen, "SeqDialN: sequential visual dialog networks in joint visual-linguistic representation
space" (arXiv 2008.00397). The mechanics are those of the official code, its body having been out of reach:

    e = Fusion(text, picture)                        one joint vector a question u_t and a history item h_t
    u', h' = Reasoning(u, h)                          IP, MR or any causal mixer
    z_t = W [u'_t; h'_t] + b                          read by the discriminative and the generative decoder
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models import checkpoint
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.decoders import Discriminative, Generative
from models.seqdialn.fusion import Fused, Fusion
from models.seqdialn.reasoning import build_reasoning


class Texts(NamedTuple):
    """Token vectors (..., L, D_text), mask (..., L), and with d_sentence one vector a text (..., D_sentence)."""

    words: Tensor
    mask: Tensor
    sentence: Tensor | None = None

    def flat(self, rows: Tensor) -> "Texts":
        """The rows (N,) of the texts (B, T) counted through, as texts (N)."""
        sentence = None if self.sentence is None else self.sentence.flatten(0, 1)[rows]
        return Texts(self.words.flatten(0, 1)[rows], self.mask.flatten(0, 1)[rows], sentence)


class Looked(NamedTuple):
    """Pictures as every round sees them: computed once each."""

    v: Tensor  # (B, R, D)
    mask: Tensor  # (B, R)
    pooled: Tensor | None = None  # (B, D_sentence)


class Encoded(NamedTuple):
    """Dialogues, all their rounds at once."""

    z: Tensor  # (B, T, K), 0 at padded rounds
    p_regions: Tensor  # (B, T, R): where each question looked
    p_rounds: Tensor | None  # (B, T, T + 1): MR only; which history items, and last itself, each question read


class Step(NamedTuple):
    """One round of a live dialogue."""

    z: Tensor  # (B, K)
    p_regions: Tensor  # (B, R)
    p_rounds: Tensor | None  # (B, t + 1), the own slot last
    state: "LiveState"


class LiveState(NamedTuple):
    """What a dialogue carries on, append-only: joint vectors of its rounds, and the reasoning's own state."""

    h: Tensor  # (B, t, D)
    u: Tensor  # (B, t, D)
    reasoning: Any


class SeqDialN(nn.Module):
    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        self.config = config
        self.fusion = Fusion(config)
        self.reasoning = build_reasoning(config)
        self.join = nn.Linear(2 * config.d_model, config.d_answer)
        self.dropout = nn.Dropout(config.dropout)
        self.discriminative = Discriminative(config)
        self.generative = Generative(config) if config.n_words else None

    def look(self, regions: Tensor, mask: Tensor, boxes: Tensor, pooled: Tensor | None = None) -> Looked:
        """Regions (B, R, D_region), mask (B, R), boxes (B, R, 4) and whole-picture vectors (B, D_sentence)."""
        return Looked(self.fusion.look(regions, mask, boxes), mask, pooled)

    def forward(self, pictures: Looked, history: Texts, questions: Texts, mask: Tensor) -> Encoded:
        """All rounds of B dialogues in parallel: history items and questions (B, T, L), real rounds (B, T).

        Item t of the history is what was known before question t. Rounds are padded on the right.
        """
        h, u = self._joint(pictures, history, mask), self._joint(pictures, questions, mask)
        h_all, u_all, p_rounds = self.reasoning(h.vector, u.vector, mask)
        z = self.join(self.dropout(torch.cat([u_all, h_all], -1)))
        return Encoded(z.masked_fill(~mask[..., None], 0.0), u.p_regions, p_rounds)

    def initial_state(self, batch: int) -> LiveState:
        empty = self.join.weight.new_zeros(batch, 0, self.config.d_model)
        return LiveState(empty, empty, self.reasoning.initial_state(batch))

    def fuse(self, pictures: Looked, texts: Texts) -> Fused:
        """The joint vectors (B, D) of one text a picture, texts (B, L)."""
        return self.fusion(texts.words, texts.mask, pictures.v, pictures.mask, texts.sentence, pictures.pooled)

    def step(self, pictures: Looked, item: Texts, question: Texts, state: LiveState) -> Step:
        """One new round, the same numbers as `forward`: two fusions (of the history item just completed and of the
        question) and one step of reasoning, however many rounds there were."""
        h, u = self.fuse(pictures, item).vector, self.fuse(pictures, question)
        h_t, u_t, p_rounds, reasoning = self.reasoning.step(h, u.vector, state.reasoning)
        z = self.join(torch.cat([u_t, h_t], -1))
        after = LiveState(torch.cat([state.h, h[:, None]], 1), torch.cat([state.u, u.vector[:, None]], 1), reasoning)
        return Step(z, u.p_regions, p_rounds, after)

    def without_each(self, state: LiveState) -> Tensor:
        """z of the last round had each history item in turn been empty of content, (t, K), for a state of one row.

        How far an answer moves tells which earlier round it used, whatever the reasoning: no fusion is run again. An
        item is emptied by the mean of all items, which says nothing of its own.
        """
        t = state.h.shape[1]
        h = state.h.repeat(t, 1, 1)
        gone = torch.eye(t, dtype=torch.bool, device=h.device)[..., None]
        h = torch.where(gone, state.h.mean(1, keepdim=True), h)
        h_all, u_all, _ = self.reasoning(h, state.u.expand(t, -1, -1), None)
        return self.join(torch.cat([u_all[:, -1], h_all[:, -1]], -1))

    def _joint(self, pictures: Looked, texts: Texts, mask: Tensor) -> Fused:
        """The joint vectors (B, T, D) of texts (B, T, L); padded rounds are not computed and stay 0."""
        batch, n_rounds = mask.shape
        rows = mask.flatten().nonzero()[:, 0]
        owner = rows // n_rounds
        fused = self.fuse(_take(pictures, owner), texts.flat(rows))
        parts = []
        for part in fused:
            whole = part.new_zeros(batch * n_rounds, part.shape[-1]).index_copy(0, rows, part)
            parts.append(whole.unflatten(0, (batch, n_rounds)))
        return Fused(*parts)

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str) -> "SeqDialN":
        return checkpoint.load(folder, cls, SeqDialNConfig)


def _take(pictures: Looked, rows: Tensor) -> Looked:
    pooled = None if pictures.pooled is None else pictures.pooled[rows]
    return Looked(pictures.v[rows], pictures.mask[rows], pooled)
