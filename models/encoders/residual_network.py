"""Our own small picture network, trained from nothing on public photographs and their captions.

Four stages of residual blocks (He et al. 2015, with the average-pooled shortcut of He et al. 2018, "Bag of Tricks",
ResNet-D). A region is a cell of a fixed grid and carries what the stages say there: what it is (the last stage), how it
looks (the third), its colours and edges (the first; where asked for, the second's and the first's peaks too). The whole
picture is projected into the space of MiniLM's caption vectors, so that a picture and a sentence can be compared.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.catalogue import CONFIG_FILE, EYES, eyes_folder
from models.device import Where
from models.encoders.base import ImageEncoder, Regions, as_regions, squashed, unavailable

if TYPE_CHECKING:
    from PIL.Image import Image

MEAN, STD = (0.46, 0.45, 0.42), (0.27, 0.265, 0.28)
"""Of the training pictures' red, green and blue, between 0 and 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidualNetworkConfig:
    """The shape of the network; the defaults are those shipped."""

    widths: tuple[int, ...] = (64, 128, 224, 384)
    depths: tuple[int, ...] = (1, 2, 3, 1)
    """Blocks a stage; every stage after the first halves the sides."""
    picture_size: int = 128
    """The side of the square a picture is squashed to: so were most of the training pictures."""
    grid: int = 6
    """Cells a side; R is its square, whatever the picture's size."""
    peaks: bool = False
    """Whether a region also carries the greatest of the second and the first stage in its cell, so that what is
    small is not averaged away."""
    d_text: int = 384

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or len(self.depths) != 4:
            raise ValueError(f"expected four stages, got {len(self.widths)} widths and {len(self.depths)} depths")
        if self.picture_size % 32:
            raise ValueError(f"picture_size {self.picture_size} is not a multiple of 32")


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, d_in: int, d_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(d_in, d_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(d_out)
        self.second = nn.Conv2d(d_out, d_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(d_out)
        nn.init.zeros_(self.second_norm.weight)  # A block starts as its shortcut.
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or d_in != d_out:
            # As many cells as the strided convolution has, also where a side is odd.
            pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(d_in, d_out, 1, bias=False), nn.BatchNorm2d(d_out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.shortcut(x) + self.second_norm(self.second(y)))


class ResidualNetwork(ImageEncoder):
    """The built-in encoder. Pixels (B, 3, h, w) of any multiple of 32; regions are a grid of `config.grid` squared."""

    region_mean: Tensor
    region_std: Tensor

    def __init__(self, config: ResidualNetworkConfig, name: str = EYES) -> None:
        super().__init__()
        self.config, self.name = config, name
        widths = config.widths
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.stages = nn.ModuleList()
        d_in = widths[0]
        for i, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            strides = [1 if i == 0 else 2, *[1] * (depth - 1)]
            self.stages.append(
                nn.Sequential(*(Block(d_in if j == 0 else width, width, s) for j, s in enumerate(strides)))
            )
            d_in = width
        self.to_text = nn.Linear(2 * widths[-1], config.d_text)
        self.d_model = widths[3] + widths[2] + widths[0] + (widths[1] + widths[0] if config.peaks else 0)
        self.n_regions = config.grid**2
        self.d_text = config.d_text
        # Region vectors are standardised over the training pictures, so that no stage drowns another.
        self.register_buffer("region_mean", torch.zeros(self.d_model))
        self.register_buffer("region_std", torch.ones(self.d_model))

    @classmethod
    def load_folder(cls, name: str | Path = EYES, *, device: Where = None) -> "ResidualNetwork":
        """The shipped network, or that of a folder. EncoderUnavailable where there is none."""
        folder = eyes_folder(name)
        if not (folder / CONFIG_FILE).is_file():
            raise unavailable(name, f"expected {folder / CONFIG_FILE}")
        return checkpoint.load(folder, lambda config: cls(config, str(name)), ResidualNetworkConfig, device=device)

    def prepare(self, picture: "Image", side: int | None = None) -> Tensor:
        return normalise(255 * squashed(picture, side or self.config.picture_size))

    def stage_outputs(self, pixels: Tensor) -> list[Tensor]:
        """The feature map after each stage, at 1/4, 1/8, 1/16 and 1/32 of the picture's sides."""
        maps, x = [], self.stem(pixels)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def pool(self, last: Tensor) -> Tensor:
        """The last stage's map to the picture's vector in caption space, (B, d_text), of length 1."""
        both = torch.cat([last.mean((2, 3)), last.amax((2, 3))], -1)
        return F.normalize(self.to_text(both).float(), dim=-1)

    def forward(self, pixels: Tensor) -> Regions:
        maps = self.stage_outputs(pixels)
        side = (self.config.grid, self.config.grid)
        last = F.interpolate(maps[3], size=side, mode="bilinear", align_corners=False)
        means = (F.adaptive_avg_pool2d(maps[i], side) for i in (2, 0))
        peaks = (F.adaptive_max_pool2d(maps[i], side) for i in ((1, 0) if self.config.peaks else ()))
        grid = torch.cat([last, *means, *peaks], 1)  # (B, D, g, g)
        regions = as_regions(grid, self.pool(maps[3]))
        return regions._replace(vectors=(regions.vectors - self.region_mean) / self.region_std)


def normalise(pixels: Tensor) -> Tensor:
    """Bytes (..., 3, h, w) to the float32 values the network takes."""
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


def is_residual_network(folder: Path) -> bool:
    """Whether a folder holds a network of this file."""
    try:
        return ResidualNetworkConfig.__name__ in (folder / CONFIG_FILE).read_text(encoding="utf-8")
    except OSError:
        return False
