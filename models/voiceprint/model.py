"""The network: mel bands, dilated convolutions over time, attentive statistics, one vector."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from models.voiceprint.config import VoiceprintConfig

FRAME_S, HOP_S = 0.025, 0.01
N_FFT = 256
LOWEST_HZ, HIGHEST_HZ = 80.0, 3800.0


class Bands(nn.Module):
    """Sound (B, n) to log mel bands (B, M, T), a frame every 10 ms, each band without its mean over the time."""

    window: Tensor
    filters: Tensor

    def __init__(self, config: VoiceprintConfig) -> None:
        super().__init__()
        self.frame, self.hop = round(FRAME_S * config.rate), round(HOP_S * config.rate)
        self.n_fft = max(N_FFT, 1 << (self.frame - 1).bit_length())
        filters = mel_filter_bank(
            self.n_fft // 2 + 1, config.n_bands, LOWEST_HZ, HIGHEST_HZ, config.rate, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("window", torch.hamming_window(self.frame, periodic=False), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] < self.frame:
            x = F.pad(x, (0, self.frame - x.shape[1]))
        # At one loudness, so that what is added against the logarithm of nothing lies as deep for every voice.
        x = x / x.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5)
        frames = x.unfold(1, self.frame, self.hop) * self.window
        power = torch.fft.rfft(frames, self.n_fft).abs().square() @ self.filters
        bands = torch.log(power + 1e-3).transpose(1, 2)
        centred: Tensor = bands - bands.mean(-1, keepdim=True)
        return centred


class Voiceprint(nn.Module):
    """Sound (B, n), one voice each, to voiceprints (B, size) of length 1; their products are cosines.

    Time-delay layers (Snyder et al. 2018, "X-vectors") of 5, 3 and 3 frames at spacings 1, 2 and 3, one of a frame
    alone, then mean and spread of the frames, weighted channel by channel by what each frame is worth (attentive
    statistics, Okabe et al. 2018). A stretch shorter than a frame of 25 ms is padded.
    """

    def __init__(self, config: VoiceprintConfig) -> None:
        super().__init__()
        self.config = c = config
        self.bands = Bands(c)
        taps = ((c.n_bands, 5, 1), (c.width, 3, 2), (c.width, 3, 3), (c.width, 1, 1))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, c.width, k, dilation=d, padding=(k // 2) * d), nn.ReLU(), nn.BatchNorm1d(c.width)
            )
            for channels, k, d in taps
        )
        self.worth = nn.Sequential(nn.Conv1d(c.width, c.attention, 1), nn.Tanh(), nn.Conv1d(c.attention, c.width, 1))
        self.out = nn.Sequential(nn.BatchNorm1d(2 * c.width), nn.Linear(2 * c.width, c.size))

    def frames(self, x: Tensor) -> Tensor:
        """What the layers make of each hundredth of a second, (B, width, T), of sound (B, n)."""
        if x.dim() != 2:
            raise ValueError(f"sound is {tuple(x.shape)}, expected (B, n)")
        h: Tensor = self.bands(x)
        for i, layer in enumerate(self.layers):
            h = layer(h) + (h if i > 0 else 0)  # (B, C, T)
        return h

    def forward(self, x: Tensor) -> Tensor:
        h = self.frames(x)
        worth = torch.softmax(self.worth(h), -1)
        mean = (worth * h).sum(-1)
        spread = ((worth * h.square()).sum(-1) - mean.square()).clamp(min=1e-5).sqrt()
        return F.normalize(self.out(torch.cat([mean, spread], 1)), dim=-1)
