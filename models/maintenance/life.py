"""How long a unit has left: features through a mixer, attention over its last states, a survival curve."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, BackboneState
from models.feedforward import Kind
from models.maintenance.attention import Recent, TemporalAttention
from models.maintenance.survival import log_survival, mean_life, negative_log_likelihood


@dataclass(frozen=True, kw_only=True, slots=True)
class LifeConfig:
    """Stage 3. With head "regression" it is the paper's own, as far as that is known: one number, censored units unused
    beyond what they lived."""

    n_features: int
    edges: tuple[float, ...]
    """Upper ends of the bins of remaining life; no life is told beyond the last."""
    d_model: int = 32
    mixer: Any = "gru"
    """A mixer's name or its config."""
    n_layers: int = 1
    feedforward: Kind | None = None
    window: int = 32
    """States that are attended to."""
    head: Literal["survival", "regression"] = "survival"
    n_members: int = 1
    """Networks of this shape, whose curves are averaged."""
    dropout: float = 0.1
    mean_weight: float = 1.0
    """Of the squared error of the mean life, as a share of the last edge, beside the likelihood."""

    def __post_init__(self) -> None:
        if min(self.n_features, self.d_model, self.n_layers, self.window, self.n_members) < 1:
            raise ValueError("n_features, d_model, n_layers, window and n_members: expected 1 or more")
        if not self.edges or any(b <= a for a, b in zip((0.0, *self.edges), self.edges, strict=False)):
            raise ValueError(f"edges {self.edges[:3]}...: expected rising numbers above 0")
        if self.head not in ("survival", "regression"):
            raise ValueError(f"head {self.head!r}: expected survival or regression")


class LifeState(NamedTuple):
    members: tuple[tuple[BackboneState, Recent], ...]


class Member(nn.Module):
    """One network: features (B, T, F) to K logits of hazards, or to one number."""

    def __init__(self, config: LifeConfig) -> None:
        super().__init__()
        c = config
        self.enter = nn.Linear(c.n_features, c.d_model)
        self.mixer = Backbone(
            BackboneConfig(
                d_model=c.d_model, mixers=(c.mixer,) * c.n_layers, feedforward=c.feedforward, dropout=c.dropout
            )
        )
        if not self.mixer.streams or self.mixer.takes_ids:
            raise ValueError(f"mixer {c.mixer!r}: expected one that reads backwards only and takes no ids")
        self.attention = TemporalAttention(c.d_model, c.window)
        self.hidden = nn.Linear(2 * c.d_model, c.d_model)
        self.head = nn.Linear(c.d_model, len(c.edges) if c.head == "survival" else 1)
        self.dropout = nn.Dropout(c.dropout)
        with torch.no_grad():  # rare failures at first, so that a curve starts out believable
            self.head.bias.fill_(-3.0 if c.head == "survival" else 0.0)

    def initial_state(self, batch: int) -> tuple[BackboneState, Recent]:
        return self.mixer.initial_state(batch), self.attention.initial_state(batch)

    def forward(
        self, x: Tensor, state: tuple[BackboneState, Recent], mask: Tensor | None, at: Tensor | None
    ) -> tuple[Tensor, tuple[BackboneState, Recent]]:
        x = self.dropout(self.enter(x))
        if x.shape[1] == 1 and mask is None and not self.training:  # a step as the mixer takes it best
            h, mixed = self.mixer.step(x[:, 0], state[0])
            h = h[:, None]
        else:
            h, mixed = self.mixer(x, mask=mask, state=state[0])
        lengths = None if mask is None else mask.sum(1)
        read, recent = self.attention(h, state[1], lengths=lengths, at=at)
        return self.head(self.dropout(F.silu(self.hidden(read)))), (mixed, recent)


class LifeNetwork(nn.Module):
    """features (B, T, F) -> the survival curve of the remaining life at every step, S (B, P, K + 1)."""

    def __init__(self, config: LifeConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Member(config) for _ in range(config.n_members))
        self.register_buffer("edges", torch.tensor(config.edges, dtype=torch.float32), persistent=False)
        self.edges: Tensor

    def initial_state(self, batch: int) -> LifeState:
        return LifeState(tuple(member.initial_state(batch) for member in self.members))  # type: ignore[operator]

    def logits(
        self, x: Tensor, *, state: LifeState | None = None, mask: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[list[Tensor], LifeState]:
        """Each member's (B, P, K), or (B, P, 1) of a regression, at the steps `at` (B, P) or at all."""
        state = self.initial_state(len(x)) if state is None else state
        said, after = [], []
        for member, own in zip(self.members, state.members, strict=True):
            y, own = member(x, own, mask, at)
            said.append(y)
            after.append(own)
        return said, LifeState(tuple(after))

    def forward(
        self, x: Tensor, *, state: LifeState | None = None, mask: Tensor | None = None, at: Tensor | None = None
    ) -> tuple[Tensor, LifeState]:
        """S at 0 and at every edge, in [0, 1] and never rising, and the state after the steps."""
        said, state = self.logits(x, state=state, mask=mask, at=at)
        return torch.stack([self._curve(y) for y in said]).mean(0), state

    def loss(
        self, x: Tensor, mask: Tensor, at: Tensor, left: Tensor, failed: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """The mean over members and steps `at` (B, P) of the lives `left` (B, P) and whether they ended (B, P).

        `weight` (B,) is what a unit counts, 1 where it is not given.
        """
        said, _ = self.logits(x, mask=mask, at=at)
        cap = self.edges[-1]
        known = failed | (left >= cap)
        total = torch.zeros_like(left)
        for y in said:
            if self.config.head == "survival":
                total = total + negative_log_likelihood(y, self.edges, left, failed)
            mean = mean_life(self._curve(y), self.edges) if self.config.head == "survival" else self._told(y)
            off = (mean - left.clamp(max=cap)) / cap
            # Of a unit still alive only this is known: to say less than it lived is wrong.
            off = torch.where(known, off, off.clamp(max=0.0))
            share = self.config.mean_weight if self.config.head == "survival" else 1.0
            total = total + share * 10.0 * off.square()
        return ((total if weight is None else total * weight[:, None]) / len(said)).mean()

    def _curve(self, y: Tensor) -> Tensor:
        if self.config.head == "survival":
            return log_survival(y).exp()
        # All of a regression's belief lies on one life: one before it, zero after, falling in the bins about it, so
        # that the area is that life where bins are alike.
        ends = F.pad(self.edges, (1, 0))
        widths = torch.diff(ends)
        room = ((self._told(y)[..., None] - widths / 2 - ends[:-1]) / widths).clamp(0.0, 1.0)
        return torch.cat([torch.ones_like(y), room], -1)

    def _told(self, y: Tensor) -> Tensor:
        """A regression's life (...,) of its y (..., 1)."""
        return F.softplus(y[..., 0]).clamp(max=1.0) * self.edges[-1]
