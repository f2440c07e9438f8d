"""The picture network: trained from nothing to lie where MiniLM puts the captions.

Three losses: a picture finds a caption of its own among one caption of every training picture, and a caption its
picture among the batch (InfoNCE, van den Oord et al. 2018; what else reads like its captions is partly right); it
names the words its captions use; and Caltech-101 pictures name their class. Pictures grow from 64 to 96 pixels on the
way. What is kept is the running mean of the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.evaluation.picture_encoder import evaluate_encoder
from dialog.pictures.match import BANK
from dialog.reading.captions import caption_vectors
from dialog.training.averaging import Average
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.vision_card import write_vision_card
from dialog.training.vision_data import Photographs, augment, load_photographs, word_targets
from models import checkpoint
from models.device import Where, choose_device, mixed_precision
from models.encoders.residual_network import ResidualNetwork, ResidualNetworkConfig, normalise
from models.encoders.text import TextEncoder
from models.tensors import write_file


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionRecipe:
    """What the picture network learns from, and how."""

    network: ResidualNetworkConfig = field(default_factory=lambda: ResidualNetworkConfig(peaks=True))
    steps: int = 1200
    """3,000 were tried, half of them with every picture laid over another (mixup): no better on dev (area of the fit
    0.897 for 0.911, recall at 10 of 26.8 for 27.7 per cent)."""
    lr: float = 2e-3
    weight_decay: float = 0.05
    batch: tuple[tuple[str, int], ...] = (
        ("flickr8k", 168),
        ("caltech101", 64),
        ("daquar", 8),
        ("coco_mini", 4),
        ("easyvqa", 12),
    )
    """Pictures of each collection in a batch. DAQUAR's are few, and what is known of them by heart misleads whoever
    learns to answer about them: each is shown a dozen times."""
    sizes: tuple[tuple[float, int], ...] = ((0.6, 64), (1.0, 96))
    """Until which share of the steps pictures have which side."""
    smallest_crop: float = 0.35
    own: float = 0.6
    """How much of the target is the picture's own caption; the rest goes to all that read like its captions."""
    likeness: float = 0.06
    """The temperature of that likeness."""
    words_weight: float = 0.5
    class_weight: float = 0.3
    least_groups: int = 12
    """A word is to be named when the texts of so many pictures use it."""
    averaging: float = 0.995
    save_every: int = 50
    bank: int = 800
    """Captions kept beside the network (dialog.pictures.match)."""


class VisionTraining(nn.Module):
    """The network and the heads that only training needs."""

    def __init__(self, recipe: VisionRecipe, photographs: Photographs, vectors: list[Tensor], seed: int) -> None:
        super().__init__()
        self.recipe, self.photographs, self.seed = recipe, photographs, seed
        self.network = ResidualNetwork(recipe.network)
        self.average = Average(self.network.state_dict(), recipe.averaging)
        vocabulary, self.word_targets = word_targets(photographs.texts, recipe.least_groups)
        d_last = 2 * recipe.network.widths[-1]
        self.to_words = nn.Linear(d_last, len(vocabulary))
        self.to_class = nn.Linear(d_last, len(photographs.classes))
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # 1 / 0.07
        counts = torch.tensor([len(v) for v in vectors])
        self.first = counts.cumsum(0) - counts  # the first text of each group
        self.counts = counts
        self.vectors = torch.cat(vectors)
        self.means = F.normalize(torch.stack([v.mean(0) for v in vectors]), dim=-1)

    def to_device(self, device: torch.device) -> "VisionTraining":
        for name in ("word_targets", "first", "counts", "vectors", "means"):
            setattr(self, name, getattr(self, name).to(device))
        # Convolutions on a CPU and on tensor cores are quickest with the channels last.
        return self.to(device).to(memory_format=torch.channels_last)

    def loss(self, step: int) -> Tensor:
        """The loss of one batch; draws from torch's generator, which the loop seeds by step."""
        self.average.update(self.network.state_dict(), step)
        photographs, recipe, device = self.photographs, self.recipe, self.log_scale.device
        rows = self.rows(step)
        share = step / recipe.steps
        size = next(size for until, size in recipe.sizes if share < until)
        pixels = normalise(augment(photographs.pixels[rows], size, recipe.smallest_crop).to(device))
        with mixed_precision(device):
            last = self.network.stage_outputs(pixels.contiguous(memory_format=torch.channels_last))[-1]
            seen = torch.cat([last.mean((2, 3)), last.amax((2, 3))], -1)  # as the network pools
            pooled = F.normalize(self.network.to_text(seen).float(), dim=-1)
            named, classed = self.to_words(seen).float(), self.to_class(seen).float()
        groups, labels = photographs.group[rows].to(device), photographs.label[rows].to(device)
        total = self.contrast(pooled, groups)
        words = self.word_targets[groups]
        total = total - recipe.words_weight * (words * named.log_softmax(-1)).sum() / len(rows)
        has_class = labels >= 0
        if has_class.any():
            total = total + recipe.class_weight * F.cross_entropy(
                classed[has_class], labels[has_class], label_smoothing=0.1
            )
        return total

    def contrast(self, pooled: Tensor, groups: Tensor) -> Tensor:
        """InfoNCE both ways; pooled (B, D), groups (B,)."""
        recipe, scale = self.recipe, self.log_scale.exp().clamp(max=60)
        draw = (torch.rand(len(self.counts)).to(pooled.device) * self.counts).long()
        bank = self.vectors[self.first + draw]  # one text a group, (G, D)
        alike = (self.means[groups] @ bank.T / recipe.likeness).softmax(-1)
        target = (1 - recipe.own) * alike
        target[torch.arange(len(groups)), groups] += recipe.own
        to_texts = -(target * (scale * pooled @ bank.T).log_softmax(-1)).sum(-1).mean()
        same = (groups[:, None] == groups).float()
        to_pictures = -(same / same.sum(-1, keepdim=True) * (scale * bank[groups] @ pooled.T).log_softmax(-1)).sum(-1)
        return to_texts + 0.5 * to_pictures.mean()

    def rows(self, step: int) -> Tensor:
        """The pictures of a step: of every collection the next few in an order of its own for each round."""
        chosen = []
        for part, (_, n) in zip(self.photographs.parts, self.recipe.batch, strict=True):
            n = min(n, len(part))
            each = len(part) // n
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step // each)
            order = torch.randperm(len(part), generator=generator)
            chosen.append(part[order[step % each * n :][:n]])
        return torch.cat(chosen)


def train_vision(
    recipe: VisionRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Trains the network into the folder `out`, by default on a card if there is one. Returns its scores on
    Flickr8k's dev."""
    torch.manual_seed(seed)
    photographs = load_photographs(data, [name for name, _ in recipe.batch])
    where = choose_device(device)
    encoder = TextEncoder.load(device=where)
    if encoder.d_model != recipe.network.d_text:
        raise ValueError(f"d_text is {recipe.network.d_text}, but captions have vectors of {encoder.d_model}")
    with mixed_precision(where):
        flat = caption_vectors([text for group in photographs.texts for text in group], encoder)
    vectors = list(flat.split([len(group) for group in photographs.texts]))
    module = VisionTraining(recipe, photographs, vectors, seed)
    module.to_device(where).train()
    schedule = Schedule(
        steps=recipe.steps,
        lr=recipe.lr,
        lr_new=recipe.lr,
        weight_decay=recipe.weight_decay,
        save_every=recipe.save_every,
    )
    run(module, [], module.loss, schedule, out, seed, report)
    network = module.network
    module.average.copy_to(network.state_dict())
    network.eval().cpu()
    standardise(network, photographs)
    checkpoint.save(out, network, recipe.network, dtype=torch.float16)
    # A bank of captions of training pictures, one of each few groups, against which fits are measured.
    bank = flat[:: max(1, len(flat) // recipe.bank)][: recipe.bank]
    write_file(out / BANK, {"captions": bank.half()})
    scores = dict(evaluate_encoder(data, out, split="dev")["metrics"])
    write_vision_card(out, seed=seed, collections=[name for name, _ in recipe.batch], validation=scores)
    finish(out)
    return scores


@torch.inference_mode()
def standardise(network: ResidualNetwork, photographs: Photographs, n: int = 512) -> None:
    """Sets the mean and deviation of region vectors, from so many training pictures, each once."""
    network.region_mean.zero_()
    network.region_std.fill_(1)
    rows = torch.linspace(0, len(photographs.pixels) - 1, min(n, len(photographs.pixels))).round().long()
    size = network.config.picture_size
    seen = []
    for some in rows.split(64):
        squares = F.interpolate(photographs.pixels[some], size=(size, size), mode="bilinear", antialias=True)
        seen.append(network(normalise(squares)).vectors)
    vectors = torch.cat(seen).flatten(0, 1)
    network.region_mean.copy_(vectors.mean(0))
    network.region_std.copy_(vectors.std(0).clamp(min=1e-3))
