"""What looks for things by name (models.encoders.things), taught on what people name in photographs.

What the eyes' stages below see in every photograph is computed once, and kept. Each thing that training often names
is then asked of every photograph of which it is known; three times in ten by its sentence alone, without a correction
of its own, so that things nobody named can be asked for too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from dialog.corpora.pictures import read_pictures
from dialog.evaluation.pictures.presence import Key
from dialog.pictures.evidence import THINGS
from dialog.pictures.seqdialn import VisualDialog
from dialog.reading.pictures import open_picture
from dialog.reading.text_vectors import TextReader
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.pictures.things_data import common_names, shown, targets
from models.catalogue import VISUAL, path_of
from models.device import Where, device_of, mixed_precision
from models.encoders.lite2 import AlignedLite2
from models.encoders.things import D_BEFORE, Things, ThingsConfig
from models.tensors import read_file, read_note, write_file

CACHE = "seen.safetensors"
"""In the output folder: what the eyes see in the photographs, for when the command is run again."""
KEPT = ("maps", "named", "usual")


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingsRecipe:
    """The shape of what is taught, and how."""

    network: ThingsConfig = field(default_factory=ThingsConfig)
    epochs: float = 4.0
    batch: int = 64
    lr: float = 1e-4
    """Of the retaught stage."""
    lr_new: float = 1e-3
    weight_decay: float = 0.05
    by_sentence: float = 0.3
    """How often a thing is asked for by its sentence alone."""
    least_pictures: int = 12
    """A thing is asked for that so many photographs show."""


class Seen(NamedTuple):
    """N photographs: the sixth stage's maps (N, 208, rows, columns), the mean of the class names' vectors (N, D_text),
    and the mean of the classes' probabilities over those with captions (1000,)."""

    maps: Tensor
    named: Tensor
    usual: Tensor


class ThingsTraining(nn.Module):
    """The network, the photographs, and what they show."""

    def __init__(
        self, recipe: ThingsRecipe, things: Things, seen: Seen, sentences: Tensor, there: Tensor, known: Tensor
    ) -> None:
        super().__init__()
        self.recipe, self.things, self.sentences = recipe, things, sentences
        self.photographs, self.there, self.known = seen, there, known
        self.every = torch.arange(len(sentences))
        self._order, self._epoch = torch.zeros(0, dtype=torch.long), -1

    @property
    def per_epoch(self) -> int:
        return max(1, len(self.there) // self.recipe.batch)

    def loss(self, step: int) -> Tensor:
        """The loss of one batch; draws from torch's generator, which the loop seeds by step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._order = torch.randperm(len(self.there), generator=torch.Generator().manual_seed(epoch))
            self._epoch = epoch
        rows = self._order[place * self.recipe.batch :][: self.recipe.batch]
        maps = self.photographs.maps[rows].float().contiguous(memory_format=torch.channels_last)
        with mixed_precision(maps.device):
            cells, whole = self.things.seen(maps, self.photographs.named[rows].float())
        own = (torch.rand(len(self.every)) >= self.recipe.by_sentence).float()
        scores = self.things.scores(cells.float(), whole.float(), self.things.query(self.sentences, own, self.every))
        each = F.binary_cross_entropy_with_logits(scores, self.there[rows], reduction="none")
        return (each * self.known[rows]).sum() / len(rows)


def train_things(
    recipe: ThingsRecipe,
    data: Path,
    out: Path,
    *,
    start: str | Path | None = None,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Teaches what looks for things beside the model `start`, by default the shipped one, into the folder `out`/things.

    Returns how many photographs and names it learned from; `rapport train visual/presence --out OUT` then tells how far
    to believe it, and how often it is right.
    """
    torch.manual_seed(seed)
    dialog = VisualDialog.load(path_of(str(start or VISUAL)), device=device)
    if not isinstance(dialog.eyes, AlignedLite2):
        raise ValueError(f"{dialog.name} sees with {dialog.config.picture_encoder}, expected the built-in eyes")
    photographs = list(shown(data))
    names = common_names(photographs, recipe.least_pictures)
    if not names:
        raise ValueError(f"no thing is shown by {recipe.least_pictures} photographs or more")
    there, known = targets(photographs, names)
    out.mkdir(parents=True, exist_ok=True)
    version = dialog.config.picture_encoder_version
    seen = photographs_seen(dialog.eyes, data, [one.key for one in photographs], out / CACHE, version, report)
    things = Things(replace(recipe.network, names=tuple(names), d_text=seen.named.shape[1]))
    begin(things, dialog.eyes, seen, there, known)
    module = ThingsTraining(recipe, things, seen, asked_by(dialog.reader, names), there, known)
    published = {id(p) for p in (*things.stage.parameters(), *things.head.parameters())}
    schedule = Schedule(
        steps=max(1, round(recipe.epochs * module.per_epoch)),
        lr=recipe.lr,
        lr_new=recipe.lr_new,
        weight_decay=recipe.weight_decay,
        clip=5.0,
    )
    things.train()
    run(module, [p for p in things.parameters() if id(p) not in published], module.loss, schedule, out, seed, report)
    things.eval().save(out / THINGS)
    finish(out)
    return {"photographs": len(photographs), "names": len(names)}


def begin(things: Things, eyes: AlignedLite2, seen: Seen, there: Tensor, known: Tensor) -> None:
    """What is measured, not learned: how often each thing is shown, and classes seen; and the published stage."""
    things.begin_from(eyes.network)
    often = (((there * known).sum(0) + 1) / (known.sum(0) + 2)).clamp(1e-3, 0.9)
    things.prior.copy_(torch.logit(often))
    things.usual.copy_(seen.usual)
    with torch.no_grad():
        things.own_bias.copy_(things.prior)


def asked_by(reader: TextReader, names: Sequence[str]) -> Tensor:
    """The vectors of the sentences by which things are asked for, (N, D_text)."""
    return torch.stack([v.sentence.float() for v in reader.read([f"a photo of a {name}" for name in names])])


@torch.inference_mode()
def photographs_seen(
    eyes: AlignedLite2,
    data: Path,
    keys: Sequence[Key],
    cache: Path,
    version: str,
    report: Callable[[Progress], None] | None = None,
    *,
    batch: int = 16,
) -> Seen:
    """What the eyes see in the photographs, in the keys' order; kept in `cache`."""
    if cache.is_file() and (note := read_note(cache))["version"] == version and note["keys"] == [list(k) for k in keys]:
        kept = read_file(cache)
        return Seen(*(kept[name] for name in KEPT))
    place, side = {key: i for i, key in enumerate(keys)}, eyes.config.picture_size // 32
    maps = torch.zeros(len(keys), D_BEFORE, side, side, dtype=torch.half)
    named, probabilities = torch.zeros(len(keys), eyes.config.d_text), torch.zeros(1000)
    waiting, done = list[tuple[int, Image.Image]](), 0

    def flush() -> None:
        device = device_of(eyes.alignment)
        pixels = torch.stack([eyes.prepare(picture) for _, picture in waiting]).to(device)
        rows = [i for i, _ in waiting]
        with mixed_precision(device):
            stages = eyes.maps(pixels)
            _, _, classes = eyes.seen_in(stages)
        maps[rows] = stages[5].half().cpu()
        named[rows] = eyes.alignment.named(classes.float()).cpu()
        captioned = [n for n, i in enumerate(rows) if keys[i][0] == "flickr8k"]
        probabilities.add_(classes.float().softmax(-1).cpu()[captioned].sum(0))
        waiting.clear()

    for collection in dict.fromkeys(collection for collection, _ in keys):
        for image, content in read_pictures(data, collection):
            if (i := place.get((collection, image))) is not None:
                waiting.append((i, open_picture(content)))
                done += 1
                if len(waiting) == batch:
                    flush()
                    if report:
                        report(Progress(done, len(keys), 0.0))
    if waiting:
        flush()
    if done < len(keys):
        raise ValueError(f"{len(keys) - done} photographs are missing")
    usual = probabilities / probabilities.sum().clamp(min=1e-9)
    seen = Seen(maps, named, usual if float(usual.sum()) else torch.full_like(usual, 1 / len(usual)))
    write_file(cache, seen._asdict(), {"version": version, "keys": [list(key) for key in keys]})
    return seen
