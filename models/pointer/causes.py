"""What caused an emotion: a pointer at earlier utterances, at none of them, and at the words inside each.

After Poria et al. 2021 (RECCON, arXiv 2012.11820) with the pointer of Vinyals et al. 2015. For a target t, a candidate
j <= t and their utterance vectors x, emotions e and token states:

    c_1..c_n = a causal backbone over x_i, e_i and whether the speaker changed
    q_t = W [x_t; c_t; e_t]
    u_tj = v . tanh(W1 [x_j; c_j] + W2 q_t + w_distance + w_speaker + W_e e_j + W_p p_tj)
    P(j caused t) = sigmoid((u_tj + b) / temperature)

p_tj is what q_t attends to among the tokens of j. A learned key stands for the latent cause, which is nowhere in the
conversation. Inside j, two more pointers say where the span starts and ends. Nothing after t is read.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, BackboneState
from models.pointer.attention import PointerAttention


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
        if min(self.n_emotions, self.d_encoder, self.d_model, self.d_hidden, self.d_token) < 1:
            raise ValueError("n_emotions and every width: expected 1 or more")
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
        self.latent = nn.Parameter(0.1 * torch.randn(c.d_hidden))
        self.distance = nn.Embedding(c.max_distance + 1, c.d_hidden)
        self.same_speaker = nn.Embedding(2, c.d_hidden)
        self.candidate_emotion = nn.Linear(c.n_emotions, c.d_hidden, bias=False)
        self.offset = nn.Parameter(torch.tensor(-1.0))
        self.keep_token = TokenKeeper(c.d_encoder, c.d_token)
        self.look = nn.Linear(c.d_model, c.d_token)
        self.seen = nn.Linear(c.d_token, c.d_hidden, bias=False)
        self.neighbours = nn.Conv1d(c.d_token, c.d_token, 5, padding=2)
        self.edge = nn.Embedding(4, c.d_token)
        self.start = PointerAttention(2 * c.d_model, c.d_token, c.d_hidden)
        self.end = PointerAttention(2 * c.d_model, c.d_token, c.d_hidden)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self,
        vectors: Tensor,
        emotions: Tensor,
        speakers: Tensor,
        tokens: Tensor,
        token_mask: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Candidates]:
        """Logits of every pair (B, N, N), target first, and of the latent cause (B, N); what spans are read from.

        vectors (B, N, D); emotions (B, N, E) probabilities; speakers (B, N); tokens (B, N, K, d_token) from
        `keep_token`, and their mask; mask (B, N). A pair that is none (later than the target, beyond the window,
        padding) has -inf.
        """
        candidates, _ = self.read(vectors, emotions, speakers, tokens, token_mask, mask)
        q = self.queries(candidates)
        place = torch.arange(vectors.shape[1], device=vectors.device)
        return *self.pairs(q, candidates.speakers, candidates, place, place, mask), q, candidates

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
        return ReadState(self.mixer.initial_state(batch), torch.full((batch,), -1, dtype=torch.long))

    def queries(self, targets: Candidates) -> Tensor:
        """q (B, M, d_model) of utterances as targets."""
        asked = torch.cat([targets.own, self.emotion(targets.emotions)], -1)
        return self.dropout(torch.tanh(self.query(asked)))

    def pairs(
        self,
        q: Tensor,
        speakers: Tensor,
        candidates: Candidates,
        target_places: Tensor,
        places: Tensor,
        mask: Tensor | None = None,
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
        bias = self.distance(far.clamp(0, c.max_distance))
        bias = bias + self.same_speaker((speakers[:, :, None] == candidates.speakers[:, None]).long())
        bias = bias + self.candidate_emotion(candidates.emotions)[:, None]
        bias = bias + self.seen(self._attended(q, candidates))
        u = self.pointer(q, self.pointer.keys(candidates.own), bias, allowed=allowed) + self.offset
        latent = self.pointer(q, self.latent.expand(q.shape[0], 1, -1))[..., 0] + self.offset
        return u, latent

    def _attended(self, q: Tensor, candidates: Candidates) -> Tensor:
        """p (B, M, N, d_token): each query's mean of each candidate's tokens, weighted by content."""
        z = candidates.tokens
        scores = torch.einsum("bmd,bnkd->bmnk", self.look(q), z) / self.config.d_token**0.5
        scores = scores.masked_fill(~candidates.token_mask[:, None], -1e4)
        weights = scores.softmax(-1) * candidates.token_mask[:, None]
        return torch.einsum("bmnk,bnkd->bmnd", weights, z)

    def spans(self, q: Tensor, own: Tensor, tokens: Tensor, token_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (P, K) of where the span starts, and where it ends, for P pairs.

        q (P, d_model) from `queries`, own (P, 2 d_model) of the candidate, its tokens (P, K, d_token) and their mask.
        """
        lengths = token_mask.sum(1)
        place = torch.arange(tokens.shape[1], device=tokens.device)
        edges = (place == 0).long() + 2 * (place == lengths[:, None] - 1).long()  # (P, K)
        z = tokens * token_mask[..., None]
        z = z + torch.relu(self.neighbours(z.transpose(1, 2))).transpose(1, 2) + self.edge(edges)
        asked = torch.cat([q, own[..., self.config.d_model :]], -1)[:, None]
        one = token_mask[:, None]
        return (
            self.start(asked, self.start.keys(z), allowed=one)[:, 0],
            self.end(asked, self.end.keys(z), allowed=one)[:, 0],
        )

    def best_spans(self, start: Tensor, end: Tensor) -> Tensor:
        """First and last token (P, 2) of the likeliest legal span: end >= start, at most `span_cap` tokens.

        start and end (P, K) logits, -inf where there is no token; a row without any token is not allowed.
        """
        k = start.shape[1]
        place = torch.arange(k, device=start.device)
        length = place[None] - place[:, None]  # (start, end)
        legal = (length >= 0) & (length < self.config.span_cap)
        score = start.log_softmax(1)[:, :, None] + end.log_softmax(1)[:, None]  # (P, K, K)
        best = score.masked_fill(~legal, -torch.inf).flatten(1).argmax(1)
        return torch.stack([best // k, best % k], 1)


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
