"""How well a sentence fits a picture, so that fits of different pictures can be compared.

A bare cosine cannot be: some pictures are near to every sentence. The fit is the logarithm of the sentence's share
among a bank of captions people wrote about other pictures, -inf..0 up to a constant:

    fit(p, t) = s p.t - log sum_b exp(s p.b)

with p the mean over four views of the picture, plain and mirrored at two sizes. The scale s was chosen on Flickr8k's
dev pictures.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from models import tensors
from models.catalogue import EYES, eyes_folder
from models.device import Where, device_of
from models.encoders.residual_network import ResidualNetwork
from models.encoders.text import EncoderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

BANK = "captions.safetensors"
"""Beside a network's weights: the bank's vectors (M, D), named `captions`."""


class PictureMatch:
    """Fits of pictures and sentences, by a built-in network and its bank of captions."""

    def __init__(self, network: ResidualNetwork, captions: Tensor, *, scale: float = 30.0) -> None:
        if captions.dim() != 2 or captions.shape[1] != network.d_text:
            raise ValueError(f"expected captions (M, {network.d_text}), got {tuple(captions.shape)}")
        self.network, self.captions, self.scale = network, F.normalize(captions.float(), dim=-1), scale

    @classmethod
    def load(cls, name: str | Path = EYES, *, device: Where = None) -> "PictureMatch":
        """The shipped network, or that of a folder, with its bank. EncoderUnavailable where either is missing."""
        network = ResidualNetwork.load_folder(name, device=device)
        bank = eyes_folder(name) / BANK
        if not bank.is_file():
            raise EncoderUnavailable(f"{str(name)!r} has no bank of captions: expected {bank}")
        return cls(network, tensors.read_file(bank)["captions"])

    @torch.inference_mode()
    def vectors(self, pictures: "list[Image]") -> Tensor:
        """The pictures among captions, (N, D) of length 1, on the CPU."""
        size, device = self.network.config.picture_size, device_of(self.network)
        total = torch.zeros((), device=device)
        for side in (size - 32, size):
            pixels = torch.stack([self.network.prepare(picture, side) for picture in pictures]).to(device)
            for view in (pixels, pixels.flip(-1)):
                total = total + self.network.pool(self.network.stage_outputs(view)[-1])
        return F.normalize(total, dim=-1).cpu()

    def fits(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """The fit of each pair, (N,); pictures and sentences (N, D), by `vectors` and by `caption_vectors`."""
        bank = (self.scale * pictures @ self.captions.T).logsumexp(-1)
        return self.scale * (pictures * sentences).sum(-1) - bank
