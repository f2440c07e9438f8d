"""Any transformers vision tower as a picture encoder, by folder or hub name: ViT, DINOv2, CLIP's, SigLIP's, Swin ..."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from models.encoders.base import ImageEncoder, Regions, as_regions, squashed, unavailable

if TYPE_CHECKING:
    from PIL.Image import Image


class TransformersVision(ImageEncoder):
    """The patches of a vision tower, or the cells of its last feature map. Its pooled vector is not among MiniLM's
    sentences, so `pooled` is None."""

    def __init__(self, network: nn.Module, side: int, mean: list[float], std: list[float], name: str) -> None:
        super().__init__()
        self.network, self.name = network, name
        self.side, self.mean, self.std = side, mean, std
        with torch.inference_mode():
            grid = self._grid(torch.zeros(1, 3, side, side))
        self.d_model, self.n_regions = grid.shape[1], grid.shape[2] * grid.shape[3]

    @classmethod
    def load_tower(cls, name: str | Path) -> "TransformersVision":
        """The tower and its picture size, mean and deviation. EncoderUnavailable says what was looked for."""
        import transformers  # Heavy: only those who ask for a tower wait for it.

        try:
            network = transformers.AutoModel.from_pretrained(name, use_safetensors=True)
            processor = transformers.AutoImageProcessor.from_pretrained(name)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise unavailable(
                name,
                "expected a folder with config.json, model.safetensors and preprocessor_config.json, or a hub name "
                f"(fetch it with `hf download {name}` where there is a network): {error}",
            ) from error
        # A model of pictures and texts together lends its tower; a tower takes pixels itself.
        tower = getattr(network, "vision_model", network)
        if getattr(tower, "main_input_name", "") != "pixel_values":
            raise unavailable(name, f"a {type(network).__name__} takes no pictures")
        side = _side(tower, processor)
        mean, std = (list(getattr(processor, key, None) or fallback) for key, fallback in _NO_CHANGE)
        return cls(tower.eval(), side, mean, std, str(name)).eval()

    def prepare(self, picture: "Image") -> Tensor:
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (squashed(picture, self.side) - mean) / std

    def forward(self, pixels: Tensor) -> Regions:
        return as_regions(self._grid(pixels))

    def _grid(self, pixels: Tensor) -> Tensor:
        """(B, D, rows, columns)."""
        states: Tensor = self.network(pixel_values=pixels).last_hidden_state
        if states.dim() == 4:
            return states
        # The class token and registers, where there are any, come before the patches of a square picture.
        patch = getattr(cast(Any, self.network).config, "patch_size", None)
        side = self.side // patch if isinstance(patch, int) else 0
        if not 0 < side * side <= states.shape[1] or states.shape[1] > 2 * side * side:
            side = math.isqrt(states.shape[1])
        y: Tensor = states[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
        return y


_NO_CHANGE = (("image_mean", (0.0, 0.0, 0.0)), ("image_std", (1.0, 1.0, 1.0)))


def _side(tower: nn.Module, processor: Any) -> int:
    """The side of the square the tower wants: its configuration's, else its processor's."""
    size = getattr(cast(Any, tower).config, "image_size", None)
    if isinstance(size, int):
        return size
    sizes: tuple[Any, ...] = (getattr(processor, "crop_size", None), getattr(processor, "size", None))
    for wanted in sizes:
        for key in ("height", "shortest_edge", "longest_edge"):
            side = wanted.get(key) if hasattr(wanted, "get") else getattr(wanted, key, None)
            if isinstance(side, int):
                return side
    return 224
