"""What is coming: features through a mixer, attention over its last states, quantiles of the values ahead."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, BackboneState
from models.feedforward import Kind
from models.maintenance.attention import Recent, TemporalAttention

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForecasterConfig:
    """Stage 1. As it stands it is the paper's attention-based GRU, sizes ours; `mixer` puts another in its place."""

    n_features: int
    n_channels: int
    horizons: tuple[int, ...] = (1, 8, 64)
    """In usual intervals, from the first."""
    d_model: int = 32
    mixer: Any = "gru"
    """A mixer's name or its config."""
    n_layers: int = 1
    feedforward: Kind | None = None
    window: int = 32
    """States that are attended to."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.n_features, self.n_channels, self.d_model, self.n_layers, self.window) < 1:
            raise ValueError("n_features, n_channels, d_model, n_layers and window: expected 1 or more")
        if not self.horizons or any(b <= a for a, b in zip((0, *self.horizons), self.horizons, strict=False)):
            raise ValueError(f"horizons {self.horizons}: expected rising numbers above 0")


class ForecastState(NamedTuple):
    mixer: BackboneState
    recent: Recent


class Forecaster(nn.Module):
    """features (B, T, F) and values (B, T, C) to quantiles (B, P, H, C, 3) of the values ahead.

    y_q(t + h) = x_t + d, the difference from the last value: an untrained network says the last value. The outer
    quantiles lie off the median by a softplus each, so they are ordered whatever the weights.
    """

    def __init__(self, config: ForecasterConfig) -> None:
        super().__init__()
        c = self.config = config
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
        self.head = nn.Linear(c.d_model, len(c.horizons) * c.n_channels * 3)
        self.dropout = nn.Dropout(c.dropout)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def initial_state(self, batch: int) -> ForecastState:
        return ForecastState(self.mixer.initial_state(batch), self.attention.initial_state(batch))

    def forward(
        self,
        x: Tensor,
        values: Tensor,
        *,
        state: ForecastState | None = None,
        mask: Tensor | None = None,
        at: Tensor | None = None,
    ) -> tuple[Tensor, ForecastState]:
        """At the steps `at` (B, P), or at all; rows are padded on the right, mask (B, T)."""
        state = self.initial_state(len(x)) if state is None else state
        entered = self.dropout(self.enter(x))
        if x.shape[1] == 1 and mask is None and not self.training:  # a step as the mixer takes it best
            one, mixed = self.mixer.step(entered[:, 0], state.mixer)
            h = one[:, None]
        else:
            h, mixed = self.mixer(entered, mask=mask, state=state.mixer)
        read, recent = self.attention(h, state.recent, lengths=None if mask is None else mask.sum(1), at=at)
        c = self.config
        y = self.head(self.dropout(F.silu(self.hidden(read)))).unflatten(-1, (len(c.horizons), c.n_channels, 3))
        last = values if at is None else values.take_along_dim(at[..., None], 1)
        median = last[:, :, None] + y[..., 1]  # (B, P, H, C)
        low, high = median - F.softplus(y[..., 0] - 1.0), median + F.softplus(y[..., 2] - 1.0)
        return torch.stack([low, median, high], -1), ForecastState(mixed, recent)


def pinball(quantiles: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """The mean of max(q e, (q - 1) e), e = truth - forecast, where the truth (B, P, H, C) is known."""
    q = torch.tensor(QUANTILES, dtype=quantiles.dtype, device=quantiles.device)
    off = truth[..., None] - quantiles
    each = torch.maximum(q * off, (q - 1) * off).mean(-1)
    return (each * known).sum() / known.sum().clamp(min=1)
