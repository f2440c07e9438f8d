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
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.device import Where
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.decoders import Discriminative, Generative
from models.seqdialn.fusion import Fused, Fusion
from models.seqdialn.parts import PartsFusion
from models.seqdialn.reasoning import build_reasoning


class Texts(NamedTuple):
    """Token vectors (..., L, D_text), mask (..., L), and with d_sentence one vector a text (..., D_sentence)."""

    words: Tensor
    mask: Tensor
    sentence: Tensor | None = None
    earlier: Tensor | None = None
    """(..., L) True on words that were said before this text, read with it."""

    def flat(self, rows: Tensor) -> "Texts":
        """The rows (N,) of the texts (B, T) counted through, as texts (N)."""
        return _rows(Texts(*(None if part is None else part.flatten(0, 1) for part in self)), rows)  # type: ignore[arg-type]

    def after(self, before: "Texts") -> "Texts":
        """These texts with the words of `before` in front of their own; padding stays on the right."""
        mask = torch.cat([before.mask, self.mask], -1)
        order = (~mask).byte().sort(dim=-1, stable=True).indices[..., : max(1, int(mask.sum(-1).amax()))]
        words = torch.cat([before.words, self.words], -2)
        words = words.gather(-2, order[..., None].expand(*order.shape, words.shape[-1]))
        earlier = order < before.mask.shape[-1]
        mask = mask.gather(-1, order)
        return Texts(words, mask, self.sentence, earlier & mask)


class RegionStates(NamedTuple):
    """Pictures as every round sees them: computed once each."""

    v: Tensor  # (B, R, D)
    mask: Tensor  # (B, R)
    pooled: Tensor | None = None  # (B, D_sentence)
    drawn: Tensor | None = None  # (B,) True where v are a drawing's parts; None: nowhere


class EncodedRounds(NamedTuple):
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
        self.parts = PartsFusion(config) if config.d_part else None
        self.nothing = nn.Parameter(torch.zeros(config.d_model)) if config.learned_nothing else None
        self.reasoning = build_reasoning(config)
        self.join = nn.Linear(2 * config.d_model, config.d_answer)
        self.dropout = nn.Dropout(config.dropout)
        self.discriminative = Discriminative(config)
        self.generative = Generative(config) if config.n_words else None

    def look(self, regions: Tensor, mask: Tensor, boxes: Tensor, pooled: Tensor | None = None) -> RegionStates:
        """Regions (B, R, D_region), mask (B, R), boxes (B, R, 4) and whole-picture vectors (B, D_sentence)."""
        return RegionStates(self.fusion.look(regions, mask, boxes), mask, pooled)

    def look_at_parts(self, parts: Tensor, mask: Tensor) -> RegionStates:
        """Of drawings: their parts (B, R, D_part) and mask (B, R)."""
        if self.parts is None:
            raise ValueError("this network has no eye for the parts of drawings: its d_part is 0")
        drawn = torch.ones(len(parts), dtype=torch.bool, device=parts.device)
        return RegionStates(self.parts.look(parts, mask), mask, None, drawn)

    def forward(self, pictures: RegionStates, history: Texts, questions: Texts, mask: Tensor) -> EncodedRounds:
        """All rounds of B dialogues in parallel: history items and questions (B, T, L), real rounds (B, T).

        Item t of the history is what was known before question t. Rounds are padded on the right.
        """
        h, u = self.joint(pictures, history, questions, mask)
        z, p_rounds = self.reason(h.vector, u.vector, mask)
        return EncodedRounds(z, u.p_regions, p_rounds)

    def joint(self, pictures: RegionStates, history: Texts, questions: Texts, mask: Tensor) -> tuple[Fused, Fused]:
        """The joint vectors of history items and of questions, h_t and u_t; 0 at padded rounds."""
        h = self._joint(pictures, history, mask)
        u = self._joint(pictures, questions, mask, history if self.config.question_reads == "previous" else None)
        return h, u

    def reason(self, h: Tensor, u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """z (B, T, K) of the joint vectors h and u (B, T, D), and which rounds were read, (B, T, T + 1), in MR only."""
        h_all, u_all, p_rounds = self.reasoning(h, u, mask)
        z: Tensor = self.join(self.dropout(torch.cat([u_all, h_all], -1)))
        return z.masked_fill(~mask[..., None], 0.0), p_rounds

    def initial_state(self, batch: int) -> LiveState:
        empty = self.join.weight.new_zeros(batch, 0, self.config.d_model)
        return LiveState(empty, empty, self.reasoning.initial_state(batch))

    def fuse(self, pictures: RegionStates, texts: Texts) -> Fused:
        """The joint vectors (B, D) of one text a picture, texts (B, L)."""
        v, mask, pooled, drawn = pictures
        if drawn is None or self.parts is None:
            y: Fused = self.fusion(texts.words, texts.mask, v, mask, texts.sentence, pooled, texts.earlier)
        elif bool(drawn.all()):
            y = self.parts(texts.words, texts.mask, v, mask, texts.earlier)
        else:
            y = self._fuse_both(pictures, texts, drawn)
        return y

    def _fuse_both(self, pictures: RegionStates, texts: Texts, drawn: Tensor) -> Fused:
        """`fuse` where some of the pictures are drawings and some are not."""
        sides = [side.nonzero()[:, 0] for side in (~drawn, drawn)]
        some = [self.fuse(_take(pictures, rows), _rows(texts, rows)) for rows in sides]
        back = torch.cat(sides).argsort()
        return Fused(*(torch.cat(halves)[back] for halves in zip(*some, strict=True)))

    def step(self, pictures: RegionStates, item: Texts, question: Texts, state: LiveState) -> Step:
        """One new round, the same numbers as `forward`: two fusions (of the history item just completed and of the
        question) and one step of reasoning, however many rounds there were."""
        u = self.fuse(pictures, self._asked(item, question))
        said = item.mask.any(-1, keepdim=True)
        if self.nothing is None:
            h = self.fuse(pictures, item).vector
        elif bool(said.any()):
            h = torch.where(said, self.fuse(pictures, item).vector, self.nothing)
        else:
            h = self.nothing.expand_as(u.vector)
        h_t, u_t, p_rounds, reasoning = self.reasoning.step(h, u.vector, state.reasoning)
        z = self.join(torch.cat([u_t, h_t], -1))
        after = LiveState(torch.cat([state.h, h[:, None]], 1), torch.cat([state.u, u.vector[:, None]], 1), reasoning)
        return Step(z, u.p_regions, p_rounds, after)

    def _asked(self, history: Texts, questions: Texts) -> Texts:
        return questions.after(history) if self.config.question_reads == "previous" else questions

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
        y: Tensor = self.join(torch.cat([u_all[:, -1], h_all[:, -1]], -1))
        return y

    def _joint(self, pictures: RegionStates, texts: Texts, mask: Tensor, before: Texts | None = None) -> Fused:
        """The joint vectors (B, T, D) of texts (B, T, L), read after those `before`. Padded rounds are not computed and
        stay 0; nor are texts in which nothing was said, where that has a vector of its own."""
        batch, n_rounds = mask.shape
        wanted = mask if self.nothing is None else mask & texts.mask.any(-1)
        rows = wanted.flatten().nonzero()[:, 0]
        if not len(rows):
            vector = self.join.weight.new_zeros(batch, n_rounds, self.config.d_model)
            parts = [vector, vector[..., :1], vector[..., :1]]
        else:
            parts, read = [], texts.flat(rows) if before is None else texts.flat(rows).after(before.flat(rows))
            for part in self.fuse(_take(pictures, rows // n_rounds), read):
                whole = part.new_zeros(batch * n_rounds, part.shape[-1]).index_copy(0, rows, part)
                parts.append(whole.unflatten(0, (batch, n_rounds)))
        if self.nothing is not None:
            parts[0] = torch.where((mask & ~wanted)[..., None], self.nothing.to(parts[0].dtype), parts[0])
        return Fused(*parts)

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "SeqDialN":
        return checkpoint.load(folder, cls, SeqDialNConfig, device=device)


def side_by_side(seen: RegionStates, drawn: RegionStates, where: Tensor) -> RegionStates:
    """One batch of pictures seen by their regions and of drawings seen by their parts, `where` (B,) True of the latter.
    What of a drawing is known as a whole is left out."""
    order = torch.cat([(~where).nonzero()[:, 0], where.nonzero()[:, 0]]).argsort()
    width = max(seen.v.shape[1], drawn.v.shape[1])
    v, mask = (
        torch.cat([F.pad(a, (*[0, 0] * (a.dim() - 2), 0, width - a.shape[1])) for a in pair])[order]
        for pair in ((seen.v, drawn.v), (seen.mask, drawn.mask))
    )
    pooled = seen.pooled
    if pooled is not None:
        pooled = torch.cat([pooled, pooled.new_zeros(len(drawn.v), pooled.shape[1])])[order]
    return RegionStates(v, mask, pooled, where)


def _take(pictures: RegionStates, rows: Tensor) -> RegionStates:
    """Some of the pictures; those that are all photographs, or have no whole-picture vectors, say so."""
    v, mask, pooled, drawn = (None if part is None else part[rows] for part in pictures)
    assert v is not None  # every picture has regions
    assert mask is not None
    return RegionStates(v, mask, pooled, drawn if drawn is not None and bool(drawn.any()) else None)


def _rows(texts: Texts, rows: Tensor) -> Texts:
    return Texts(*(None if part is None else part[rows] for part in texts))  # type: ignore[arg-type]
