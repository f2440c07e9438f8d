"""The sizes of a corrector, and the mixers it is made of."""

from dataclasses import dataclass
from typing import Any

from models.backbone import BackboneConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectorConfig:
    """Ghosh and Kristensson (2017) print no sizes; the widths of the convolutions are those of the open code of Zhang
    et al. (2019), which is of the same family, and the rest is as small as a chat box can be."""

    d_model: int = 160
    d_char: int = 24
    n_filters: tuple[int, ...] = (24, 48, 64, 64, 64)
    """Of the convolutions over 1, 2, 3, ... characters."""
    encoder: tuple[Any, ...] = ("gru",)
    """One mixer a block, each direction its own; these have to stream."""
    decoder: tuple[Any, ...] = ("gru",)
    """Over the words as they are meant."""
    d_query: int = 96
    """Width in which a place and its candidates are compared."""
    d_word: int = 64
    """Width of the vectors of the words that may come next."""
    n_words: int = 10_000
    """How many words may come next: the commonest ones of the lexicon."""
    n_features: int = 12
    """Numbers known of a typed word and a candidate."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.d_model, self.d_char, *self.n_filters, self.d_query, self.d_word, self.n_words, self.n_features)
        if not self.n_filters or min(sizes) < 1:
            raise ValueError(f"sizes must be positive, got {sizes}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, expected 0 <= dropout < 1")
        _ = self.encoder_backbone, self.decoder_backbone  # They refuse what is wrong with the mixers.

    @property
    def encoder_backbone(self) -> BackboneConfig:
        """Of one direction."""
        return BackboneConfig(d_model=self.d_model, mixers=self.encoder, feedforward=None, norm_kind="layer")

    @property
    def decoder_backbone(self) -> BackboneConfig:
        return BackboneConfig(d_model=self.d_model, mixers=self.decoder, feedforward=None, norm_kind="layer")
