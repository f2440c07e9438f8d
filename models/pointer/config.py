"""The sizes of a pointer network, and the mixers it is made of."""

from dataclasses import dataclass
from typing import Any

from models.backbone import BackboneConfig
from models.block import NormPlace
from models.feedforward import FeedForwardConfig, Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class PointerConfig:
    """As published but for its norms and residuals: one LSTM of 256 units reads, one of the same size points."""

    d_input: int = 2
    """Numbers an input vector has: 2 for points of the plane."""
    d_model: int = 256
    encoder: tuple[Any, ...] = ("lstm",)
    """One mixer a block, by name or by config, as in `BackboneConfig.mixers`. One that sees both ways may stand here;
    without positions it reads the input as a set."""
    decoder: tuple[Any, ...] = ("lstm",)
    """These have to stream."""
    d_hidden: int | None = None
    """Width inside the pointer's tanh; None is d_model."""
    feedforward: FeedForwardConfig | Kind | None = None
    """In every block of both; the paper has none."""
    norm: NormPlace = "pre"

    def __post_init__(self) -> None:
        if min(self.d_input, self.d_model, self.pointer_width) < 1:
            raise ValueError(
                f"widths must be positive, got d_input {self.d_input}, d_model {self.d_model}, d_hidden {self.d_hidden}"
            )
        _ = self.encoder_backbone, self.decoder_backbone  # They refuse what is wrong with the mixers.

    @property
    def pointer_width(self) -> int:
        return self.d_model if self.d_hidden is None else self.d_hidden

    @property
    def encoder_backbone(self) -> BackboneConfig:
        return self._backbone(self.encoder)

    @property
    def decoder_backbone(self) -> BackboneConfig:
        return self._backbone(self.decoder)

    def _backbone(self, mixers: tuple[Any, ...]) -> BackboneConfig:
        return BackboneConfig(
            d_model=self.d_model, mixers=mixers, feedforward=self.feedforward, norm=self.norm, norm_kind="layer"
        )
