"""torchvision's models as picture encoders: the boxes of a Faster R-CNN, or the last feature map of a classifier.

Weights are those the user has: torchvision's own in its cache, or a safetensors file. There is no download here, and
never a network left at random numbers.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from models import tensors
from models.encoders.base import TORCHVISION, ImageEncoder, Regions, as_regions, squashed, unavailable

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BOXES = 36
"""Regions of a detector, as many as in the paper's features."""
DETECTOR_SIDE = 800
"""A picture is squashed to such a square for a detector, so that pictures stack; boxes are fractions and stay true."""


def load_torchvision(name: str) -> "TorchvisionBoxes | TorchvisionGrid":
    """`<model>` with the default weights in torchvision's cache, or `<model>@<file.safetensors>`.

    Raises EncoderUnavailable for a model torchvision lacks, weights that are not there, or ones that do not fit.
    """
    model_name, _, file = name.partition("@")
    full = TORCHVISION + name
    try:
        weights = torchvision.models.get_model_weights(model_name)["DEFAULT"]
        options = {"weights_backbone": None} if "rcnn" in model_name else {}
        model = torchvision.models.get_model(model_name, weights=None, **options)
    except (ValueError, KeyError, TypeError) as error:
        raise unavailable(full, f"torchvision has no such model to see with: {error}") from error
    state = _from_file(full, Path(file)) if file else _from_cache(full, model_name, weights)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise unavailable(full, f"the weights do not fit the model: {error}") from error
    if isinstance(model, FasterRCNN):
        return TorchvisionBoxes(model, full).eval()
    return TorchvisionGrid(model, full, weights.transforms()).eval()


class TorchvisionBoxes(ImageEncoder):
    """The most certain boxes of a Faster R-CNN; a region's vector is what the box head says before it decides
    (Anderson et al. 2018, section 3.1)."""

    def __init__(self, model: FasterRCNN, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name
        self.n_regions = MAX_BOXES
        self.d_model = int(model.roi_heads.box_predictor.cls_score.in_features)

    def prepare(self, picture: "Image") -> Tensor:
        return squashed(picture, DETECTOR_SIDE)  # the model itself takes off the mean

    def forward(self, pixels: Tensor) -> Regions:
        images, _ = self.model.transform(list(pixels))
        maps: Any = self.model.backbone(images.tensors)
        maps = maps if isinstance(maps, dict) else {"0": maps}
        proposals, _ = self.model.rpn(images, maps)
        found, _ = self.model.roi_heads(maps, proposals, images.image_sizes)
        kept = [one["boxes"][one["scores"].argsort(descending=True)[:MAX_BOXES]] for one in found]
        heads = self.model.roi_heads
        flat = heads.box_head(heads.box_roi_pool(maps, kept, images.image_sizes))  # (all boxes, D)
        batch, device = len(pixels), pixels.device
        vectors = torch.zeros(batch, MAX_BOXES, self.d_model, device=device)
        boxes = torch.zeros(batch, MAX_BOXES, 4, device=device)
        mask = torch.zeros(batch, MAX_BOXES, dtype=torch.bool, device=device)
        sides = [torch.tensor([w, h, w, h], device=device) for h, w in images.image_sizes]
        for i, (some, own, side) in enumerate(zip(flat.split([len(b) for b in kept]), kept, sides, strict=True)):
            vectors[i, : len(own)] = some.float()
            boxes[i, : len(own)] = (own / side).clamp(0, 1)
            mask[i, : len(own)] = True
        return Regions(vectors, mask, boxes, None)


class TorchvisionGrid(ImageEncoder):
    """What a classifier has before it averages over the picture: a grid of cells."""

    def __init__(self, model: nn.Module, name: str, preset: Any) -> None:
        super().__init__()
        nodes = get_graph_node_names(model.eval())[1]
        pools = [node for node in ("avgpool", "adaptive_avg_pool2d") if node in nodes]
        if not pools:
            raise unavailable(name, "it has no feature map that is averaged over the picture")
        self.body = create_feature_extractor(model, {nodes[nodes.index(pools[0]) - 1]: "grid"})
        self.name = name
        self.side, self.mean, self.std = int(preset.crop_size[0]), tuple(preset.mean), tuple(preset.std)
        with torch.inference_mode():
            _, self.d_model, rows, columns = self.body(torch.zeros(1, 3, self.side, self.side))["grid"].shape
        self.n_regions = rows * columns

    def prepare(self, picture: "Image") -> Tensor:
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (squashed(picture, self.side) - mean) / std

    def forward(self, pixels: Tensor) -> Regions:
        return as_regions(self.body(pixels)["grid"])


def _from_file(name: str, file: Path) -> dict[str, Tensor]:
    if file.suffix != ".safetensors":
        raise unavailable(name, f"expected a file of safetensors after the @, got {file.name!r}")
    try:
        return tensors.read_file(file)
    except tensors.DamagedTensors as error:
        raise unavailable(name, str(error)) from error


def _from_cache(name: str, model_name: str, weights: Any) -> dict[str, Tensor]:
    """The default weights, only if they are in the cache already; their checksum is in the file's name."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    if not cached.is_file():
        raise unavailable(
            name,
            f"its weights are not in {cached}; where there is a network, fetch them with "
            f"`python -c \"import torchvision; torchvision.models.get_model('{model_name}', weights='DEFAULT')\"`",
        )
    state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return state
