"""What caused an emotion: a pointer at earlier utterances, at none of them, and at the words inside each.

After Poria et al. 2021 (RECCON, arXiv 2012.11820) with the pointer of Vinyals et al. 2015. For a target t, a candidate
j <= t and their utterance vectors x, emotions e and token states:

    c_1..c_n = a causal backbone over x_i, e_i and whether the speaker changed
    q_t = tanh(W [x_t; c_t; e_t + w_habit])
    u_tj = v . tanh(W1 [x_j; c_j] + W2 q_t + w_distance + w_speaker + W_e e_j + W_p p_tj)
    P(j caused t) = sigmoid((u_tj + b) / temperature)

p_tj is what q_t attends to among the tokens of j. A learned key stands for the latent cause, which is nowhere in the
conversation. Inside j, two more pointers say where the span starts and ends (models.pointer.spans). Nothing after t is
read. Annotators of different corpora draw the line elsewhere: each corpus is a habit, with its own q offset, w_distance
and b, while everything else is learned from all of them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, BackboneState
from models.pointer.attention import PointerAttention
from models.pointer.spans import SpanPointer


@dataclass(frozen=True, kw_only=True, slots=True)
class CausesConfig:
    """The pointer over utterances and tokens. Defaults are the shipped size."""

    n_emotions: int
    d_encoder: int = 384
    """Width of the utterance vectors and of the token states."""
    d_model: int = 128
    d_hidden: int = 128
    """Width inside the tanh of a pointer."""
    d_token: int = 96
    """What is kept of a token's state."""
    d_span: int = 96
    """Width of the tokens where spans are looked for."""
    n_habits: int = 1
    """Corpora whose annotators' habits are told apart."""
    mixers: tuple[Any, ...] = ("gru",)
    """One a block of the backbone over utterances; each must stream."""
    window: int = 32
    """Utterances that can be pointed at: the target and those before it."""
    max_distance: int = 12
    """From here on all distances are one."""
    span_cap: int = 64
    """Tokens of the longest span."""
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if min(self.n_emotions, self.n_habits, self.d_encoder, self.d_model, self.d_hidden, self.d_token) < 1:
            raise ValueError("n_emotions, n_habits and every width: expected 1 or more")
        if self.d_span < 2:
            raise ValueError(f"d_span {self.d_span}: expected 2 or more")
        if min(self.window, self.span_cap) < 1 or self.max_distance < 0:
            raise ValueError("window and span_cap: expected 1 or more, and max_distance 0 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 or more and less than 1")
        object.__setattr__(self, "mixers", tuple(self.mixers))


class Candidates(NamedTuple):
    """Utterances that can be pointed at, and as targets point: rows of equal length, padded on the right."""

    own: Tensor  # (B, N, 2 D) what the pointers read of each utterance: [x; c]
    emotions: Tensor  # (B, N, E)
    speakers: Tensor  # (B, N) ids of which only equality matters
    tokens: Tensor  # (B, N, K, d_token)
    token_mask: Tensor  # (B, N, K)


class CausePointer(nn.Module):
    """Utterance vectors, emotions, speakers and tokens to logits of causes and of spans."""

    def __init__(self, config: CausesConfig) -> None:
        super().__init__()
        c = self.config = config
        self.norm = nn.LayerNorm(c.d_encoder)
        self.enter = nn.Linear(c.d_encoder, c.d_model)
        self.emotion = nn.Linear(c.n_emotions, c.d_model)
        self.turn = nn.Embedding(2, c.d_model)
        self.mixer = Backbone(BackboneConfig(d_model=c.d_model, mixers=c.mixers, dropout=c.dropout))
        if not self.mixer.streams or self.mixer.takes_ids:
            raise ValueError(f"mixers {c.mixers}: expected such as read backwards only and take no speaker ids")
        self.query = nn.Linear(3 * c.d_model, c.d_model)
        self.pointer = PointerAttention(c.d_model, 2 * c.d_model, c.d_hidden)
        self.habit = nn.Embedding(c.n_habits, c.d_model)
        self.latent = nn.Parameter(0.1 * torch.randn(c.n_habits, c.d_hidden))
        self.distance = nn.Embedding(c.n_habits * (c.max_distance + 1), c.d_hidden)
        self.same_speaker = nn.Embedding(2, c.d_hidden)
        self.candidate_emotion = nn.Linear(c.n_emotions, c.d_hidden, bias=False)
        self.offset = nn.Parameter(torch.full((c.n_habits,), -1.0))
        self.keep_token = TokenKeeper(c.d_encoder, c.d_token)
        self.look = nn.Linear(c.d_model, c.d_token)
        self.seen = nn.Linear(c.d_token, c.d_hidden, bias=False)
        self.span = SpanPointer(2 * c.d_model, c.d_token, c.d_span, c.span_cap, c.dropout)
        self.dropout = nn.Dropout(c.dropout)
        nn.init.normal_(self.habit.weight, std=0.1)

    def forward(
        self,
        vectors: Tensor,
        emotions: Tensor,
        speakers: Tensor,
        tokens: Tensor,
        token_mask: Tensor,
        mask: Tensor | None = None,
        habits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Candidates]:
        """Logits of every pair (B, N, N), target first, and of the latent cause (B, N); what spans are read from.

        vectors (B, N, D); emotions (B, N, E) probabilities; speakers (B, N); tokens (B, N, K, d_token) from
        `keep_token`, and their mask; mask (B, N); habits (B,), without them the first. A pair that is none (later than
        the target, beyond the window, padding) has -inf.
        """
        candidates, _ = self.read(vectors, emotions, speakers, tokens, token_mask, mask)
        q = self.queries(candidates, habits)
        place = torch.arange(vectors.shape[1], device=vectors.device)
        return *self.pairs(q, candidates.speakers, candidates, place, place, mask, habits), q, candidates

    def read(
        self,
        vectors: Tensor,
        emotions: Tensor,
        speakers: Tensor,
        tokens: Tensor,
        token_mask: Tensor,
        mask: Tensor | None = None,
        state: "ReadState | None" = None,
    ) -> tuple[Candidates, "ReadState"]:
        """The utterances as candidates, and the state to go on from; `state` is of what came before them."""
        before = self.start_reading(vectors.shape[0]) if state is None else state
        previous = torch.cat([before.speaker[:, None], speakers[:, :-1]], 1)
        x = self.enter(self.norm(vectors)) + self.emotion(emotions)
        x = self.dropout(x)
        c, mixed = self.mixer(x + self.turn((speakers == previous).long()), mask=mask, state=before.mixer)
        own = torch.cat([x, c], -1)  # (B, N, 2 D)
        after = ReadState(mixed, speakers[:, -1])
        return Candidates(own, emotions, speakers, tokens, token_mask), after

    def start_reading(self, batch: int) -> "ReadState":
        """Before the first utterance; -1 is no speaker."""
        return ReadState(self.mixer.initial_state(batch), torch.full((batch,), -1, device=self.offset.device))

    def queries(self, targets: Candidates, habits: Tensor | None = None) -> Tensor:
        """q (B, M, d_model) of utterances as targets."""
        habit = self.habit(self._habits(targets.own, habits))[:, None]
        asked = torch.cat([targets.own, self.emotion(targets.emotions) + habit], -1)
        y: Tensor = self.dropout(torch.tanh(self.query(asked)))
        return y

    def pairs(
        self,
        q: Tensor,
        speakers: Tensor,
        candidates: Candidates,
        target_places: Tensor,
        places: Tensor,
        mask: Tensor | None = None,
        habits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, M, N) of candidates as causes of targets, and (B, M) of the latent cause.

        q (B, M, d_model) and speakers (B, M) are the targets'; `target_places` (M,) and `places` (N,) say where in
        the conversation targets and candidates stand; mask (B, N) of the candidates.
        """
        c = self.config
        far = target_places[:, None] - places  # (M, N)
        allowed = (far >= 0) & (far < c.window)
        if mask is not None:
            allowed = allowed & mask[:, None]
        habit = self._habits(q, habits)
        bias = self.distance(far.clamp(0, c.max_distance) + (c.max_distance + 1) * habit[:, None, None])
        bias = bias + self.same_speaker((speakers[:, :, None] == candidates.speakers[:, None]).long())
        bias = bias + self.candidate_emotion(candidates.emotions)[:, None]
        bias = bias + self.seen(self._attended(q, candidates))
        offset = self.offset[habit, None]
        u = self.pointer(q, self.pointer.keys(candidates.own), bias, allowed=allowed) + offset[..., None]
        return u, self.pointer(q, self.latent[habit, None])[..., 0] + offset

    def _habits(self, rows: Tensor, habits: Tensor | None) -> Tensor:
        return torch.zeros(len(rows), dtype=torch.long, device=rows.device) if habits is None else habits

    def _attended(self, q: Tensor, candidates: Candidates) -> Tensor:
        """p (B, M, N, d_token): each query's mean of each candidate's tokens, weighted by content."""
        z = candidates.tokens
        scores = torch.einsum("bmd,bnkd->bmnk", self.look(q), z) / self.config.d_token**0.5
        scores = scores.masked_fill(~candidates.token_mask[:, None], -1e4)
        weights = scores.softmax(-1) * candidates.token_mask[:, None]
        return torch.einsum("bmnk,bnkd->bmnd", weights, z)

    def spans(self, q: Tensor, targets: Candidates, candidates: Candidates, where: Tensor) -> Tensor:
        """Logits (P, K, K) of the spans, first token before last, of P pairs: `where` (P, 3) row, target, candidate.

        q (B, M, d_model) are the targets' queries. -inf where there is no span.
        """
        b, t, j = where.T
        query = torch.cat([q[b, t], candidates.own[b, j, self.config.d_model :]], -1)
        y: Tensor = self.span(query, *_tokens(candidates, b, j), *_tokens(targets, b, t))
        return y


def _tokens(of: Candidates, b: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens of some utterances and their mask, as wide as the longest of them."""
    mask = of.token_mask[b, i]
    k = max(1, int(mask.sum(1).max())) if len(mask) else 1
    return of.tokens[b, i, :k], mask[:, :k]


class ReadState(NamedTuple):
    """What the next utterance is read after: the backbone's state, and who spoke last (B,)."""

    mixer: BackboneState
    speaker: Tensor


def join(earlier: Candidates, later: Candidates) -> Candidates:
    """The candidates of one stretch and of the next, rows in the same order."""
    k = max(earlier.tokens.shape[2], later.tokens.shape[2])

    def wide(tokens: Tensor) -> Tensor:
        room = [0] * (2 * (tokens.dim() - 3)) + [0, k - tokens.shape[2]]
        return nn.functional.pad(tokens, room)

    parts = [
        torch.cat([wide(a), wide(b)] if name.startswith("token") else [a, b], 1)
        for name, a, b in zip(Candidates._fields, earlier, later, strict=True)
    ]
    return Candidates(*parts)


class TokenKeeper(nn.Module):
    """What is kept of token states (..., D): (..., d_token)."""

    def __init__(self, d_encoder: int, d_token: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_encoder)
        self.linear = nn.Linear(d_encoder, d_token)

    def forward(self, states: Tensor) -> Tensor:
        """Normed and projected."""
        kept: Tensor = self.linear(self.norm(states))
        return kept


def pad_tokens(flat: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (S, h), one utterance after the other, as (B, N, K, h) with zeros, and their mask (B, N, K).

    lengths (B, N) says how many tokens each utterance has; S is their sum.
    """
    k = max(1, int(lengths.max())) if lengths.numel() else 1
    mask = torch.arange(k, device=flat.device) < lengths[..., None]
    padded = flat.new_zeros(*mask.shape, flat.shape[-1])
    padded[mask] = flat
    return padded, mask
