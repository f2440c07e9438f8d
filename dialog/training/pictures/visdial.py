"""Trains SeqDialN on VisDial v1.0, as published: 100 options a round, then fine-tuning on dense annotations.

The folder holds `visdial_1.0_train.json`, `visdial_1.0_val.json`, where there are any their dense annotations
(`visdial_1.0_train_dense_sample.json`, `visdial_1.0_val_dense_annotations.json`), and the pictures anywhere below it,
their names ending in the picture's number (`COCO_train2014_000000378466.jpg`).
"""

import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dialog.corpora import MissingCorpus
from dialog.corpora.derived.visual_examples import Asked, Talk
from dialog.corpora.visdial import PictureDialogue, read
from dialog.metrics import ndcg, retrieval_scores
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher
from dialog.reading.seeing import padded, see
from dialog.reading.text_vectors import TextReader, batched
from dialog.training.loop import Progress, Schedule, finish, run
from models.catalogue import EYES
from models.device import Where, choose_device, device_of
from models.encoders.base import ImageEncoder
from models.encoders.image import load_image_encoder
from models.encoders.text import BUILT_IN, TextEncoder
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.decoders import adjusted_relevance, dense_loss, n_pair_loss
from models.seqdialn.model import SeqDialN

SPLITS = {
    "train": ("visdial_1.0_train.json", "visdial_1.0_train_dense_sample.json"),
    "val": ("visdial_1.0_val.json", "visdial_1.0_val_dense_annotations.json"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class VisDialRecipe:
    """The published schedule of the discriminative models, at any size."""

    network: dict[str, object] = field(default_factory=dict)
    picture_encoder: str = EYES
    text_encoder: str = BUILT_IN
    epochs: float = 15.0
    lr: float = 2e-4
    batch_dialogues: int = 8
    dense_epochs: float = 3.0
    """Of fine-tuning on the annotated rounds; 0 leaves it out, and so does training without such annotations."""
    dense_lr: float = 5e-5
    dense_batch: int = 4
    adjusted: bool = True
    """Whether relevances are re-weighted to keep the human answer on top."""


class VisDialTraining(nn.Module):
    """The network with its losses over dialogues with options."""

    def __init__(self, network: SeqDialN, bank: Bank, recipe: VisDialRecipe) -> None:
        super().__init__()
        self.network, self.bank, self.recipe = network, bank, recipe
        self.device = device_of(network)
        self.batcher = Batcher(bank, blind=False, device=self.device)

    def scores(self, dialogues: Sequence[PictureDialogue]) -> list[list[Tensor]]:
        """For every round of every dialogue the scores of its options (N,), N 0 where it has none."""
        talks = [_talk(d) for d in dialogues]
        vectors, mask, boxes, pooled = padded([self.batcher.regions(t) for t in talks], self.device)
        items, questions, rounds = self.batcher.texts(talks)
        z = self.network(self.network.look(vectors, mask, boxes, pooled), items, questions, rounds).z
        # An option is read once, however many rounds offer it.
        texts = list(dict.fromkeys(o for d in dialogues for r in d.rounds for o in r.options))
        if not texts:
            return [[z.new_zeros(0) for _ in d.rounds] for d in dialogues]
        place = {text: i for i, text in enumerate(texts)}
        read_texts = batched([self.bank.texts[t] for t in texts], self.device)
        o = self.network.discriminative.options(read_texts.words, read_texts.mask)
        return [
            [self.network.discriminative(z[b, t], o[[place[x] for x in r.options]]) for t, r in enumerate(d.rounds)]
            for b, d in enumerate(dialogues)
        ]

    def loss(self, dialogues: Sequence[PictureDialogue]) -> Tensor:
        """The N-pair loss, the mean over rounds whose answer is known."""
        found = [
            n_pair_loss(s[None], torch.tensor([r.gt], device=self.device))
            for d, scores in zip(dialogues, self.scores(dialogues), strict=True)
            for r, s in zip(d.rounds, scores, strict=True)
            if r.gt is not None
        ]
        return torch.stack(found).mean()

    def dense(self, dialogues: Sequence[PictureDialogue]) -> Tensor:
        """GCE on the annotated rounds."""
        found = []
        for d, scores in zip(dialogues, self.scores(dialogues), strict=True):
            for r, s in zip(d.rounds, scores, strict=True):
                if r.relevance and r.gt is not None:
                    relevance = s.new_tensor([r.relevance])
                    if self.recipe.adjusted:
                        relevance = adjusted_relevance(relevance, torch.tensor([r.gt], device=self.device))
                    found.append(dense_loss(s[None], relevance))
        return torch.stack(found).mean()


def train_visdial(
    recipe: VisDialRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Trains into `out`: config.json, model.safetensors, scores.json; returns the validation scores. Resumes."""
    parts = {split: load_dialogues(data, split) for split in SPLITS}
    where = choose_device(device)
    eyes = load_image_encoder(recipe.picture_encoder, device=where)
    reader = TextReader(TextEncoder.load(recipe.text_encoder, device=where))
    bank = fill(data, [d for some in parts.values() for d in some], eyes, reader)
    torch.manual_seed(seed)
    fields: dict[str, Any] = {"d_text": reader.width, "d_region": eyes.d_model}
    fields["d_sentence"] = reader.width if eyes.d_text == reader.width else 0
    module = VisDialTraining(SeqDialN(SeqDialNConfig(**(fields | recipe.network))).to(where), bank, recipe)
    stages: list[tuple[str, list[PictureDialogue], Callable[..., Tensor], float, float, int]] = [
        ("base", parts["train"], module.loss, recipe.epochs, recipe.lr, recipe.batch_dialogues)
    ]
    annotated = [d for d in parts["train"] if any(r.relevance for r in d.rounds)]
    if annotated and recipe.dense_epochs:
        # Only the annotated rounds count, so what comes after them need not be computed.
        dense = [_until_annotated(d) for d in annotated]
        stages.append(("dense", dense, module.dense, recipe.dense_epochs, recipe.dense_lr, recipe.dense_batch))
    scores = dict[str, float]()
    for name, dialogues, loss, epochs, lr, size in stages:
        per_epoch = -(-len(dialogues) // size)
        steps = max(1, round(per_epoch * epochs))
        schedule = Schedule(steps=steps, lr=lr, lr_new=lr, warm_up=min(1.0, per_epoch / steps), weight_decay=0.0)
        batches = _Shuffled(dialogues, size, seed)
        module.train()
        run(module, [], lambda step, b=batches, f=loss: f(b.at(step)), schedule, out / name, seed, report)  # type: ignore[misc]
        module.eval()
        measured = measure(module, parts["val"])
        scores |= measured if name == "base" else {f"dense_{k}": v for k, v in measured.items()}
    module.network.save(out)
    (out / "scores.json").write_text(json.dumps({"validation": scores}, indent=2) + "\n", encoding="utf-8")
    for name, *_ in stages:
        finish(out / name)
        (out / name).rmdir()
    return scores


def load_dialogues(data: Path, split: str) -> list[PictureDialogue]:
    """One split, with its dense annotations where they are there. MissingCorpus names the file looked for."""
    path, dense = (data / name for name in SPLITS[split])
    if not path.is_file():
        raise MissingCorpus(f"no VisDial {split}: expected {path} (from visualdialog.org)")
    return list(read(path, dense if dense.is_file() else None))


def fill(data: Path, dialogues: Sequence[PictureDialogue], eyes: ImageEncoder, reader: TextReader) -> Bank:
    """What the encoders make of the dialogues' pictures and texts."""
    from PIL import Image

    bank, files = Bank(), dict[int, Path]()
    for path in data.rglob("*.jpg"):
        number = path.stem.rsplit("_", 1)[-1]
        if number.isdigit():
            files[int(number)] = path
    wanted = list(dict.fromkeys(d.image for d in dialogues))
    missing = [image for image in wanted if int(image) not in files]
    if missing:
        raise MissingCorpus(f"no picture {missing[0]} below {data} ({len(missing)} of {len(wanted)} are missing)")
    for start in range(0, len(wanted), 32):
        some = wanted[start : start + 32]
        opened = [Image.open(io.BytesIO(files[int(image)].read_bytes())).convert("RGB") for image in some]
        for image, regions in zip(some, see(eyes, opened), strict=True):
            bank.pictures["visdial", image] = regions
    for d in dialogues:
        options = [x for r in d.rounds for x in (r.question, r.answer or "", *r.options)]
        bank.read([d.caption, *options], reader)
    return bank


@torch.inference_mode()
def measure(module: VisDialTraining, dialogues: Sequence[PictureDialogue]) -> dict[str, float]:
    """R@1, R@5, R@10, MRR, mean rank, and NDCG where relevances are known."""
    sparse: tuple[list[list[float]], list[int]] = ([], [])
    dense: tuple[list[list[float]], list[tuple[float, ...]]] = ([], [])
    for start in range(0, len(dialogues), 16):
        some = dialogues[start : start + 16]
        for d, scores in zip(some, module.scores(some), strict=True):
            for r, s in zip(d.rounds, scores, strict=True):
                if r.gt is not None:
                    sparse[0].append(s.tolist())
                    sparse[1].append(r.gt)
                if r.relevance:
                    dense[0].append(s.tolist())
                    dense[1].append(r.relevance)
    found: Mapping[str, float] = retrieval_scores(*sparse)
    if not dense[0]:
        return dict(found)
    value, skipped = ndcg(*dense)
    return {**found, "ndcg": value, "ndcg_skipped": float(skipped)}


class _Shuffled:
    """Batches by step, the same for the same seed."""

    def __init__(self, dialogues: Sequence[PictureDialogue], size: int, seed: int) -> None:
        self.dialogues, self.size, self.seed = dialogues, size, seed
        self.per_epoch = -(-len(dialogues) // size)

    def at(self, step: int) -> list[PictureDialogue]:
        epoch, place = divmod(step, self.per_epoch)
        order = list(range(len(self.dialogues)))
        random.Random(f"{self.seed}-epoch-{epoch}").shuffle(order)
        return [self.dialogues[i] for i in order[place * self.size : (place + 1) * self.size]]


def _talk(d: PictureDialogue) -> Talk:
    rounds = tuple(Asked(r.question, r.answer or "", "visdial") for r in d.rounds)
    return Talk("visdial", d.image, rounds, chained=True, caption=d.caption)


def _until_annotated(d: PictureDialogue) -> PictureDialogue:
    from dataclasses import replace

    last = max(t for t, r in enumerate(d.rounds) if r.relevance)
    return replace(d, rounds=d.rounds[: last + 1])
