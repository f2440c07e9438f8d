"""Recurrence, attention and gates as parts to put together, and the model that a design of them stands in."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from dialog.evaluation.recall import start_alike
from models.backbone import Backbone, BackboneConfig
from models.feedforward import FeedForwardConfig
from models.mixers import MIXERS
from models.mixers.short_conv import GatedConvConfig
from models.mixers.softmax import SoftmaxAttentionConfig
from models.residual import ResidualKind

WIDTHS = range(16, 129, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Which parts a model has."""

    cell: str | None = None
    """A recurrent mixer's name: `elman` without gates of its own, `gru` or `rhn` with them; or none."""
    attention: bool = False
    """Over all states so far; with a cell it reads the cell's states, and is joined to them."""
    gate: bool = False
    """Branches are joined by a gate that reads both sides, and not by adding them."""
    apart: bool = False
    """Attention in a block of its own, and the cell in the next: recurrence added to a transformer."""

    @property
    def name(self) -> str:
        if self.apart:
            return f"attention, then {self.cell}"
        parts = [self.cell, "attention" if self.attention else None, "gate" if self.gate else None]
        return " + ".join(part for part in parts if part) or "none"

    def backbone(self, width: int, dropout: float = 0.0) -> BackboneConfig:
        """A gated convolution of width 3, which every design begins with since attention recalls nothing without a
        shift, then the parts; after each a feed-forward of twice the width."""
        kind: ResidualKind = "input" if self.gate else "add"
        alone = SoftmaxAttentionConfig(d_model=width, n_heads=1, positions="learned")
        mixers: list[Any] = [GatedConvConfig(d_model=width, width=3)]
        if self.attention and (self.cell is None or self.apart):
            mixers.append(alone)
        if self.cell is not None:
            joined: dict[str, Any] = {"attention": "after", "attention_heads": 1, "join": kind}
            fields = joined if self.attention and not self.apart else {}
            mixers.append(MIXERS[self.cell][0](d_model=width, **fields))
        return BackboneConfig(
            d_model=width,
            mixers=tuple(mixers),
            feedforward=FeedForwardConfig(d_model=width, kind="mlp", d_hidden=2 * width, dropout=dropout),
            norm_kind="layer",
            residual=kind,
            dropout=dropout,
        )


GRID = tuple(
    Design(cell=cell, attention=attention, gate=gate)
    for cell in (None, "elman", "gru")
    for attention in (False, True)
    for gate in (False, True)
)
"""Every combination: what a part does is the mean difference between the designs with it and those without."""
DESIGNS = (
    *GRID,
    Design(cell="rhn", attention=True, gate=True),
    Design(cell="elman", attention=True, apart=True),
    Design(cell="gru", attention=True, apart=True),
)
"""The grid, what the paper found best on chaos, and recurrence added to a transformer, which it found to hurt."""


class Reader(nn.Module):
    """Inputs (B, T, ...) to outputs (B, T, n_out), by what embeds a token, a backbone and a linear head."""

    def __init__(self, design: Design, width: int, embed: nn.Module, n_out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = embed
        self.backbone = Backbone(design.backbone(width, dropout))
        self.head = nn.Linear(width, n_out)
        start_alike(self.backbone)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.read(x, mask)[0]

    def read(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Any]:
        y, state = self.backbone(self.embed(x), mask=mask)
        return self.head(y), state

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        y_t, state = self.backbone.step(self.embed(x_t), state)
        return self.head(y_t), state


def n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
