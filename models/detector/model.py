"""YOLOv3-tiny (Redmon and Farhadi 2018): eighty everyday things, each with a box.

Thirteen plain convolutions and two grids of guesses, a coarse one for what is large and a fine one for what is small.
The published weights, made ours by `models.detector.darknet`; batch normalisation is folded into the convolutions.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms

from models import checkpoint
from models.catalogue import WEIGHTS
from models.device import Where, device_of

if TYPE_CHECKING:
    from PIL.Image import Image

NAME = "detector/yolov3-tiny"
STRIDE = 32
"""The sides of what it reads are multiples of it."""
COARSE = ((81.0, 82.0), (135.0, 169.0), (344.0, 319.0))
FINE = ((23.0, 27.0), (37.0, 58.0), (81.0, 82.0))
"""Widths and heights in pixels that boxes are told against. The published configuration names 10 x 14, 23 x 27 and
37 x 58 for the fine grid; with these, which other implementations of it use, boxes overlap people's by 0.66 on average
on the COCO photographs, with those by 0.52."""
BODY = (16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorConfig:
    """What the network can name, and how large a picture it reads."""

    labels: tuple[str, ...]
    area: int = 320 * 320
    """Pixels a picture is brought to, its shape kept."""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.labels or self.area < STRIDE * STRIDE:
            raise ValueError(
                f"expected labels and an area of at least {STRIDE**2}, got {len(self.labels)}, {self.area}"
            )


class Boxes(NamedTuple):
    """The guesses for one picture, all of them: corners x0, y0, x1, y1 as fractions (M, 4), and how likely each holds
    each thing (M, K)."""

    corners: Tensor
    p: Tensor


class Found(NamedTuple):
    """One thing: which, how likely, and its corners x0, y0, x1, y1 as fractions."""

    label: str
    p: float
    box: tuple[float, float, float, float]


class YoloTiny(nn.Module):
    """Pixels (B, 3, h, w) from 0 to 1, sides multiples of 32, to guesses."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3, *BODY)
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        n_out = 3 * (5 + len(config.labels))
        self.neck = nn.Conv2d(1024, 256, 1)
        self.coarse = nn.Conv2d(256, 512, 3, padding=1)
        self.coarse_out = nn.Conv2d(512, n_out, 1)
        self.up = nn.Conv2d(256, 128, 1)
        self.fine = nn.Conv2d(384, 256, 3, padding=1)
        self.fine_out = nn.Conv2d(256, n_out, 1)

    @classmethod
    def load(cls, folder: Path | str = WEIGHTS / NAME, *, device: Where = None) -> "YoloTiny":
        """The shipped network, or that of a folder, in evaluation mode, on a device."""
        return checkpoint.load(folder, cls, DetectorConfig, device=device)

    def convolutions(self) -> list[nn.Conv2d]:
        """In the order of Darknet's file."""
        body = [c for c in self.body if isinstance(c, nn.Conv2d)]
        return [*body, self.neck, self.coarse, self.coarse_out, self.up, self.fine, self.fine_out]

    def forward(self, pixels: Tensor) -> list[Boxes]:
        """The guesses of both grids for each picture."""
        x, kept = pixels, pixels
        for i, convolution in enumerate(self.body):
            x = F.leaky_relu(convolution(x), 0.1)
            if i == 4:
                kept = x  # a 16th of the size
            if i < 5:
                x = F.max_pool2d(x, 2)
            elif i == 5:  # at stride 1, the row beyond the edge being nothing
                x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, 1)
        neck = F.leaky_relu(self.neck(x), 0.1)
        coarse = self.coarse_out(F.leaky_relu(self.coarse(neck), 0.1))
        up = F.interpolate(F.leaky_relu(self.up(neck), 0.1), scale_factor=2.0)
        fine = self.fine_out(F.leaky_relu(self.fine(torch.cat([up, kept], 1)), 0.1))
        height, width = pixels.shape[-2:]
        guesses = [decoded(coarse, COARSE, width, height), decoded(fine, FINE, width, height)]
        corners, p = (torch.cat(parts, 1) for parts in zip(*guesses, strict=True))
        return [Boxes(c, q) for c, q in zip(corners, p, strict=True)]

    def prepare(self, picture: "Image") -> Tensor:
        """The picture (3, h, w) from 0 to 1, its shape kept as far as multiples of 32 allow."""
        width, height = picture.size
        scale = (self.config.area / (width * height)) ** 0.5
        sides = [max(1, round(side * scale / STRIDE)) * STRIDE for side in (width, height)]
        longest = 3 * round(self.config.area**0.5)  # of a very long picture
        sides = [min(side, longest // STRIDE * STRIDE) for side in sides]
        small = picture.convert("RGB").resize((sides[0], sides[1]), resample=2, reducing_gap=3.0)
        pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(sides[1], sides[0], 3)
        return pixels.permute(2, 0, 1).float() / 255

    @torch.inference_mode()
    def guesses(self, picture: "Image") -> Boxes:
        """All guesses for one picture, on the CPU."""
        found: Boxes = self(self.prepare(picture)[None].to(device_of(self)))[0]
        return Boxes(*(part.cpu() for part in found))

    def things(self, guesses: Boxes, least: float = 0.25, *, overlap: float = 0.45, most: int = 30) -> list[Found]:
        """What is at least so likely, the likeliest first; of boxes of a kind that overlap more than that, one."""
        rows, kinds = (guesses.p >= least).nonzero(as_tuple=True)
        p, corners = guesses.p[rows, kinds], guesses.corners[rows]
        kept = batched_nms(corners, p, kinds, overlap)[:most].tolist()
        found = []
        for i in kept:
            x0, y0, x1, y1 = corners[i].tolist()
            found.append(Found(self.config.labels[int(kinds[i])], float(p[i]), (x0, y0, x1, y1)))
        return found


def decoded(out: Tensor, anchors: tuple[tuple[float, float], ...], width: int, height: int) -> tuple[Tensor, Tensor]:
    """A grid's guesses: corners (B, M, 4) as fractions within the picture, and probabilities (B, M, K).

    A box's middle is in its cell, its sides are multiples of an anchor's: b = (sigmoid(t) + cell) / grid,
    b_w = anchor exp(t_w)   (Redmon and Farhadi 2018, section 2.1).
    """
    batch, _, rows, columns = out.shape
    t = out.view(batch, len(anchors), -1, rows, columns).permute(0, 1, 3, 4, 2)  # (B, 3, rows, columns, 5 + K)
    y, x = torch.meshgrid(
        torch.arange(rows, device=out.device), torch.arange(columns, device=out.device), indexing="ij"
    )
    middle = (t[..., :2].sigmoid() + torch.stack([x, y], -1)) / out.new_tensor([columns, rows])
    sides = out.new_tensor(anchors)[:, None, None] * t[..., 2:4].clamp(max=8).exp() / out.new_tensor([width, height])
    corners = torch.cat([middle - sides / 2, middle + sides / 2], -1).clamp(0, 1)
    p = t[..., 4:5].sigmoid() * t[..., 5:].sigmoid()
    return corners.flatten(1, 3), p.flatten(1, 3)
