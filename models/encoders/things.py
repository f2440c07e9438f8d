"""Things looked for by name in a picture: in the whole of it, and in each cell of a grid.

The last of the eyes' seven stages is taught anew on what people name in photographs; below it the eyes stay as they
are, and their own last stage too, which others have learned from. With w the whole picture's vector, c_r the cells' and
u, v, b made of the vector of "a photo of a ..." and, for what training often named, of a correction of its own,

    logit = b + 2 w.u / sqrt(D_whole) + log mean_r exp(2 c_r.v / sqrt(D_cell))

so that one cell in which a thing is plain to see is enough (Pinheiro and Collobert 2015, "From image-level to
pixel-level labeling with convolutional networks", eq. 6).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import checkpoint
from models.device import Where, choose_device
from models.encoders.efficientnet import D_LAST, D_POOLED, N_CLASSES, STAGES, Bottleneck, EfficientNetLite2, SameConv

D_BEFORE = STAGES[5].width
"""The width of the sixth stage's map, on which the retaught one stands."""


class Looked(NamedTuple):
    """A picture ready to be asked about: of T tiles the cells (T * R, D_cell) and the wholes (T, D_whole)."""

    cells: Tensor
    whole: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingsConfig:
    """The shape of `Things`; the defaults are those shipped."""

    names: tuple[str, ...] = ()
    """What training named often, each with a correction of its own."""
    d_text: int = 384
    d_cell: int = 128
    d_whole: int = 256
    d_hidden: int = 512
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise ValueError("names: expected each once")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 or more and less than 1")


class Things(nn.Module):
    """How likely each of some things is in a picture; see above."""

    usual: Tensor
    prior: Tensor
    version: str = ""
    """The content hash of the folder it was loaded from."""

    def __init__(self, config: ThingsConfig) -> None:
        super().__init__()
        self.config = config
        n, d_in = len(config.names), D_POOLED + config.d_text
        stage = STAGES[6]
        self.stage = Bottleneck(D_BEFORE, D_LAST, stage.kernel, stage.stride, stage.expansion)
        self.head = SameConv(D_LAST, D_POOLED, 1)
        self.cell_norm, self.cell = nn.LayerNorm(D_POOLED), nn.Linear(D_POOLED, config.d_cell)
        self.norm, self.hidden = nn.LayerNorm(d_in), nn.Linear(d_in, config.d_hidden)
        self.straight, self.bent = nn.Linear(d_in, config.d_whole), nn.Linear(config.d_hidden, config.d_whole)
        self.ask_cell = nn.Linear(config.d_text, config.d_cell)
        self.ask_whole = nn.Linear(config.d_text, config.d_whole)
        self.ask_bias = nn.Linear(config.d_text, 1)
        self.own_cell = nn.Parameter(torch.zeros(n, config.d_cell))
        self.own_whole = nn.Parameter(torch.zeros(n, config.d_whole))
        self.own_bias = nn.Parameter(torch.zeros(n))
        self.dropout = nn.Dropout(config.dropout)
        # The share of training's photographs that show each named thing, as log-odds; ImageNet's mean probabilities.
        self.register_buffer("prior", torch.zeros(n))
        self.register_buffer("usual", torch.full((N_CLASSES,), 1 / N_CLASSES))
        self.places = {name: i for i, name in enumerate(config.names)}

    @classmethod
    def load(cls, folder: Path | str, *, device: Where = None) -> "Things":
        """From a folder, in evaluation mode. CheckpointError where it holds none."""
        config, tensors = checkpoint.read(folder, ThingsConfig)
        found = checkpoint.fill(cls(config), tensors, folder).eval().to(choose_device(device))
        found.version = checkpoint.content_hash(folder)
        return found

    def save(self, folder: Path | str) -> Path:
        """In half precision."""
        return checkpoint.save(folder, self, self.config, dtype=torch.float16)

    def begin_from(self, network: EfficientNetLite2) -> None:
        """Takes the published last stage to begin with."""
        last = network.stages[6]
        self.stage.load_state_dict({name.removeprefix("0."): t for name, t in last.state_dict().items()})
        self.head.load_state_dict(network.head.state_dict())

    def seen(self, maps: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (B, R, D_cell) and wholes (B, D_whole), of the sixth stage's maps (B, 208, rows, columns) and of the
        mean of the class names' vectors, each as likely as its class, (B, D_text)."""
        seen = F.relu6(self.head(self.stage(maps))).flatten(2).transpose(1, 2)
        cells = self.cell(self.dropout(self.cell_norm(seen)))
        x = self.dropout(self.norm(torch.cat([seen.mean(1), 6 * named], -1)))  # 6: as wide as the rest
        return cells, self.straight(x) + self.bent(self.dropout(F.gelu(self.hidden(x))))

    @torch.inference_mode()
    def look(self, maps: Tensor, named: Tensor) -> Looked:
        """The tiles of one picture, on the CPU."""
        cells, whole = self.seen(maps, named)
        return Looked(cells.flatten(0, 1).float().cpu(), whole.float().cpu())

    def query(self, sentences: Tensor, own: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What things are looked for by, of their sentences (N, D_text): in cells (N, D_cell), in the whole
        (N, D_whole), and how common they are (N,). Of those with a place among the names, (N,), the correction is
        taken `own` times (N,); of the others `own` is 0."""
        cell, whole, bias = self.ask_cell(sentences), self.ask_whole(sentences), self.ask_bias(sentences)[:, 0]
        if not self.config.names:
            return cell, whole, bias
        mine = own[:, None]
        return (
            cell + mine * self.own_cell[places],
            whole + mine * self.own_whole[places],
            bias + own * self.own_bias[places],
        )

    def scores(self, cells: Tensor, whole: Tensor, query: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Logits (B, N) of things in pictures, cells (B, R, D_cell) and wholes (B, D_whole)."""
        cell, all_of_it, bias = query
        near = (cells @ cell.T) * (2 / math.sqrt(cell.shape[-1]))  # (B, R, N)
        pooled = near.logsumexp(1) - math.log(near.shape[1])
        return bias + (whole @ all_of_it.T) * (2 / math.sqrt(all_of_it.shape[-1])) + pooled

    @torch.inference_mode()
    def logits(self, looked: Looked, names: Sequence[str], sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Of one picture and N things by their names and sentences (N, D_text): the logits (N,), of several tiles the
        largest, and how much of it is how common the thing is, (N,)."""
        places = [self.places.get(name, -1) for name in names]
        own = sentences.new_tensor([float(place >= 0) for place in places])
        at = torch.tensor([max(place, 0) for place in places])
        query = self.query(sentences, own, at)
        tiles = len(looked.whole)
        found = self.scores(looked.cells.unflatten(0, (tiles, -1)), looked.whole, query).amax(0)
        common = torch.where(own.bool(), self.prior[at], query[2]) if self.config.names else query[2]
        return found, common
