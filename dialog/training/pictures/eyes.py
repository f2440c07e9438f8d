"""What stands on the built-in picture network: taught to lay pictures where captions lie, and to name their words.

The network stays as published; what it sees in every training photograph is computed once. Two losses: a picture
finds its captions among those of the batch and a caption its picture (InfoNCE, van den Oord et al. 2018), what is
described alike never counting as wrong; and each word's logit tells which share of the captions uses it.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from dialog.corpora.pictures import read_pictures
from dialog.evaluation.pictures.encoder import evaluate_encoder
from dialog.pictures.match import BANK, TEXTS
from dialog.pictures.names import imagenet_names
from dialog.reading.captions import caption_vectors
from dialog.reading.pictures import open_picture
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.pictures.eyes_card import write_vision_card
from dialog.training.pictures.eyes_data import described, word_targets
from models.device import Where, choose_device, device_of, mixed_precision
from models.encoders.lite2 import AlignedLite2, Lite2Config
from models.encoders.text import TextEncoder
from models.tensors import write_file


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionRecipe:
    """What the alignment learns from, and how."""

    network: Lite2Config = field(default_factory=Lite2Config)
    collections: tuple[str, ...] = ("flickr8k", "coco_mini", "daquar")
    mirrored: bool = False
    """Whether photographs are learned from mirrored too; it takes the network twice as long to see them."""
    epochs: float = 40.0
    batch: int = 512
    lr: float = 1e-3
    weight_decay: float = 0.05
    scale: float = 20.0
    """What cosines are multiplied by in the contrast; it is learned."""
    words_weight: float = 1.0
    least_pictures: int = 15
    """A word has a logit when the captions of so many pictures use it."""
    bank: int = 4000
    """Captions kept beside the network (dialog.pictures.match)."""


class Features(NamedTuple):
    """Photographs as the published network has them, in V views each: the mean cell (V, N, 1280) and the classes'
    logits (V, N, 1000); and a sample of regions (M, D), not standardised."""

    mean: Tensor
    classes: Tensor
    regions: Tensor


class VisionTraining(nn.Module):
    """The alignment, the photographs' features and their texts."""

    def __init__(
        self, recipe: VisionRecipe, encoder: AlignedLite2, features: Features, texts: list[Tensor], words: Tensor
    ) -> None:
        super().__init__()
        self.recipe, self.alignment = recipe, encoder.alignment
        self.log_scale = nn.Parameter(torch.tensor(math.log(recipe.scale)))
        self.features, self.words = features, words
        self.texts = texts
        keys = dict[tuple[float, ...], int]()
        # Pictures with the very same texts (all of one class) are never each other's wrong answers.
        self.group = torch.tensor([keys.setdefault(tuple(t[0, :8].tolist()), len(keys)) for t in texts])
        self._order, self._epoch = torch.zeros(0, dtype=torch.long), -1

    @property
    def per_epoch(self) -> int:
        return max(1, len(self.texts) // self.recipe.batch)

    def loss(self, step: int) -> Tensor:
        """The loss of one batch; draws from torch's generator, which the loop seeds by step."""
        rows = self.rows(step)
        view = int(torch.randint(len(self.features.mean), ()))
        pooled, named = self.alignment(self.features.mean[view, rows], self.features.classes[view, rows])
        group = self.group[rows]
        alike = group[:, None] == group
        same = alike.float() / alike.sum(-1, keepdim=True)
        total: Tensor = pooled.new_zeros(())
        for _ in range(2):
            some = torch.stack([self.texts[i][int(torch.randint(len(self.texts[i]), ()))] for i in rows.tolist()])
            scores = self.log_scale.exp().clamp(max=60) * pooled @ self.alignment.sentences(some).T
            total = total - (same * scores.log_softmax(-1)).sum(-1).mean() / 4
            total = total - (same * scores.T.log_softmax(-1)).sum(-1).mean() / 4
        target = self.words[rows]
        told = target.sum(-1) > 0
        if named is not None and bool(told.any()):
            each = F.binary_cross_entropy_with_logits(named[told], target[told], reduction="none")
            total = total + self.recipe.words_weight * each.sum(-1).mean() / 20
        return total

    def rows(self, step: int) -> Tensor:
        """The photographs of a step: the next few of this epoch's order."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._order = torch.randperm(len(self.texts), generator=torch.Generator().manual_seed(epoch))
            self._epoch = epoch
        return self._order[place * self.recipe.batch :][: self.recipe.batch]


def train_vision(
    recipe: VisionRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
    look: "Callable[[AlignedLite2, Path, Sequence[tuple[str, str]]], Features] | None" = None,
) -> dict[str, Any]:
    """Trains the alignment into the folder `out`. Returns its scores on Flickr8k's dev.

    `look` computes the photographs' features, by default from the pictures in `data`. What is slow, the encoders' views
    of pictures and texts, runs by default on a card if there is one; the alignment is small and learns on the CPU.
    """
    torch.manual_seed(seed)
    where = choose_device(device)
    written = [(c, key, texts) for c in recipe.collections for key, texts in described(data, c).items()]
    captioned = [list(texts) if c in ("flickr8k", "coco_mini") else [] for c, _, texts in written]
    words, targets = word_targets(captioned, recipe.least_pictures)
    network = replace(recipe.network, words=tuple(words))
    reader = TextEncoder.load(device=where)
    if reader.d_model != network.d_text:
        raise ValueError(f"d_text is {network.d_text}, but captions have vectors of {reader.d_model}")
    flat = caption_vectors([text for _, _, texts in written for text in texts], reader)
    texts = list(flat.split([len(texts) for _, _, texts in written]))
    encoder = AlignedLite2(network).to(where)
    keys = [(c, key) for c, key, _ in written]
    features = look(encoder, data, keys) if look else features_of(encoder, data, keys, mirrored=recipe.mirrored)
    encoder = encoder.cpu()
    prepare(encoder, features, reader)
    module = VisionTraining(recipe, encoder, features, texts, targets)
    steps = max(1, round(recipe.epochs * module.per_epoch))
    schedule = Schedule(steps=steps, lr=recipe.lr, lr_new=recipe.lr, weight_decay=recipe.weight_decay)
    encoder.train()
    run(module, [], module.loss, schedule, out, seed, report)
    encoder.eval()
    encoder.save(out)
    # A bank of captions of training pictures, of every few, against which fits are measured.
    kept = [(text, v) for (c, _, some), vs in zip(written, texts, strict=True) if c == "flickr8k"
            for text, v in zip(some, vs, strict=True)]  # fmt: skip
    kept = kept[:: max(1, len(kept) // recipe.bank)][: recipe.bank]
    write_file(out / BANK, {"captions": torch.stack([v for _, v in kept]).half()})
    (out / TEXTS).write_text(json.dumps([text for text, _ in kept], ensure_ascii=False) + "\n", encoding="utf-8")
    scores = dict(evaluate_encoder(data, out, split="dev")["metrics"])
    write_vision_card(out, seed=seed, collections=recipe.collections, validation=scores)
    finish(out)
    return scores


@torch.inference_mode()
def features_of(
    encoder: AlignedLite2, data: Path, keys: Sequence[tuple[str, str]], *, mirrored: bool = False, batch: int = 16
) -> Features:
    """The features of the photographs named, in their order, plain or plain and mirrored."""
    place, n_views = {key: i for i, key in enumerate(keys)}, 1 + mirrored
    mean, classes = torch.zeros(n_views, len(keys), 1280), torch.zeros(n_views, len(keys), 1000)
    regions, every = list[Tensor](), max(1, len(keys) // 512)
    waiting = list[tuple[int, Image.Image]]()

    def flush() -> None:
        device = device_of(encoder.alignment)
        pixels = torch.stack([encoder.prepare(picture) for _, picture in waiting]).to(device)
        rows = [i for i, _ in waiting]
        with mixed_precision(device):
            for view, seen in enumerate((pixels, pixels.flip(-1))[:n_views]):
                grid, mean[view, rows], classes[view, rows] = (x.float().cpu() for x in encoder.seen(seen))
                if view == 0:
                    regions.extend(grid[n].flatten(1).T for n, i in enumerate(rows) if i % every == 0)
        waiting.clear()

    for collection in dict.fromkeys(c for c, _ in keys):
        for key, content in read_pictures(data, collection):
            if (collection, key) in place:
                waiting.append((place[collection, key], open_picture(content)))
                if len(waiting) == batch:
                    flush()
    if waiting:
        flush()
    return Features(mean, classes, torch.cat(regions))


def prepare(encoder: AlignedLite2, features: Features, reader: TextEncoder) -> None:
    """Sets what is measured, not learned: how regions are standardised, and the class names' vectors."""
    alignment = encoder.alignment
    alignment.region_mean.copy_(features.regions.mean(0))
    alignment.region_std.copy_(features.regions.std(0).clamp(min=1e-3))
    names = [", a ".join(dict.fromkeys([some[0], some[-1]])) for some in imagenet_names()]
    alignment.class_vectors.copy_(caption_vectors([f"a photo of a {name}" for name in names], reader))
