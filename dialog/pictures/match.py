"""How well a sentence fits a picture, so that fits of different pictures can be compared.

A bare cosine cannot be: some pictures are near to every sentence. The fit is the logarithm of the sentence's share
among a bank of captions people wrote about other pictures, -inf..0 up to a constant:

    fit(p, t) = s p.t - log sum_b exp(s p.b)

with p the picture's vector, the mean over its views, plain and mirrored. The scale s was chosen on Flickr8k's dev
pictures.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from models import checkpoint, tensors
from models.catalogue import EYES, eyes_folder
from models.device import Where, device_of
from models.encoders.lite2 import AlignedLite2
from models.encoders.text import EncoderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

BANK, TEXTS = "captions.safetensors", "captions.json"
"""Beside an encoder's weights: the bank's vectors (M, D), named `captions`, and their words, in the same order."""


def captions_of(name: str | Path) -> list[str]:
    """The words of the bank's captions, in the order of their vectors; none where only the vectors are kept."""
    file = eyes_folder(name) / TEXTS
    if not file.is_file():
        return []
    captions = checkpoint.read_json(file)
    if not isinstance(captions, list):
        raise checkpoint.CheckpointError(f"{file}: expected a list of captions, got {type(captions).__name__}")
    return captions


class PictureMatch:
    """Fits of pictures and sentences, by the built-in encoder and its bank of captions."""

    def __init__(self, network: AlignedLite2, captions: Tensor, *, scale: float = 15.0) -> None:
        if captions.dim() != 2 or captions.shape[1] != network.d_text:
            raise ValueError(f"expected captions (M, {network.d_text}), got {tuple(captions.shape)}")
        self.network, self.scale = network, scale
        with torch.inference_mode():
            own = F.normalize(captions.float(), dim=-1).to(device_of(network.alignment))
            self.captions = network.sentences(own).cpu()

    @classmethod
    def load(
        cls, name: str | Path = EYES, network: AlignedLite2 | None = None, *, device: Where = None
    ) -> "PictureMatch":
        """The shipped encoder, or that of a folder, with its bank; or an encoder that is loaded already, `network`,
        with the bank of its folder. EncoderUnavailable where either is missing."""
        bank = eyes_folder(name) / BANK
        if not bank.is_file():
            raise EncoderUnavailable(f"{str(name)!r} has no bank of captions: expected {bank}")
        captions = tensors.read_file(bank).get("captions")
        if captions is None or captions.dim() != 2:
            raise checkpoint.CheckpointError(f"{bank} holds no vectors called captions, so copy it again")
        return cls(network or AlignedLite2.load_folder(name, device=device), captions)

    @torch.inference_mode()
    def vectors(self, pictures: "list[Image]") -> Tensor:
        """The pictures among captions, (N, D) of length 1, on the CPU."""
        device = device_of(self.network.alignment)
        pixels = torch.stack([self.network.prepare(picture) for picture in pictures]).to(device)
        total = torch.zeros((), device=device)
        for view in (pixels, pixels.flip(-1)):
            _, mean, classes = self.network.seen(view)
            total = total + self.network.alignment(mean, classes)[0]
        return F.normalize(total, dim=-1).cpu()

    @torch.inference_mode()
    def fits(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """The fit of each pair, (N,); pictures and sentences (N, D), by `vectors` and by `caption_vectors`."""
        sentences = self.network.sentences(sentences.to(device_of(self.network.alignment))).cpu()
        bank = (self.scale * pictures @ self.captions.T).logsumexp(-1)
        return self.scale * (pictures * sentences).sum(-1) - bank
