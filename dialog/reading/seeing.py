"""A picture to the regions a dialogue about it looks at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

TILE_ASPECT = 4 / 3
"""Width to height of a camera's picture. One much wider is read in tiles of about this shape side by side, so that
what is small in it is not squashed away."""
MAX_TILES = 6


class Encoding(Protocol):
    """What is needed of a `models.encoders.image.ImageEncoder`."""

    d_model: int
    d_text: int | None

    def encode(self, pictures: "list[Image]") -> "SomeRegions": ...


class SomeRegions(Protocol):
    @property
    def vectors(self) -> Tensor: ...
    @property
    def mask(self) -> Tensor: ...
    @property
    def boxes(self) -> Tensor: ...
    @property
    def pooled(self) -> Tensor | None: ...
    @property
    def words(self) -> Tensor | None: ...
    @property
    def classes(self) -> Tensor | None: ...
    @property
    def maps(self) -> Tensor | None: ...


class PictureRegions(NamedTuple):
    """One picture: its regions (R, D), their corners (R, 4) as fractions x0, y0, x1, y1, and the whole in the space of
    sentence vectors (E,), of length 1, where the encoder is aligned with text. Where it tells them, the logits of the
    words captions would use (W,), the scores of ImageNet's classes (1000,), and of T tiles a map of one of its stages
    (T, D_map, rows, columns). Of a drawing of few flat colours, its parts (P, D_part) and their corners (P, 4)."""

    vectors: Tensor
    boxes: Tensor
    pooled: Tensor | None
    words: Tensor | None = None
    classes: Tensor | None = None
    parts: Tensor | None = None
    part_boxes: Tensor | None = None
    maps: Tensor | None = None


def n_tiles(width: int, height: int) -> int:
    """How many tiles a picture is read in, side by side; tall ones are never cut."""
    return max(1, min(MAX_TILES, round(width / height / TILE_ASPECT)))


@torch.inference_mode()
def see(encoder: Encoding, pictures: "list[Image]") -> list[PictureRegions]:
    """What the encoder sees in each picture, on the CPU, its tiles together; boxes are fractions of the whole."""
    tiles, counts = list["Image"](), [n_tiles(*picture.size) for picture in pictures]
    for picture, n in zip(pictures, counts, strict=True):
        width, height = picture.size
        cuts = [round(i * width / n) for i in range(n + 1)]
        tiles += [picture.crop((cuts[i], 0, cuts[i + 1], height)) for i in range(n)] if n > 1 else [picture]
    seen = encoder.encode(tiles)
    tile_vectors, mask, tile_boxes = seen.vectors.cpu(), seen.mask.cpu(), seen.boxes.cpu()
    pooled = None if seen.pooled is None else seen.pooled.cpu()
    found, first = [], 0
    for n in counts:
        rows = range(first, first + n)
        vectors = torch.cat([tile_vectors[i][mask[i]] for i in rows]).float()
        boxes = torch.cat([_placed(tile_boxes[i][mask[i]], i - first, n) for i in rows]).float()
        whole = None if pooled is None else F.normalize(pooled[first : first + n].float().mean(0), dim=0)
        # A word fits the whole if it fits a tile; what the whole is, the tiles say together.
        words = None if seen.words is None else seen.words[first : first + n].float().amax(0).cpu()
        classes = None if seen.classes is None else seen.classes[first : first + n].float().mean(0).cpu()
        maps = None if seen.maps is None else seen.maps[first : first + n].float().cpu()
        found.append(PictureRegions(vectors, boxes, whole, words, classes, maps=maps))
        first += n
    return found


def _placed(boxes: Tensor, tile: int, n: int) -> Tensor:
    """A tile's boxes in the whole picture."""
    x = boxes.new_tensor([1.0, 0.0, 1.0, 0.0])
    return torch.where(x.bool(), (boxes + tile * x) / n, boxes)


def padded(
    pictures: Sequence[PictureRegions], device: torch.device | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Pictures as a batch: vectors (B, R, D) and boxes (B, R, 4) in float32, mask (B, R), pooled (B, E) or None.

    On the device, or where the pictures' vectors are.
    """
    there = device or pictures[0].vectors.device
    vectors, mask = stacked([p.vectors for p in pictures], there)
    boxes, _ = stacked([p.boxes for p in pictures], there)
    pooled = [p.pooled for p in pictures if p.pooled is not None]
    whole = torch.stack(pooled).float().to(there) if len(pooled) == len(pictures) else None
    return vectors, mask, boxes, whole


def stacked(rows: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Matrices (R_i, D) as one of (B, R, D) in float32, zeros on the right, and its mask (B, R)."""
    n, here = max(map(len, rows)), rows[0].device
    y = torch.zeros(len(rows), n, rows[0].shape[1], device=here)
    mask = torch.zeros(len(rows), n, dtype=torch.bool, device=here)
    for i, row in enumerate(rows):
        y[i, : len(row)], mask[i, : len(row)] = row.float(), True
    return y.to(device), mask.to(device)
