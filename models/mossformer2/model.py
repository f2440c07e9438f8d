"""The whole separator: encoder, masks, decoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers.fsmn import FSMN
from models.mossformer2.attention import GatedAttention
from models.mossformer2.config import MossFormer2Config
from models.positions import sinusoidal


class ClipNorm(nn.Module):
    """Normalised over the channels and frames of a clip together (a group norm of one group); x (B, T, D).

    `causal`: over the channels of each frame, so that a frame does not depend on what follows.
    """

    def __init__(self, width: int, *, causal: bool = False, eps: float = 1e-8) -> None:
        super().__init__()
        self.causal, self.eps = causal, eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape[2:] if self.causal else x.shape[1:]
        return F.layer_norm(x, shape, eps=self.eps) * self.weight + self.bias


class MaskNet(nn.Module):
    """Frames (B, T, F) to masks (B, K, T, F), none below 0."""

    def __init__(self, config: MossFormer2Config) -> None:
        super().__init__()
        self.config = c = config
        d, f = c.d_model, c.n_filters
        self.norm = ClipNorm(f, causal=c.causal)
        self.narrow = nn.Linear(f, d, bias=False)
        self.position_scale = nn.Parameter(torch.ones(1))
        self.attentions = nn.ModuleList(GatedAttention(c) for _ in range(c.n_blocks))
        with_memory = c.n_blocks if c.memory != "none" else 0
        self.memories = nn.ModuleList(FSMN(c.fsmn) for _ in range(with_memory))
        self.last = nn.Sequential(nn.LayerNorm(d), ClipNorm(d, causal=c.causal))
        self.apart = nn.Sequential(nn.PReLU(), nn.Linear(d, d * c.n_speakers))
        self.tanh, self.sigmoid = nn.Linear(d, d), nn.Linear(d, d)
        self.mask = nn.Linear(d, f, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        positions = sinusoidal(torch.arange(frames.shape[1], device=frames.device), self.config.d_model)
        x = self.narrow(self.norm(frames))
        x = before = x + self.position_scale * positions.to(x.dtype)
        for i, attention in enumerate(self.attentions):
            x = attention(x)
            if len(self.memories):
                x = x + self.memories[i](x)[0]
        x = self.apart(self.last(x) + before).unflatten(-1, (self.config.n_speakers, -1)).movedim(2, 1)
        out: Tensor = self.mask(torch.tanh(self.tanh(x)) * torch.sigmoid(self.sigmoid(x))).relu()
        return out


class RecurrentMasks(nn.Module):
    """The masks of a plain TasNet (Luo and Mesgarani 2018): frames (B, T, F) to (B, K, T, F)."""

    def __init__(self, config: MossFormer2Config) -> None:
        super().__init__()
        self.config = c = config
        self.norm = ClipNorm(c.n_filters)
        self.narrow = nn.Linear(c.n_filters, c.d_model, bias=False)
        self.lstm = nn.LSTM(c.d_model, c.d_model, num_layers=2, bidirectional=True, batch_first=True)
        self.mask = nn.Linear(2 * c.d_model, c.n_speakers * c.n_filters)

    def forward(self, frames: Tensor) -> Tensor:
        h, _ = self.lstm(self.narrow(self.norm(frames)))
        masks: Tensor = self.mask(h).sigmoid().unflatten(-1, (self.config.n_speakers, -1)).movedim(2, 1)
        return masks


class MossFormer2(nn.Module):
    """A mixture x (B, n) to its voices (B, K, n), in an order of the network's own.

    encoder: frames of `kernel` samples every `stride`, times filters, ReLU; each voice is a mask on them, none below
    0; decoder: filters back, overlapped and added. No bias, so silence gives silence. Any length, 0 samples too.
    """

    def __init__(self, config: MossFormer2Config) -> None:
        super().__init__()
        self.config = c = config
        self.encoder = nn.Conv1d(1, c.n_filters, c.kernel, stride=c.stride, bias=False)
        self.masks = MaskNet(c) if c.masks == "mossformer" else RecurrentMasks(c)
        self.decoder = nn.ConvTranspose1d(c.n_filters, 1, c.kernel, stride=c.stride, bias=False)

    def encode(self, x: Tensor) -> Tensor:
        """Frames (B, T, F) that cover every sample of x (B, n)."""
        c = self.config
        n_frames = max(0, -(-(x.shape[1] - c.kernel) // c.stride)) + 1
        x = F.pad(x, (0, (n_frames - 1) * c.stride + c.kernel - x.shape[1]))
        return F.relu(self.encoder(x[:, None])).transpose(1, 2)

    def decode(self, frames: Tensor, n_samples: int) -> Tensor:
        """Frames (B, K, T, F) to waveforms (B, K, n_samples)."""
        sound = self.decoder(frames.flatten(0, 1).transpose(1, 2))[:, 0, :n_samples]
        voices: Tensor = sound.unflatten(0, frames.shape[:2])
        return voices

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise ValueError(f"a mixture is {tuple(x.shape)}, expected (B, n)")
        if not x.numel():
            return x.new_zeros(len(x), self.config.n_speakers, x.shape[1])
        frames = self.encode(x)
        return self.decode(self.masks(frames) * frames[:, None], x.shape[1])
