"""The head: inputs scaled and bounded, one linear layer."""

import torch
from torch import Tensor, nn

from models.voice_emotion.config import VoiceEmotionConfig

BOUND = 3.0
"""Spreads from the mean; farther away an input says no more."""
_FARTHEST = 10.0  # for strangeness, so that one odd number does not say it all


class VoiceEmotion(nn.Module):
    """Inputs (B, F) of stretches of speech to log-probabilities (B, L) of the labels, and how strange they are (B,).

    Strange is the mean square of the inputs in spreads from their means, as learned: 1 is usual.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: VoiceEmotionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_inputs))
        self.register_buffer("spread", torch.ones(config.n_inputs))
        self.out = nn.Linear(config.n_inputs, len(config.labels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() != 2 or x.shape[1] != self.config.n_inputs:
            raise ValueError(f"inputs are {tuple(x.shape)}, expected (B, {self.config.n_inputs})")
        z = (x - self.mean) / self.spread
        log_p = torch.log_softmax(self.out(z.clamp(-BOUND, BOUND)), -1)
        return log_p, z.clamp(-_FARTHEST, _FARTHEST).square().mean(-1)
