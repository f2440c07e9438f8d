"""The pointer network: reads vectors, and answers with a sequence of places among them."""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.backbone import Backbone, BackboneState
from models.device import Where
from models.pointer.attention import PointerAttention
from models.pointer.config import PointerConfig

END = 0
"""The pointer that ends a sequence. The inputs are 1..N, so that padding them leaves every pointer as it was."""
NO_TARGET = -100
"""Fills the targets of a batch's shorter sequences."""


class EncodedPoints(NamedTuple):
    """What is read once and pointed at many times; batch first in every leaf, so that take_rows serves."""

    inputs: Tensor  # (B, N+1, D): what the decoder hears after each pointer; after END nothing, zeros
    keys: Tensor  # (B, N+1, d_hidden)
    real: Tensor  # (B, N+1) bool: END, and the inputs that are not padding
    start: Tensor  # (B, D): what the decoder hears first
    state: BackboneState  # the decoder's, before it has heard anything


class PointerNetwork(nn.Module):
    """p(C | P) = prod_i softmax_j(u_ij) with u of `PointerAttention` over the encoder's states (Vinyals et al. 2015).

    The decoder hears the input vector it has just pointed at, and nothing else. An end symbol is one more key, learned;
    the paper does not say what its own looks like. Where encoder and decoder are made of the same streaming mixers
    the decoder goes on from the encoder's last state, as published; elsewhere it starts empty and a linear map of the
    mean of the encoder's states is added to the start symbol. Any N needs the same weights.
    """

    def __init__(self, config: PointerConfig) -> None:
        super().__init__()
        self.config, d = config, config.d_model
        self.embed = nn.Linear(config.d_input, d)
        self.encoder = Backbone(config.encoder_backbone)
        self.decoder = Backbone(config.decoder_backbone)
        for name in ("encoder", "decoder"):
            if getattr(self, name).takes_ids:
                raise ValueError(f"the {name}'s mixers {getattr(config, name)} need ids, and vectors have none")
        if not self.decoder.streams:
            raise ValueError(f"the decoder's mixers {config.decoder} do not all stream")
        self.hands_state = config.encoder_backbone.mixers == config.decoder_backbone.mixers
        self.pointer = PointerAttention(d, d, config.pointer_width)
        self.start = nn.Parameter(torch.empty(d).uniform_(-0.08, 0.08))
        self.end = nn.Parameter(torch.empty(d).uniform_(-0.08, 0.08))
        self.summary = None if self.hands_state else nn.Linear(d, d)

    def encode(self, points: Tensor, mask: Tensor | None = None) -> EncodedPoints:
        """Reads points (B, N, d_input); mask (B, N) is True on real ones, padding is on the right."""
        x = self.embed(points)
        states, last = self.encoder(x, mask=mask)
        real = points.new_ones(points.shape[:2], dtype=torch.bool) if mask is None else mask
        start, before = self.start.expand(len(x), -1), last
        if self.summary is not None:
            mean = states.sum(1) / real.sum(1, keepdim=True).clamp(min=1)  # A padded state is zero.
            start, before = start + self.summary(mean), self.decoder.initial_state(len(x))
        keys = torch.cat([self.end.expand(len(x), 1, -1), states], 1)
        return EncodedPoints(
            F.pad(x, (0, 0, 1, 0)), self.pointer.keys(keys), F.pad(real, (1, 0), value=True), start, before
        )

    def forward(self, points: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: logits (B, M, N+1) of each target (B, M) given those before it; -inf on padding."""
        encoded = self.encode(points, mask)
        heard = targets[:, :-1].clamp(min=END)[..., None].expand(-1, -1, self.config.d_model)
        x = torch.cat([encoded.start[:, None], encoded.inputs.gather(1, heard)], 1)
        d, _ = self.decoder(x, state=encoded.state)  # It streams: what it hears after the last target changes nothing.
        y: Tensor = self.pointer(d, encoded.keys, allowed=encoded.real[:, None])
        return y

    def step(self, heard: Tensor, encoded: EncodedPoints, state: BackboneState) -> tuple[Tensor, BackboneState]:
        """K pointers a row: logits (B, K, N+1) after hearing (B, K, D), and the state of the B K rows, row-major."""
        B, K, D = heard.shape
        d, state = self.decoder.step(heard.reshape(B * K, D), state)
        return self.pointer(d.view(B, K, D), encoded.keys), state

    def log_prob(self, points: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(C | P) of whole sequences, (B,), in nats: the chain rule's sum over all targets but the filling."""
        known = targets != NO_TARGET
        steps = self(points, targets, mask).log_softmax(-1).gather(-1, targets.clamp(min=END)[..., None])[..., 0]
        y: Tensor = steps.masked_fill(~known, 0.0).sum(1)
        return y

    def loss(self, points: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean negative log-likelihood of a target, in nats."""
        return F.cross_entropy(self(points, targets, mask).flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET)

    def save(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> Path:
        return checkpoint.save(folder, self, self.config, dtype=dtype)

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "PointerNetwork":
        """The network of a folder, in evaluation mode. Raises CheckpointError."""
        return checkpoint.load(folder, cls, PointerConfig, device=device)
