"""What is amiss: a convolutional autoencoder of windows as they normally look, and alarms of m in n."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """Stage 2. The paper reads forecasts alone (`reads="predicted"`); what the forecaster smooths away, a sudden
    failure, is then not seen, so both is the default."""

    n_channels: int
    reads: Literal["observed", "predicted", "both"] = "both"
    window: int = 64
    """Samples of a window; before there are so many, the first stands in for those before it."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels after each halving."""
    kernels: tuple[int, ...] = (7, 5, 3)
    bottleneck: int = 8

    def __post_init__(self) -> None:
        if self.reads not in ("observed", "predicted", "both"):
            raise ValueError(f"reads {self.reads!r}: expected observed, predicted or both")
        if not self.widths or len(self.widths) != len(self.kernels):
            raise ValueError(f"{len(self.widths)} widths and {len(self.kernels)} kernels: expected one of each a layer")
        if any(k % 2 == 0 for k in self.kernels):
            raise ValueError(f"kernels {self.kernels}: expected odd numbers")
        if self.window % (1 << len(self.widths)) or self.window < 1:
            raise ValueError(
                f"window {self.window} is not a multiple of {1 << len(self.widths)}, once each layer halves"
            )

    @property
    def n_rows(self) -> int:
        """Rows of a window: the channels, once or twice."""
        return self.n_channels * (2 if self.reads == "both" else 1)


class ConvAutoencoder(nn.Module):
    """Windows (B, R, W) to what it makes of them, (B, R, W)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        c = self.config = config
        sizes = (c.n_rows, *c.widths)
        layers = list(zip(sizes, sizes[1:], c.kernels, strict=False))
        self.encoder = nn.ModuleList(nn.Conv1d(a, b, k, stride=2, padding=k // 2) for a, b, k in layers)
        flat = c.widths[-1] * (c.window >> len(c.widths))
        self.narrow, self.widen = nn.Linear(flat, c.bottleneck), nn.Linear(c.bottleneck, flat)
        self.decoder = nn.ModuleList(
            nn.ConvTranspose1d(b, a, k, stride=2, padding=k // 2, output_padding=1) for a, b, k in reversed(layers)
        )

    def forward(self, windows: Tensor) -> Tensor:
        y = windows
        for conv in self.encoder:
            y = F.silu(conv(y))
        shape = y.shape
        # Bounded in the middle: a level far from all that was learned cannot pass through, and so is an error.
        y = F.silu(self.widen(torch.tanh(self.narrow(y.flatten(1))))).view(shape)
        for i, conv in enumerate(self.decoder):
            y = conv(y)
            y = F.silu(y) if i + 1 < len(self.decoder) else y
        return y

    def score(self, windows: Tensor) -> Tensor:
        """(B,) the mean squared error of each row of a window, then the largest row's."""
        worst: Tensor = (self(windows) - windows).square().mean(-1).amax(-1)
        return worst


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmConfig:
    """An alarm stands while m of the last n scores are above the threshold."""

    detector: Literal["autoencoder", "ewma", "cusum"] = "autoencoder"
    """What scores: the network, or a control chart of the normalised values where that was better on validation."""
    threshold: float = 1.0
    m: int = 3
    n: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.m <= self.n:
            raise ValueError(f"m {self.m} of n {self.n}: expected 1 <= m <= n")


def windows_of(config: AutoencoderConfig, rows: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """rows (T, R), and the W - 1 before them or None at a unit's first, to windows (T, R, W) and the next W - 1."""
    if before is None:
        before = rows[:1].expand(config.window - 1, -1)
    known = torch.cat([before, rows])
    return known.unfold(0, config.window, 1), known[len(known) - (config.window - 1) :]


def rows_of(config: AutoencoderConfig, values: Tensor, forecasts: Tensor) -> Tensor:
    """values (T, C) and the forecaster's quantiles (T, H, C, 3) to what is read of them, (T, R).

    A forecast is the median at the middle horizon, as it was made at that step.
    """
    predicted = forecasts[:, forecasts.shape[1] // 2, :, 1]
    if config.reads == "both":
        return torch.cat([values, predicted], -1)
    return values if config.reads == "observed" else predicted


def m_of_n(above: Tensor, before: Tensor, config: AlarmConfig) -> tuple[Tensor, Tensor]:
    """above (T,) bool, and the n - 1 before them, to whether an alarm stands (T,) and the next n - 1."""
    known = torch.cat([before, above])
    alarm = known.unfold(0, config.n, 1).sum(-1) >= config.m
    return alarm, known[len(known) - (config.n - 1) :]
