"""Pictures to regions: what every picture encoder is, and what several of them need. `image.py` opens one by name."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from models.catalogue import EYES
from models.device import device_of
from models.encoders.text import EncoderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

TORCHVISION = "torchvision:"


class Regions(NamedTuple):
    """What is seen where, in a batch of pictures."""

    vectors: Tensor  # (B, R, D) float32; zeros where there is no region
    mask: Tensor  # (B, R) True on real regions
    boxes: Tensor  # (B, R, 4) x0, y0, x1, y1 as fractions of width and height, y downwards
    pooled: Tensor | None  # (B, D_text) of length 1, among captions' vectors; None where not aligned with text
    words: Tensor | None = None  # (B, W) logits of the words captions would use; None where the encoder tells none
    classes: Tensor | None = None  # (B, 1000) scores of ImageNet's classes; None where the encoder tells none
    maps: Tensor | None = None  # (B, 208, rows, columns) the built-in eyes' sixth stage, for models.encoders.things


class ImageEncoder(nn.Module, ABC):
    """Pictures (B, 3, h, w) to `Regions`. `prepare` makes one picture (3, h, w); those of one encoder stack."""

    d_model: int
    """D, the width of a region vector."""
    n_regions: int
    """R: the number of cells of a grid, the largest number of boxes of a detector."""
    d_text: int | None = None
    """The width of `pooled`, None where the encoder is not aligned with text."""
    name: str

    @abstractmethod
    def prepare(self, picture: "Image") -> Tensor:
        """The picture as this encoder wants it, (3, h, w) float32."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Regions:
        """pixels (B, 3, h, w), made by `prepare`."""

    def sentences(self, vectors: Tensor) -> Tensor:
        """Sentences' vectors (..., D_text) as they are compared with `pooled`: by default as they come."""
        return vectors

    @torch.inference_mode()
    def encode(self, pictures: "list[Image]") -> Regions:
        """`forward` on prepared pictures, without gradients, on the device of the weights."""
        y: Regions = self(torch.stack([self.prepare(picture) for picture in pictures]).to(device_of(self)))
        return y


def grid_boxes(rows: int, columns: int, batch: int, device: torch.device | None = None) -> Tensor:
    """The boxes of a grid's cells, row by row, (B, rows * columns, 4) as fractions."""
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    corners = torch.stack([x / columns, y / rows, (x + 1) / columns, (y + 1) / rows], -1)  # (rows, columns, 4)
    return corners.reshape(1, -1, 4).expand(batch, -1, -1)


def as_regions(grid: Tensor, pooled: Tensor | None = None) -> Regions:
    """The regions of a feature map (B, D, rows, columns): its cells, all of them real."""
    batch, _, rows, columns = grid.shape
    vectors = grid.flatten(2).transpose(1, 2).float()  # (B, R, D)
    mask = torch.ones(batch, rows * columns, dtype=torch.bool, device=grid.device)
    return Regions(vectors, mask, grid_boxes(rows, columns, batch, grid.device), pooled)


def squashed(picture: "Image", side: int) -> Tensor:
    """A picture as (3, side, side) float32 between 0 and 1, its sides stretched to a square."""
    small = picture.convert("RGB").resize((side, side), resample=2, reducing_gap=3.0)  # 2: bilinear, antialiased
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(side, side, 3)
    return pixels.permute(2, 0, 1).float() / 255


def unavailable(name: str | Path, why: str) -> EncoderUnavailable:
    """The error of an encoder that cannot be had."""
    return EncoderUnavailable(
        f"no image encoder {str(name)!r}: {why} (known are {EYES!r}, '{TORCHVISION}<model>', and a folder or hub "
        "name of a transformers vision tower)"
    )
