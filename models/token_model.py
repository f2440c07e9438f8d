"""Tokens in, logits over the next token out: an embedding, a backbone and a head."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kernels.cross_entropy import linear_cross_entropy
from models import checkpoint
from models.backbone import Backbone, BackboneConfig, BackboneState
from models.device import Where


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenModelConfig:
    n_tokens: int
    backbone: BackboneConfig
    tied: bool = True
    """The head is the embedding, transposed."""
    dropout: float = 0.0
    """Of the embedded tokens."""

    def __post_init__(self) -> None:
        if self.n_tokens < 1:
            raise ValueError(f"n_tokens must be positive, got {self.n_tokens}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


class TokenModel(nn.Module):
    """Token ids (B, T) to logits (B, T, n_tokens) and the state; positions are the mixers' own business.

    The embedding starts at N(0, 0.02); the mixers keep the starts they chose for themselves.
    """

    def __init__(self, config: TokenModelConfig) -> None:
        super().__init__()
        self.config = config
        d_model = config.backbone.d_model
        self.embedding = nn.Embedding(config.n_tokens, d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.backbone = Backbone(config.backbone)
        self.head = nn.Linear(d_model, config.n_tokens, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        if config.tied:
            self.head.weight = self.embedding.weight
        else:
            nn.init.normal_(self.head.weight, std=0.02)

    def initial_state(self, batch: int) -> BackboneState:
        return self.backbone.initial_state(batch)

    def hidden(
        self, tokens: Tensor, *, mask: Tensor | None = None, state: BackboneState | None = None
    ) -> tuple[Tensor, BackboneState]:
        """What the head reads, (B, T, D): for a loss on few positions, gather them first and call `head` on those."""
        return self.backbone(self.dropout(self.embedding(tokens)), mask=mask, state=state)

    def forward(
        self, tokens: Tensor, *, mask: Tensor | None = None, state: BackboneState | None = None
    ) -> tuple[Tensor, BackboneState]:
        y, state = self.hidden(tokens, mask=mask, state=state)
        return self.head(y), state

    def step(self, tokens_t: Tensor, state: BackboneState) -> tuple[Tensor, BackboneState]:
        """One token a row, (B,), to logits (B, n_tokens)."""
        y, state = self.backbone.step(self.embedding(tokens_t), state)
        return self.head(y), state

    def loss(self, tokens: Tensor, labels: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Mean cross-entropy where labels (B, T) are not -100; logits are computed there alone, by blocks."""
        y, _ = self.hidden(tokens, mask=mask)
        wanted = labels != -100
        return linear_cross_entropy(y[wanted], self.head.weight, labels[wanted])

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "TokenModel":
        return checkpoint.load(folder, cls, TokenModelConfig, device=device)
