"""Pretrained decoders made recurrent: the conversion, then the method's own training on conversations.

Liger: low-rank deltas on query, key and value, by what comes next. Lizard: first what it gained learns to say what the
teacher's attention says, layer by layer, on what the teacher's layers read; then both learn by what comes next.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dialog.conversation import Conversation
from dialog.corpora import read
from dialog.replies.decoders import Texts, open_decoder
from dialog.training.loop import Progress, Schedule, finish, run
from dialog.training.replies.language import mean_loss
from dialog.training.replies.language_data import cut, labels_of
from models.catalogue import CONFIG_FILE, WEIGHTS_FILE
from models.decoder.config import Method
from models.decoder.linearise import Branches, attention_outputs, gained, linearised
from models.decoder.model import Decoder
from models.device import Where, choose_device, device_of, mixed_precision
from models.low_rank import make_low_rank, merge

Report = Callable[[Progress], None]
SAVE_EVERY = 4
"""Steps: of a large decoder one takes half a minute, and what is trained of it is small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LineariseRecipe:
    """Of the sheets: ranks 8, alphas 8 and 16, 1e-3 for Liger and for Lizard's first stage, 5e-4 for its second."""

    method: Method
    window: int | None = None
    """Keys of the softmax branch; None is the paper's."""
    branches: Branches = "both"
    near: bool = False
    """Layers that have a window of their own keep it."""
    length: int = 256
    """Tokens a row."""
    batch: int = 4
    steps: int = 200
    """Of the training by what comes next."""
    matching: int = 100
    """Steps of Lizard's first stage."""
    rank: int = 8

    @property
    def alpha(self) -> float:
        return 8.0 if self.method == "liger" else 16.0

    @property
    def lr(self) -> float:
        return 1e-3 if self.method == "liger" else 5e-4


class Rows(NamedTuple):
    """What is learned from and what is measured on: tokens (N, length + 1), labels (N, length)."""

    train: Tensor
    train_labels: Tensor
    held: Tensor
    held_labels: Tensor


def rows_of(texts: Texts, conversations: Sequence[Conversation], length: int) -> Rows:
    """The first nine tenths of the conversations to learn from, the rest to measure on. ValueError for too few."""
    n = max(1, len(conversations) // 10)
    found: list[Tensor] = []
    for some in (conversations[:-n], conversations[-n:]):
        rows = cut(torch.tensor(texts.of(some), dtype=torch.int32), length)
        found += [rows, rows[:, 1:] if texts.pieces is None else labels_of(rows, texts.pieces)]
    return Rows(*found)


def perplexity(decoder: Decoder, tokens: Tensor, labels: Tensor, most: int = 64) -> float:
    """A token, on the first rows."""
    return math.exp(mean_loss(decoder, zip(tokens[:most], labels[:most], strict=True), batch=4))


def match(student: Decoder, teacher: Decoder, tokens: Tensor) -> Tensor:
    """How far the student's mixers are from what the teacher's say of the same, each in units of the teacher's mean
    square: a mean over layers."""
    losses = []
    with torch.no_grad():
        said = list(attention_outputs(teacher, tokens))
    for layer, (x, y) in zip(student.every_layer(), said, strict=True):
        own, _ = layer.mixer(x)
        losses.append((own.float() - y.float()).square().mean() / y.float().square().mean().clamp(min=1e-12))
    return torch.stack(losses).mean()


def train_linearised(
    student: Decoder,
    teacher: Decoder,
    recipe: LineariseRecipe,
    rows: Rows,
    folder: Path,
    *,
    seed: int = 0,
    report: Report | None = None,
) -> None:
    """The method's training, in place; a stage that was cut off goes on from its checkpoint under `folder`."""
    new = [p for _, p in gained(student)]
    student.requires_grad_(False)
    for p in new:
        p.requires_grad_(True)
    where = device_of(student)

    def some(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        return torch.randint(len(rows.train), (recipe.batch,), generator=generator)

    def matched(step: int) -> Tensor:
        with mixed_precision(where):
            return match(student, teacher, rows.train[some(step), :-1].to(where))

    def foreseen(step: int) -> Tensor:
        which = some(step)
        with mixed_precision(where):
            return student.loss(rows.train[which, :-1].to(where), rows.train_labels[which].to(where))

    student.train()
    stages: list[tuple[str, Callable[[int], Tensor], int, float]] = []
    if recipe.method == "lizard":
        stages.append(("matching", matched, recipe.matching, 1e-3))
    stages.append(("tuning", foreseen, recipe.steps, recipe.lr))
    total, before = sum(n for _, _, n, _ in stages), 0
    for name, loss_at, steps, lr in stages:
        if name == "tuning":
            torch.manual_seed(seed)
            make_low_rank(student, ("query", "key", "value"), recipe.rank, recipe.alpha)
        often = min(SAVE_EVERY, max(1, steps // 2))
        schedule = Schedule(steps=steps, lr=lr, lr_new=lr, warm_up=0.1, weight_decay=0.0, save_every=often)
        run(student, [], loss_at, schedule, folder / name, seed, _shifted(report, before, total))
        before += steps
    merge(student)
    student.eval()
    for name, *_ in stages:
        finish(folder / name)
        (folder / name).rmdir()


def linearise(
    recipe: LineariseRecipe,
    model: Path,
    data: Iterable[Path],
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Converts the decoder of a folder into `out`: config.json, model.safetensors (half precision), its tokenizer, a
    card. Gives perplexities on a tenth of the conversations: the teacher's, right after the conversion, and at the end.

    ValueError for a folder that holds no decoder of these kinds, data too few to fill a row, or an `out` that holds
    another model already.
    """
    if (out / CONFIG_FILE).is_file() or (out / WEIGHTS_FILE).is_file():
        raise ValueError(f"{out} holds a model already; choose another folder")
    teacher, texts = open_decoder(model, device=choose_device(device)), Texts(model)
    rows = rows_of(texts, [c for path in data for c in read(path)], recipe.length)
    torch.manual_seed(seed)  # what is gained starts at random
    student = linearised(teacher, recipe.method, window=recipe.window, branches=recipe.branches, near=recipe.near)
    scores: dict[str, Any] = {
        "teacher_perplexity": perplexity(teacher, rows.held, rows.held_labels),
        "converted_perplexity": perplexity(student, rows.held, rows.held_labels),
    }
    train_linearised(student, teacher, recipe, rows, out, seed=seed, report=report)
    scores |= {
        "trained_perplexity": perplexity(student, rows.held, rows.held_labels),
        "n_gained": sum(p.numel() for _, p in gained(student)),
        "n_parameters": sum(p.numel() for p in student.parameters()),
        "state_floats": student.state_floats(recipe.length),
    }
    student.save(out, dtype=torch.float16)
    texts.copy_to(out)
    (out / "card.md").write_text(_card(recipe, student, scores, seed), encoding="utf-8")
    return scores


def _shifted(report: Report | None, before: int, total: int) -> Report | None:
    if report is None:
        return None
    return lambda p: report(Progress(before + p.step, total, p.loss))


def _card(recipe: LineariseRecipe, student: Decoder, scores: dict[str, Any], seed: int) -> str:
    rows = "\n".join(f"| {name} | {value:,.4g} |" for name, value in scores.items())
    stages = f"{recipe.matching} steps of matching, " if recipe.method == "lizard" else ""
    return f"""\
# {student.config.origin}

A pretrained decoder whose attention was made recurrent: its memory does not grow with the text.

Converted with `rapport linearise` ({recipe.method}, seed {seed}): {stages}{recipe.steps} steps of {recipe.batch} rows
of {recipe.length} tokens.

| | |
|---|---|
{rows}

What was far back in a text is remembered worse than by the model it was made of, and worse than these perplexities
tell. The licence is that of the model it was made of.
"""
