"""A decoder: tokens in, logits over the next token out, whatever mixes along time."""

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.cross_entropy import linear_cross_entropy
from models import checkpoint
from models.backbone import BackboneState, build_configured
from models.decoder.config import DecoderConfig
from models.device import Where
from models.mixers.base import SequenceMixer


class GatedUnit(nn.Module):
    """W_down (act(W_gate x) * W_up x), without biases."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.d_model, config.d_hidden, bias=False)
        self.up = nn.Linear(config.d_model, config.d_hidden, bias=False)
        self.down = nn.Linear(config.d_hidden, config.d_model, bias=False)
        self.tanh = config.activation == "gelu_tanh"

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        y: Tensor = self.down((F.gelu(gate, approximate="tanh") if self.tanh else F.silu(gate)) * self.up(x))
        return y


class DecoderLayer(nn.Module):
    """x + mixer(norm(x)), then x + unit(norm(x)); with post norms, each branch is normed again before it is added."""

    def __init__(self, config: DecoderConfig, mixer: SequenceMixer[Any]) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.mixer = mixer
        self.unit_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.unit = GatedUnit(config)
        self.mixer_after, self.unit_after = (
            nn.RMSNorm(config.d_model, eps=config.norm_eps) if config.post_norms else nn.Identity() for _ in range(2)
        )

    def forward(self, x: Tensor, mask: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        y, state = self.mixer(self.mixer_norm(x), mask=mask, state=state)
        return self.after_mixer(x, y), state

    def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.mixer.step(self.mixer_norm(x_t), state)
        return self.after_mixer(x_t, y), state

    def after_mixer(self, x: Tensor, y: Tensor) -> Tensor:
        """The rest of the layer, once the mixer has said y of the normed x."""
        x = x + self.mixer_after(y)
        out: Tensor = x + self.unit_after(self.unit(self.unit_norm(x)))
        return out


class Decoder(nn.Module):
    """Token ids (B, T) to logits (B, T, n_tokens) and the state.

    The state is as constant as the mixers' own: after a conversion it does not grow with the text.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_tokens, config.d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList(DecoderLayer(config, build_configured(mixer)) for mixer in config.mixers)
        self.norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.head = nn.Linear(config.d_model, config.n_tokens, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        else:
            nn.init.normal_(self.head.weight, std=0.02)

    def initial_state(self, batch: int) -> BackboneState:
        return BackboneState(tuple(layer.mixer.initial_state(batch) for layer in self.every_layer()))

    def state_floats(self, n_tokens: int) -> int:
        """How many numbers a text's state holds after n_tokens."""
        return sum(layer.mixer.state_floats(n_tokens) for layer in self.every_layer())

    def embed(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens) * self.config.embedding_scale
        return x

    def hidden(
        self, tokens: Tensor, *, mask: Tensor | None = None, state: BackboneState | None = None
    ) -> tuple[Tensor, BackboneState]:
        """What the head reads, (B, T, D)."""
        x, after = self.embed(tokens), []
        for i, layer in enumerate(self.every_layer()):
            x, one = layer(x, mask, None if state is None else state.blocks[i])
            after.append(one)
        return self.norm(x), BackboneState(tuple(after))

    def forward(
        self, tokens: Tensor, *, mask: Tensor | None = None, state: BackboneState | None = None
    ) -> tuple[Tensor, BackboneState]:
        y, state = self.hidden(tokens, mask=mask, state=state)
        return self.head(y), state

    def step(self, tokens_t: Tensor, state: BackboneState) -> tuple[Tensor, BackboneState]:
        """One token a row, (B,), to logits (B, n_tokens)."""
        x, after = self.embed(tokens_t), []
        for layer, one in zip(self.every_layer(), state.blocks, strict=True):
            x, one = layer.step(x, one)
            after.append(one)
        return self.head(self.norm(x)), BackboneState(tuple(after))

    def loss(self, tokens: Tensor, labels: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Mean cross-entropy where labels (B, T) are not -100; logits are computed there alone, by blocks."""
        y, _ = self.hidden(tokens, mask=mask)
        wanted = labels != -100
        return linear_cross_entropy(y[wanted], self.head.weight, labels[wanted])

    def every_layer(self) -> list[DecoderLayer]:
        return cast(list[DecoderLayer], list(self.layers))

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "Decoder":
        """The decoder of a folder that `save` wrote, in evaluation mode. Raises CheckpointError."""
        return checkpoint.load(folder, cls, DecoderConfig, device=device)
