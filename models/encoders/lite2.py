"""The built-in eyes: EfficientNet-Lite2 as it was published, and on top of it what we taught it about captions.

A region is a cell of a fixed grid and carries what four stages say there: what it is (the last), parts and textures
(the fifth and the third, with its peaks), colours and edges (the first). The whole picture is told three ways: as a
vector among those of captions, so that a picture and a sentence can be compared; by the words people would use about
it; and by ImageNet's classes.

The vector among captions is made of the picture's mean cell beside the mean of the class names' vectors, each weighed
by how likely its class is (Norouzi et al. 2014, "Zero-shot learning by convex combination of semantic embeddings").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.catalogue import CONFIG_FILE, EYES, eyes_folder
from models.device import Where, choose_device
from models.encoders.base import ImageEncoder, Regions, as_regions, squashed, unavailable
from models.encoders.efficientnet import D_LAST, D_POOLED, N_CLASSES, STAGES, EfficientNetLite2, published_network

if TYPE_CHECKING:
    from PIL.Image import Image

D_REGION = D_LAST + STAGES[4].width + 2 * STAGES[2].width + STAGES[0].width


@dataclass(frozen=True, kw_only=True, slots=True)
class Lite2Config:
    """What stands on the published network; the defaults are those shipped."""

    words: tuple[str, ...] = ()
    """The words that a picture's captions may use, each told by its own logit."""
    d_text: int = 384
    d_hidden: int = 1024
    d_sentence: int = 256
    """Hidden width of what brings a sentence's vector nearer to pictures'; 0: sentences stay as they are."""
    dropout: float = 0.4
    picture_size: int = 256
    """The side of the square a picture is squashed to."""
    grid: int = 8
    """Cells a side; R is its square, whatever the picture's size."""

    def __post_init__(self) -> None:
        if self.picture_size % 32 or self.picture_size < 32:
            raise ValueError(f"picture_size {self.picture_size} is not a multiple of 32")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 or more and less than 1")


class Alignment(nn.Module):
    """What is learned here. The published network is not part of it and is not stored with it."""

    region_mean: Tensor
    region_std: Tensor
    class_vectors: Tensor

    def __init__(self, config: Lite2Config) -> None:
        super().__init__()
        self.config = config
        d_in, d = D_POOLED + config.d_text, config.d_text
        # Region vectors are standardised over the training pictures, so that no stage drowns another.
        self.register_buffer("region_mean", torch.zeros(D_REGION))
        self.register_buffer("region_std", torch.ones(D_REGION))
        self.register_buffer("class_vectors", torch.zeros(N_CLASSES, d))
        self.norm = nn.LayerNorm(d_in)
        self.hidden = nn.Linear(d_in, config.d_hidden)
        self.straight, self.bent = nn.Linear(d_in, d), nn.Linear(config.d_hidden, d)
        n = len(config.words)
        self.words_straight = nn.Linear(d_in, n, bias=False) if n else None
        self.words_bent = nn.Linear(config.d_hidden, n) if n else None
        self.sentence_in = nn.Linear(d, config.d_sentence) if config.d_sentence else None
        self.sentence_out = nn.Linear(config.d_sentence, d) if config.d_sentence else None
        if self.sentence_out is not None:
            nn.init.zeros_(self.sentence_out.weight)  # At first sentences stay where they are.
            nn.init.zeros_(self.sentence_out.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, mean: Tensor, classes: Tensor) -> tuple[Tensor, Tensor | None]:
        """The picture among captions (B, d_text), of length 1, and its words' logits (B, W), None where it has none;
        of the mean cell (B, 1280) and the classes' logits (B, 1000)."""
        x = self.dropout(self.norm(torch.cat([mean, 6 * self.named(classes)], -1)))  # 6: as wide as the rest
        hidden = self.dropout(F.gelu(self.hidden(x)))
        pooled = F.normalize(self.straight(x) + self.bent(hidden), dim=-1)
        if self.words_straight is None or self.words_bent is None:
            return pooled, None
        return pooled, self.words_straight(x) + self.words_bent(hidden)

    def named(self, classes: Tensor) -> Tensor:
        """The mean of the class names' vectors, each as likely as its class, (B, d_text), of logits (B, 1000)."""
        found: Tensor = classes.softmax(-1) @ self.class_vectors
        return found

    def sentences(self, vectors: Tensor) -> Tensor:
        """Sentences' vectors (..., d_text) brought nearer to pictures', of length 1."""
        if self.sentence_in is None or self.sentence_out is None:
            return vectors
        return F.normalize(vectors + self.sentence_out(self.dropout(F.gelu(self.sentence_in(vectors)))), dim=-1)


class AlignedLite2(ImageEncoder):
    """The built-in encoder. Pixels (B, 3, h, w) of sides that are multiples of 32; regions are a grid of "
    "`config.grid` squared."""

    def __init__(self, config: Lite2Config, name: str = EYES, network: EfficientNetLite2 | None = None) -> None:
        super().__init__()
        self.config, self.name = config, name
        self.network = network or published_network()
        self.network.requires_grad_(False)
        self.alignment = Alignment(config)
        self.d_model, self.n_regions, self.d_text = D_REGION, config.grid**2, config.d_text

    @classmethod
    def load_folder(cls, name: str | Path = EYES, *, device: Where = None) -> "AlignedLite2":
        """The shipped encoder, or that of a folder. EncoderUnavailable where there is none, or no published network."""
        folder = eyes_folder(name)
        if not (folder / CONFIG_FILE).is_file():
            raise unavailable(name, f"expected {folder / CONFIG_FILE}")
        config, where = checkpoint.read_config(folder, Lite2Config), choose_device(device)
        # The one network of a process stays on the CPU; a card gets its own.
        encoder = cls(config, str(name), None if where.type == "cpu" else EfficientNetLite2.load()).eval()
        checkpoint.load_weights(encoder.alignment, folder)
        return encoder.to(where)

    def save(self, folder: Path | str) -> Path:
        """What was learned here, in half precision."""
        return checkpoint.save(folder, self.alignment, self.config, dtype=torch.float16)

    def prepare(self, picture: "Image", side: int | None = None) -> Tensor:
        return 2 * squashed(picture, side or self.config.picture_size) - 1

    def forward(self, pixels: Tensor) -> Regions:
        maps = self.maps(pixels)
        grid, mean, classes = self.seen_in(maps)
        pooled, words = self.alignment(mean, classes)
        regions = as_regions(grid, pooled)
        vectors = (regions.vectors - self.alignment.region_mean) / self.alignment.region_std
        return regions._replace(vectors=vectors, words=words, classes=classes, maps=maps[5])

    def seen(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The grid as the stages have it (B, D, grid, grid), the mean cell (B, 1280) and the classes' logits."""
        return self.seen_in(self.maps(pixels))

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """The feature maps of the published network's stages."""
        found: list[Tensor] = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return found

    def seen_in(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What `seen` returns, of the stages' maps."""
        side = (self.config.grid, self.config.grid)
        last = maps[6] if maps[6].shape[-2:] == side else F.interpolate(maps[6], size=side, mode="bilinear")
        means = (F.adaptive_avg_pool2d(maps[i], side) for i in (4, 2))
        parts = [last, *means, F.adaptive_max_pool2d(maps[2], side), F.adaptive_avg_pool2d(maps[0], side)]
        mean = self.network.cells(maps[6]).float().mean((2, 3))
        return torch.cat([p.float() for p in parts], 1), mean, self.network.classify(mean)

    def sentences(self, vectors: Tensor) -> Tensor:
        return self.alignment.sentences(vectors)


def is_aligned_lite2(folder: Path) -> bool:
    """Whether a folder holds an encoder of this file."""
    try:
        return Lite2Config.__name__ in (folder / CONFIG_FILE).read_text(encoding="utf-8")
    except OSError:
        return False
