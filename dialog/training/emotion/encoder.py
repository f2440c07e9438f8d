"""The shared encoder: one pass over every corpus that names emotions, a linear classifier for each.

Each utterance is read among its neighbours, cut at random so that the encoder also learns to read alone. What is
tested anywhere, in this task or with causes, is kept out (dialog.corpora.derived.leaks).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.conversation import Conversation
from dialog.corpora.ekman import OWN_LABELS
from dialog.labels import LABEL_SETS
from dialog.reading.batching import DEFAULT_LAYOUT, Layout, Packed, Packer, SpeakerMarks, bucket, collate
from dialog.training.emotion.examples import Example, Source, load_source, make_examples, random_spans
from dialog.training.emotion.starting import ENCODER_FILE
from dialog.training.loop import Progress, Schedule, finish, run
from models.device import Where, device_of, mixed_precision
from models.encoders.text import TextEncoder, low_rank_deltas
from models.tensors import write_file

FRIENDS = (
    ("meld", "validation"),
    ("meld", "test"),
    ("emorynlp", "validation"),
    ("emorynlp", "test"),
    ("ecf", "validation"),
    ("ecf", "test"),
)
DAILY = (("dailydialog", "validation"), ("dailydialog", "test"), ("reccon", "validation"), ("reccon", "test"))


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderRecipe:
    """What the shared encoder learns from, and how."""

    sources: tuple[Source, ...] = (
        Source(corpus="meld", avoid=tuple(p for p in FRIENDS if p[0] != "meld")),
        Source(corpus="ecf", avoid=tuple(p for p in FRIENDS if p[0] != "ecf")),
        Source(corpus="emorynlp", avoid=tuple(p for p in FRIENDS if p[0] != "emorynlp")),
        Source(corpus="dailydialog", avoid=DAILY, share=0.5, emotional_only=True),
        Source(corpus="goemotions"),
        Source(corpus="emocontext", limit=15_000),
        Source(corpus="empathetic_dialogues", split="validation"),
    )
    layout: Layout = DEFAULT_LAYOUT
    epochs: float = 1.0
    lr: float = 1.5e-4
    lr_new: float = 1e-3
    batch_tokens: int = 1536
    ekman_weight: float = 0.5
    """Of the classifier into Ekman's labels, which all corpora share, beside each corpus's own."""
    whole_weight: float = 2.0
    """Of the label of a whole conversation, read off the mean of its first speaker's utterances."""
    smoothing: float = 0.05
    rank: int = 64
    """Of the deltas kept; a model cuts them further."""


class _Item:
    """One sequence to train on."""

    def __init__(self, example: Example, begin: int, packed: Packed) -> None:
        self.packed = packed
        self.example = example
        end = begin + packed.n_utterances
        self.labels, self.ekman = example.labels[begin:end], example.ekman[begin:end]


class EncoderTraining(nn.Module):
    """The encoder and one linear classifier a label set."""

    def __init__(self, encoder: TextEncoder, heads: dict[str, int], recipe: EncoderRecipe) -> None:
        super().__init__()
        self.encoder = encoder
        self.recipe = recipe
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.ModuleDict({name: nn.Linear(encoder.d_model, n) for name, n in heads.items()})

    def loss(self, items: Sequence[_Item], wholes: dict[str, int]) -> Tensor:
        """Cross-entropy a label, the corpora's own and Ekman's, and that of whole conversations."""
        device = device_of(self.encoder)
        with mixed_precision(device):
            vectors = self.encoder(*collate([item.packed for item in items], device))
        x = self.dropout(vectors)
        corpora = [item.example.corpus for item in items for _ in item.labels]
        labels = torch.tensor([label for item in items for label in item.labels], device=device)
        ekman = torch.tensor([label for item in items for label in item.ekman], device=device)
        total, n = x.new_zeros(()), 0
        for name in dict.fromkeys(corpora):
            here = torch.tensor([c == name for c in corpora], device=device) & (labels >= 0)
            if here.any():
                total = total + self._cross_entropy(name, x[here], labels[here])
                n += int(here.sum())
        if (ekman >= 0).any():
            total = total + self.recipe.ekman_weight * self._cross_entropy("ekman", x[ekman >= 0], ekman[ekman >= 0])
        means, targets, base = [], [], 0
        for item in items:
            speakers = [u.speaker for u in item.example.utterances[: len(item.labels)]]
            if item.example.whole is not None:
                means.append(x[[base + i for i, s in enumerate(speakers) if s == speakers[0]]].mean(0))
                targets.append(wholes[item.example.whole])
            base += len(item.labels)
        if means:
            whole = self._cross_entropy("whole", torch.stack(means), torch.tensor(targets, device=device))
            total, n = total + self.recipe.whole_weight * whole, n + len(means)
        mean: Tensor = total / max(1, n)
        return mean

    def _cross_entropy(self, head: str, x: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.heads[head](x), labels, reduction="sum", label_smoothing=self.recipe.smoothing)


def train_encoder(
    recipe: EncoderRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Trains the shared encoder into `out`: deltas, the classifiers, the vectors' scale."""
    torch.manual_seed(seed)
    encoder = TextEncoder.load(device=device).eval()
    encoder.network.get_submodule("embeddings").requires_grad_(False)
    conversations = {source.corpus: load_source(source, data, seed) for source in recipe.sources}
    # A label of a whole conversation has a classifier of its own.
    label_sets = {c: () if c == "empathetic_dialogues" else OWN_LABELS[c] for c in conversations}
    wholes = sorted(
        {c.extra["emotion"] for c in conversations.get("empathetic_dialogues", []) if c.extra.get("emotion")}
    )
    heads = {name: len(labels) for name, labels in label_sets.items() if labels} | {"ekman": 7}
    if wholes:
        heads["whole"] = len(wholes)
    module = EncoderTraining(encoder, heads, recipe).to(device_of(encoder))
    packers = {marks: Packer(encoder, _marked(recipe.layout, marks)) for marks in ("letter", "name", "none")}
    items = _items(recipe, conversations, label_sets, packers, seed)
    batches = bucket_randomly([len(item.packed.ids) for item in items], recipe.batch_tokens, random.Random(seed))
    index = {emotion: i for i, emotion in enumerate(wholes)}
    schedule = Schedule(steps=round(len(batches) * recipe.epochs), lr=recipe.lr, lr_new=recipe.lr_new)
    module.train()
    encoder.prepare_training()
    new = list(module.heads.parameters())
    run(
        module,
        new,
        lambda step: module.loss([items[i] for i in batches[step % len(batches)]], index),
        schedule,
        out,
        seed,
        report,
    )
    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"encoder.{k}": v
        for k, v in low_rank_deltas(encoder.network, TextEncoder.load(device=device).network, recipe.rank).items()
    }
    tensors |= {f"head.{k}": v.detach() for k, v in module.heads.state_dict().items()}
    tensors["vector_std"] = _vector_std(encoder, items[:200])
    write_file(out / ENCODER_FILE, tensors)
    finish(out)
    return out


def bucket_randomly(lengths: Sequence[int], budget: int, rng: random.Random, pool: int = 4000) -> list[list[int]]:
    """Batches of like length within random pools, in random order, so that a batch mixes corpora."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for begin in range(0, len(order), pool):
        members = order[begin : begin + pool]
        batches += [[members[i] for i in b] for b in bucket([lengths[m] for m in members], budget, rng)]
    rng.shuffle(batches)
    return batches


def _items(
    recipe: EncoderRecipe,
    conversations: dict[str, list[Conversation]],
    label_sets: dict[str, tuple[str, ...]],
    packers: dict[str, Packer],
    seed: int,
) -> list[_Item]:
    rng = random.Random(seed)
    items = []
    for corpus, some in conversations.items():
        for e in make_examples(some, corpus, label_sets[corpus], LABEL_SETS["ekman"], packers["letter"]):
            lengths = [len(u.text) for u in e.utterances]
            short = corpus in ("goemotions", "emocontext", "empathetic_dialogues")
            limit = recipe.layout.max_tokens
            spans = [(0, len(lengths))] if short else [(s.begin, s.end) for s in random_spans(lengths, limit, rng)]
            for begin, end in spans:
                # Friends are known by name half of the time; a tenth of all is read without any mark.
                named = corpus in ("meld", "ecf", "emorynlp") and rng.random() < 0.5
                marks = "name" if named else "none" if rng.random() < 0.1 else "letter"
                items.append(_Item(e, begin, packers[marks].pack(e.utterances[begin:end])))
    return items


def _marked(layout: Layout, marks: SpeakerMarks) -> Layout:
    return replace(layout, speaker_marks=marks)


@torch.inference_mode()
def _vector_std(encoder: TextEncoder, items: Sequence[_Item]) -> Tensor:
    """The typical standard deviation over the width of one utterance vector, ()."""
    return torch.cat([encoder(*collate([item.packed], device_of(encoder))) for item in items]).std(-1).mean()
