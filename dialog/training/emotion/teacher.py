"""The teacher: a larger encoder, its upper layers tuned to say of single messages what the small model is to learn.

all-mpnet-base-v2 (110 M) comes in five packages, joined and checked by `large_encoder`. Its lower layers stay as they
are, so that their states are made once; what trains is the upper ones and three linear heads: Ekman's labels,
GoEmotions' tags, valence and arousal. The corpora draw the line between a feeling and none in different places; each
has a bias of its own while it trains, and the chats' is the one that is used.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.labels import TAGS
from dialog.reading.batching import bucket
from dialog.training.emotion.messages import LABELS, Message
from dialog.training.loop import Progress, Schedule, finish, run
from models.device import Where, device_of, mixed_precision
from models.encoders.large import large_folder
from models.encoders.text import TextEncoder
from models.tensors import read_file, read_note, write_file

MAX_TOKENS = 64
TEACHER = "teacher.safetensors"


class Said(NamedTuple):
    """What is said of B messages, before any softmax: emotion (B, 7), tags (B, 27), affect (B, 2) around 0."""

    emotion: Tensor
    tags: Tensor
    affect: Tensor


class Heads(nn.Module):
    """Three linear heads over message vectors (B, D)."""

    def __init__(self, d_model: int, corpora: Sequence[str] = ()) -> None:
        super().__init__()
        self.emotion = nn.Linear(d_model, len(LABELS))
        self.tags = nn.Linear(d_model, len(TAGS))
        self.affect = nn.Linear(d_model, 2)
        nn.init.constant_(self.tags.bias, -3.5)  # A tag fits one message in thirty.
        self.corpora = list(corpora)
        self.bias = nn.Parameter(torch.zeros(len(self.corpora), len(LABELS)))

    def forward(self, x: Tensor, corpora: Sequence[str] = ()) -> Said:
        emotion = self.emotion(x)
        if corpora:
            places = [self.corpora.index(c) if c in self.corpora else -1 for c in corpora]
            known = torch.tensor([p >= 0 for p in places], device=x.device)
            bias = (
                self.bias[torch.tensor(places, device=x.device).clamp(min=0)] if self.corpora else emotion.new_zeros(1)
            )
            emotion = emotion + bias * known[:, None]
        return Said(emotion, self.tags(x), self.affect(x))


def message_loss(
    said: Said, messages: Sequence[Message], *, tags_weight: float = 4.0, affect_weight: float = 0.7
) -> Tensor:
    """Cross-entropy of the feelings, binary cross-entropy of the tags, squared error of valence and arousal."""
    device = said.emotion.device
    weight = torch.tensor([m.weight for m in messages], device=device)
    felt = torch.tensor([m.emotion or (0.0,) * len(LABELS) for m in messages], device=device)
    loss = -(felt * said.emotion.log_softmax(-1)).sum(-1)
    tagged = torch.tensor([m.tags is not None for m in messages], device=device)
    if tagged.any():
        named = [[float(t in m.tags) for t in TAGS] for m in messages if m.tags is not None]
        wanted = torch.tensor(named, device=device)
        by_tag = F.binary_cross_entropy_with_logits(said.tags[tagged], wanted, reduction="none").mean(-1)
        loss = loss.masked_scatter(tagged, loss[tagged] + tags_weight * by_tag)
    rated = torch.tensor([m.affect is not None for m in messages], device=device)
    if rated.any():
        wanted = torch.tensor([m.affect for m in messages if m.affect is not None], device=device) - 3.0
        error = F.mse_loss(said.affect[rated], wanted, reduction="none").sum(-1)
        loss = loss.masked_scatter(rated, loss[rated] + affect_weight * error)
    return (loss * weight).sum() / weight.sum()


class Teacher(nn.Module):
    """A transformer read in two halves: the lower layers fixed, the upper ones and the heads to be trained."""

    def __init__(self, encoder: TextEncoder, n_fixed: int, corpora: Sequence[str] = ()) -> None:
        super().__init__()
        self.encoder = encoder
        self.n_fixed = n_fixed
        self.heads = Heads(encoder.d_model, corpora)
        self.dropout = nn.Dropout(0.1)
        for p in encoder.network.parameters():
            p.requires_grad_(False)
        for layer in self.layers[n_fixed:]:
            layer.requires_grad_(True)

    @property
    def layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, cast(Any, self.encoder.network).encoder.layer)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids with the special ones, cut at MAX_TOKENS."""
        rows = self.encoder.tokenize(list(texts), MAX_TOKENS - 2)
        return [[self.encoder.start_id, *row, self.encoder.separator_id] for row in rows]

    def lower(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """States (B, T, D) after the fixed layers, and the mask (B, T)."""
        network = cast(Any, self.encoder.network)
        device, width = device_of(self.heads), max(len(row) for row in ids)
        padding = self.encoder.tokenizer.pad_token_id
        padded = torch.tensor([[*row, *[padding] * (width - len(row))] for row in ids], device=device)
        mask = torch.tensor([[i < len(row) for i in range(width)] for row in ids], device=device)
        states = network.embeddings(input_ids=padded)
        return self._through(states, mask, 0, self.n_fixed), mask

    def upper(self, states: Tensor, mask: Tensor) -> Tensor:
        """The mean state (B, D) of each message's tokens after the last layer."""
        states = self._through(states, mask, self.n_fixed, len(self.layers)).float()
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    def _through(self, states: Tensor, mask: Tensor, begin: int, end: int) -> Tensor:
        encoder = cast(Any, self.encoder.network).encoder
        additive = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -1e4)[:, None, None, :]
        position = encoder.compute_position_bias(states)
        for layer in self.layers[begin:end]:
            states = layer(states, additive, position)[0]
        return states

    def forward(self, texts: Sequence[str]) -> Said:
        """What the teacher says of texts, as of chats."""
        said: Said = self.heads(self.upper(*self.lower(self.tokens(texts))), ["chats"] * len(texts))
        return said

    def kept(self) -> dict[str, Tensor]:
        """What training changes: the upper layers and the heads."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherRecipe:
    """How the teacher learns."""

    n_fixed: int = 7
    """Of twelve layers, those that stay."""
    epochs: float = 1.0
    batch_tokens: int = 900
    lr: float = 6e-5
    lr_new: float = 1.5e-3
    often: Mapping[str, int] = field(default_factory=lambda: {"chats": 4})
    """How often the messages of a corpus are drawn in a pass; others once."""
    seed: int = 0


def train_teacher(
    messages: Sequence[Message],
    out: Path,
    recipe: TeacherRecipe | None = None,
    *,
    start: Path | None = None,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> Path:
    """Trains a teacher into `out/teacher.safetensors`. `start` is all-mpnet-base-v2's folder, else its packages'."""
    recipe = recipe or TeacherRecipe()
    torch.manual_seed(recipe.seed)
    encoder = TextEncoder.load(large_folder(start), device=device)
    teacher = Teacher(encoder, recipe.n_fixed, sorted({m.corpus for m in messages}))
    teacher.to(device_of(encoder)).eval()
    teacher.dropout.train()
    ids = teacher.tokens([m.text for m in messages])
    order = [i for i, m in enumerate(messages) for _ in range(recipe.often.get(m.corpus, 1))]
    rng = random.Random(recipe.seed)
    places = bucket([len(ids[i]) for i in order], recipe.batch_tokens, rng)
    batches = [[order[i] for i in batch] for batch in places]

    def loss_at(step: int) -> Tensor:
        batch = batches[step % len(batches)]
        some = [messages[i] for i in batch]
        with mixed_precision(device_of(encoder)):
            with torch.no_grad():
                states, mask = teacher.lower([ids[i] for i in batch])
            vectors = teacher.upper(states, mask)
        return message_loss(teacher.heads(teacher.dropout(vectors), [m.corpus for m in some]), some)

    steps = max(1, round(len(batches) * recipe.epochs))
    schedule = Schedule(steps=steps, lr=recipe.lr, lr_new=recipe.lr_new)
    run(teacher, list(teacher.heads.parameters()), loss_at, schedule, out, recipe.seed, report)
    write_file(out / TEACHER, teacher.kept(), {"corpora": " ".join(teacher.heads.corpora)})
    finish(out)
    return out


@torch.inference_mode()
def answers(teacher: Teacher, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Said:
    """What the teacher says of every text, where its weights are, in bfloat16: logits, as Said holds them."""
    ids = teacher.tokens(texts)
    found = Said(*(torch.zeros(len(texts), n) for n in (len(LABELS), len(TAGS), 2)))
    teacher.eval()
    for batch in bucket([len(row) for row in ids], 1024):
        with mixed_precision(device_of(teacher.heads)):
            vectors = teacher.upper(*teacher.lower([ids[i] for i in batch]))
        for whole, part in zip(found, teacher.heads(vectors, ["chats"] * len(batch)), strict=True):
            whole[batch] = part.cpu()
        if progress:
            progress(len(batch))
    return found


def load_teacher(folder: Path, start: Path | None = None, *, device: Where = None) -> Teacher:
    """What `train_teacher` wrote, on a device. `start` is the folder of all-mpnet-base-v2, else its packages'."""
    path = folder / TEACHER
    if not path.is_file():
        raise ValueError(f"{path} is missing: expected what `rapport train emotion/teacher` writes")
    tensors = read_file(path)
    n_corpora = len(tensors["heads.bias"])
    layers = {int(name.split(".layer.")[1].split(".")[0]) for name in tensors if ".layer." in name}
    corpora = (read_note(path) or {}).get("corpora", "").split()
    if len(corpora) != n_corpora or not layers:
        raise ValueError(f"{path} is no teacher's: {n_corpora} biases for {len(corpora)} corpora")
    encoder = TextEncoder.load(large_folder(start), device=device)
    teacher = Teacher(encoder, min(layers), corpora)
    teacher.load_state_dict(tensors, strict=False)
    return teacher.to(device_of(encoder)).eval()
