"""Over the rounds: from the joint vectors of history items h_t and questions u_t to z_t, which the decoders read.

Item t of the history is what was said before question t: the caption for the first, else the question and the answer
of round t - 1. So z_t may see h_1 .. h_t and u_t.
"""

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig
from models.block import Block
from models.feedforward import FeedForwardConfig, build_feedforward
from models.mixers import MIXERS, build_mixer
from models.mixers.base import SequenceMixer
from models.mixers.cache import last
from models.positions import sinusoidal
from models.seqdialn.config import SeqDialNConfig


class StreamsState(NamedTuple):
    questions: Any
    history: Any


class Streams(nn.Module):
    """One causal mixer run over the questions and, with the same weights, over the history: two states.

    With a 2-layer LSTM this is the paper's information propagation (IP). Other mixers stand in pre-norm blocks with a
    feed-forward. To mixers that take ids all rounds have one id: they are about one picture.
    """

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d, n = config.d_model, config.n_reasoning_layers
        self.mixer: SequenceMixer[Any]
        if config.reasoning == "ip":
            self.mixer = build_mixer("lstm", d_model=d, n_layers=n)
        else:
            kind = MIXERS[config.reasoning][0]
            causal = {"causal": True} if any(f.name == "causal" for f in dataclasses.fields(kind)) else {}
            mixers = (kind(d_model=d, **causal),) * n
            self.mixer = Backbone(BackboneConfig(d_model=d, mixers=mixers, feedforward="mlp", dropout=config.dropout))
        if not self.mixer.streams:
            raise ValueError(f"reasoning {config.reasoning!r} needs later rounds, which a live dialogue does not have")

    def initial_state(self, batch: int) -> StreamsState:
        return StreamsState(self.mixer.initial_state(batch), self.mixer.initial_state(batch))

    def forward(self, h: Tensor, u: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """History h and questions u (B, T, D) to what became of both; no weights over rounds."""
        ids = torch.zeros(h.shape[:2], dtype=torch.long, device=h.device) if self.mixer.takes_ids else None
        return self.mixer(h, mask=mask, ids=ids)[0], self.mixer(u, mask=mask, ids=ids)[0], None

    def step(self, h_t: Tensor, u_t: Tensor, state: StreamsState) -> tuple[Tensor, Tensor, Tensor | None, StreamsState]:
        ids = torch.zeros(len(h_t), dtype=torch.long, device=h_t.device) if self.mixer.takes_ids else None
        h_t, history = self.mixer.step(h_t, state.history, ids_t=ids)
        u_t, questions = self.mixer.step(u_t, state.questions, ids_t=ids)
        return h_t, u_t, None, StreamsState(questions, history)


class DualState(NamedTuple):
    """Keys and values of the history as the question stream reads it; slots right-aligned."""

    k: Tensor  # (B, S, H, K)
    v: Tensor  # (B, S, H, K)
    position: Tensor  # (B,) long: rounds seen


class DualBlock(nn.Module):
    """The question stream's block: question t reads history items 1 .. t and itself, and no other question.

    With x^ = LN(x), y^ = LN(y) and one projection for both: a joint softmax over q(y^_t) . k(x^_s) for s <= t and
    q(y^_t) . k(y^_t); then y <- y^ + attention, y <- y + MLP(LN(y)). As in the official code the residual carries the
    normed y^, so that the stream is re-normed in every block.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.history_norm, self.question_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.project = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.mlp_norm = nn.LayerNorm(d_model)
        self.mlp = build_feedforward(FeedForwardConfig(d_model=d_model, kind="mlp", dropout=dropout))
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, batch: int) -> DualState:
        weight = self.out.weight
        k = weight.new_zeros(batch, 0, self.n_heads, weight.shape[0] // self.n_heads)
        return DualState(k, k.clone(), torch.zeros(batch, dtype=torch.long, device=weight.device))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None, state: DualState) -> tuple[Tensor, Tensor, DualState]:
        """History x and questions y (B, T, D) to the questions' new y, their weights (B, T, S + 1), the mean over heads
        with the own slot last, and the state. S counts the rounds of the state and of x."""
        y_hat = self.question_norm(y)
        q, own_k, own_v = self._heads(y_hat)
        _, new_k, new_v = self._heads(self.history_norm(x))
        before, n = state.k.shape[1], x.shape[1]
        k, v = torch.cat([state.k, new_k], 1), torch.cat([state.v, new_v], 1)
        slots = torch.arange(before + n, device=x.device)
        seen = slots <= before + torch.arange(n, device=x.device)[:, None]  # (T, S)
        allowed = seen & (slots >= (before - state.position)[:, None, None])  # (B, T, S)
        scale = q.shape[-1] ** -0.5
        logits = torch.einsum("bthk,bshk->bhts", q, k) * scale
        logits = logits.masked_fill(~allowed[:, None], -torch.inf)
        own = torch.einsum("bthk,bthk->bht", q, own_k)[..., None] * scale
        p = torch.cat([logits, own], -1).softmax(-1)  # (B, H, T, S + 1)
        answer = torch.einsum("bhts,bshk->bthk", p[..., :-1], v) + p[..., -1].transpose(1, 2)[..., None] * own_v
        y = y_hat + self.dropout(self.out(answer.flatten(2)))
        y = y + self.dropout(self.mlp(self.mlp_norm(y)))
        lengths = None if mask is None else mask.sum(1)
        kept = before + n
        state = DualState(
            last(k, kept, n, lengths), last(v, kept, n, lengths), state.position + (n if lengths is None else lengths)
        )
        return y, p.mean(1), state

    def _heads(self, x: Tensor) -> list[Tensor]:
        return [z.unflatten(-1, (self.n_heads, -1)) for z in self.project(x).chunk(3, -1)]


class MultiStepState(NamedTuple):
    history: tuple[Any, ...]
    dual: tuple[DualState, ...]
    position: Tensor  # (B,) long


class MultiStep(nn.Module):
    """The paper's multi-step reasoning (MR): each block refines the question from an already refined history.

    The history passes ordinary causal blocks, the questions `DualBlock`s; both carry the same sinusoidal positions,
    which are computed and so have no last round. The official code builds a third sub-block it never calls, a third of
    its parameters; there is none here.
    """

    def __init__(self, config: SeqDialNConfig) -> None:
        super().__init__()
        d, n, dropout = config.d_model, config.n_reasoning_layers, config.dropout
        feedforward = FeedForwardConfig(d_model=d, kind="mlp", dropout=dropout)
        self.history = nn.ModuleList(
            Block(
                d,
                build_mixer("softmax", d_model=d, n_heads=config.n_heads, positions="none", bias=True),
                build_feedforward(feedforward),
                norm_kind="layer",
                dropout=dropout,
            )
            for _ in range(n)
        )
        self.dual = nn.ModuleList(DualBlock(d, config.n_heads, dropout) for _ in range(n))
        self.history_norm, self.question_norm = nn.LayerNorm(d), nn.LayerNorm(d)

    def initial_state(self, batch: int) -> MultiStepState:
        history = tuple(block.initial_state(batch) for block in self._history())
        dual = tuple(block.initial_state(batch) for block in self._dual())
        return MultiStepState(history, dual, dual[0].position.clone())

    def forward(self, h: Tensor, u: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """History h and questions u (B, T, D) to both refined, and the questions' weights (B, T, T + 1)."""
        h, u, p, _ = self._run(h, u, mask, self.initial_state(len(h)))
        return h, u, p

    def step(
        self, h_t: Tensor, u_t: Tensor, state: MultiStepState
    ) -> tuple[Tensor, Tensor, Tensor | None, MultiStepState]:
        h, u, p, state = self._run(h_t[:, None], u_t[:, None], None, state)
        return h[:, 0], u[:, 0], p[:, 0], state

    def _run(
        self, x: Tensor, y: Tensor, mask: Tensor | None, state: MultiStepState
    ) -> tuple[Tensor, Tensor, Tensor, MultiStepState]:
        positions = state.position[:, None] + torch.arange(x.shape[1], device=x.device)
        placed = sinusoidal(positions, x.shape[-1]).to(x.dtype)
        x, y = x + placed, y + placed
        history, dual, weights = [], [], []
        for one, two, old, old_dual in zip(self._history(), self._dual(), state.history, state.dual, strict=True):
            x, after = one(x, mask=mask, state=old)
            y, p, after_dual = two(x, y, mask, old_dual)
            history.append(after)
            dual.append(after_dual)
            weights.append(p)
        n_seen = x.shape[1] if mask is None else mask.sum(1)
        after_all = MultiStepState(tuple(history), tuple(dual), state.position + n_seen)
        return self.history_norm(x), self.question_norm(y), torch.stack(weights).mean(0), after_all

    def _history(self) -> list[Block]:
        return list(self.history)  # type: ignore[arg-type]

    def _dual(self) -> list[DualBlock]:
        return list(self.dual)  # type: ignore[arg-type]


def build_reasoning(config: SeqDialNConfig) -> Streams | MultiStep:
    return MultiStep(config) if config.reasoning == "mr" else Streams(config)
