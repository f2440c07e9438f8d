"""The small model's encoder and heads, learned from labels and from what the teacher says of many more messages.

Every message is read alone. What it is to say of one is a mixture of its label and of the teacher's answer (Hinton,
Vinyals and Dean 2015, at temperature 1); of most messages there is the teacher's answer only. A message is decorated
anew whenever it is drawn, its answer stays: so the answer does not hang on a full stop.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.labels import TAGS
from dialog.reading.batching import Layout, Packer, bucket, collate
from dialog.training.emotion.decorations import decorated
from dialog.training.emotion.messages import LABELS, Message
from dialog.training.loop import Progress, Schedule, run
from models.device import device_of, mixed_precision
from models.encoders.text import TextEncoder

ALONE = Layout(
    speaker_marks="none",
    alone=True,
    shouting=True,
    max_tokens=512,
    context_tokens=0,
    live_tokens=512,
    utterance_tokens=480,
)
"""How the default reads: each message by itself, and whole."""


class Answers(NamedTuple):
    """What a teacher says of M messages: probabilities of labels (M, 7) and tags (M, 27), affect (M, 2) around 0."""

    emotion: Tensor
    tags: Tensor
    affect: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentRecipe:
    """How the small encoder learns messages."""

    layout: Layout = ALONE
    steps: int = 4000
    batch_tokens: int = 1024
    lr: float = 2e-4
    lr_new: float = 1e-3
    gold: Mapping[str, float] = field(
        default_factory=lambda: {
            **{"chats": 0.7, "states": 0.9, "goemotions": 0.55, "meld": 0.5, "dailydialog": 0.4, "isear": 0.4},
            **{"empathetic_dialogues": 0.4, "emorynlp": 0.4, "tweet_emotion": 0.4, "event2mind": 0.3},
            **{"emocontext": 0.3, "ecf": 0.3, "xed": 0.2},
        }
    )
    """By corpus, how much of the mixture its labels are; the rest is the teacher's. 0 where nothing is said here."""
    often: Mapping[str, int] = field(default_factory=lambda: {"chats": 5})
    """How often the messages of a corpus are drawn in a pass; others once."""
    tags_weight: float = 6.0
    affect_weight: float = 0.5


class MessageModel(nn.Module):
    """A text encoder and three linear heads on the normed mean of a message's tokens."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        d = encoder.d_model
        self.norm = nn.LayerNorm(d)
        self.classify = nn.Linear(d, len(LABELS))
        self.tags = nn.Linear(d, len(TAGS))
        self.affect = nn.Linear(d, 2)
        nn.init.constant_(self.tags.bias, -3.5)
        self.dropout = nn.Dropout(0.1)

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over norm and classifier of an emotion model's file, where it has the same labels."""
        with torch.no_grad():
            self.norm.weight.copy_(tensors["context.norm.weight"])
            self.norm.bias.copy_(tensors["context.norm.bias"])
            self.classify.weight.copy_(tensors["context.classify.weight"])
            self.classify.bias.copy_(tensors["context.classify.bias"])

    def heads(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of labels (B, 7) and tags (B, 27), affect (B, 2) around 0, of vectors (B, D)."""
        x = self.dropout(self.norm(vectors))
        return self.classify(x), self.tags(x), self.affect(x)


class Student(nn.Module):
    """The model with its loss on messages and their answers."""

    def __init__(self, model: MessageModel, recipe: StudentRecipe, messages: Sequence[Message], said: Answers) -> None:
        super().__init__()
        self.model, self.recipe, self.messages = model, recipe, messages
        self.packer = Packer(model.encoder, recipe.layout)
        self.emotion, self.tags, self.affect = mixed(recipe, messages, said)
        self.lengths = [len(row) for row in model.encoder.tokenize([m.text for m in messages], 64)]
        self.order = [i for i, m in enumerate(messages) for _ in range(recipe.often.get(m.corpus, 1))]

    def loss(self, batch: Sequence[int], rng: random.Random) -> Tensor:
        """The mean over messages: cross-entropy of labels, of tags, squared error of affect."""
        wanted = self.emotion[list(batch)]
        dressed = [
            decorated(Message(self.messages[i].text, "", tuple(row)), rng)
            for i, row in zip(batch, wanted.tolist(), strict=True)
        ]
        texts, rows = [], []
        for m in dressed:
            text, row = shouting(m.text, m.emotion or (), rng)
            texts.append(text)
            rows.append(row)
        tokens = self.packer.tokenize([""] * len(texts), texts)
        tokens = [t._replace(text=t.text[:64]) for t in tokens]
        device, some = device_of(self.model), list(batch)
        with mixed_precision(device):
            vectors = self.model.encoder(*collate([self.packer.pack([t]) for t in tokens], device))
        emotion, tags, affect = self.model.heads(vectors)
        loss = F.cross_entropy(emotion, torch.tensor(rows, device=device))
        by_tag = F.binary_cross_entropy_with_logits(tags, self.tags[some].to(device))
        loss = loss + self.recipe.tags_weight * by_tag
        return loss + self.recipe.affect_weight * F.mse_loss(affect, self.affect[some].to(device))

    def batches(self, epoch: int, seed: int) -> list[list[int]]:
        """Every message, as often as the recipe says, in batches of like length and random order."""
        rng = random.Random(f"{seed}-{epoch}")
        order = rng.sample(self.order, len(self.order))
        found = []
        for begin in range(0, len(order), 4000):
            part = order[begin : begin + 4000]
            found += [
                [part[i] for i in b] for b in bucket([self.lengths[i] + 2 for i in part], self.recipe.batch_tokens, rng)
            ]
        rng.shuffle(found)
        return found


_NEUTRAL = LABELS.index("neutral")


def shouting(text: str, row: Sequence[float], rng: random.Random) -> tuple[str, Sequence[float]]:
    """Now and then the text in capitals. Who shouts is seldom without any feeling: half of neutral's share goes to the
    others, unless nearly all of it is neutral."""
    neutral = row[_NEUTRAL]
    if not text.isascii() or rng.random() > (0.06 if neutral < 0.8 else 0.02):
        return text, row
    if 0.0 < neutral < 0.8:
        scale = (1 - neutral / 2) / (1 - neutral)
        row = tuple(p / 2 if i == _NEUTRAL else p * scale for i, p in enumerate(row))
    return text.upper(), row


def mixed(recipe: StudentRecipe, messages: Sequence[Message], said: Answers) -> Answers:
    """What the student is to say: labels and answers, mixed as the recipe says."""
    emotion, tags, affect = (t.clone() for t in said)
    for i, m in enumerate(messages):
        share = recipe.gold.get(m.corpus, 0.0)
        if m.emotion is not None and share:
            emotion[i] += share * (torch.tensor(m.emotion) - emotion[i])
        if m.tags is not None:
            tags[i] += 0.5 * (torch.tensor([float(t in m.tags) for t in TAGS]) - tags[i])
        if m.affect is not None:
            affect[i] = torch.tensor(m.affect) - 3.0
    return Answers(emotion, tags, affect)


def train_student(
    model: MessageModel,
    recipe: StudentRecipe,
    messages: Sequence[Message],
    said: Answers,
    out: Path,
    *,
    seed: int = 0,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Trains the model in place; a killed run goes on from its checkpoint in `out`."""
    student = Student(model, recipe, messages, said)
    model.encoder.network.get_submodule("embeddings").requires_grad_(False)
    model.encoder.prepare_training()
    epochs: dict[int, list[list[int]]] = {}
    per_epoch = len(student.batches(0, seed))

    def at(step: int) -> Tensor:
        epoch, place = divmod(step, per_epoch)
        if epoch not in epochs:
            epochs.clear()
            epochs[epoch] = student.batches(epoch, seed)
        return student.loss(epochs[epoch][place % len(epochs[epoch])], random.Random(f"{seed}-{step}"))

    student.model.dropout.train()
    heads = [
        *model.norm.parameters(),
        *model.classify.parameters(),
        *model.tags.parameters(),
        *model.affect.parameters(),
    ]
    run(student, heads, at, Schedule(steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr_new), out, seed, report)
    model.eval()
