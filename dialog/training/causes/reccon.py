"""Trains the pointer at causes on an encoder that stays as it is: everything is encoded once, then minutes suffice.

Emotions come to it gold in one half of the cases and as the emotion model predicts them in the other, so that it
serves both the published task, which gives them, and the product, which has to guess. RECCON teaches spans and latent
causes, ECF pairs alone, by its own habit: its annotators saw the video and look closer by for a cause.
"""

import hashlib
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dialog.conversation import Conversation
from dialog.corpora import load_corpus
from dialog.corpora.cause_pairs import Target, targets
from dialog.corpora.derived.leaks import long_utterances, without
from dialog.corpora.ekman import in_ekman
from dialog.emotion.causes import Calibration, CausesModelConfig
from dialog.emotion.port import Mode
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.reading.batching import bucket, pad_rows
from dialog.training.averaging import Average
from dialog.training.card import write_causes_card
from dialog.training.causes.calibration import calibrated
from dialog.training.loop import Progress, Schedule, finish, run
from models import checkpoint
from models.catalogue import EMOTION
from models.device import Where, device_of
from models.pointer.causes import Candidates, CausePointer, CausesConfig, pad_tokens
from models.pointer.spans import best_spans

SPAN_TOKENS = 512
"""Tokens of the utterances whose spans are learned together, padding included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CausesRecipe:
    """What the pointer learns from, and how."""

    corpora: tuple[str, ...] = ("reccon", "ecf")
    """Each is a habit of the model's; it answers like the first unless asked otherwise."""
    avoid: tuple[tuple[str, str], ...] = (
        ("reccon", "validation"),
        ("reccon", "test"),
        ("ecf", "validation"),
        ("ecf", "test"),
    )
    """Parts whose long utterances no conversation that is trained on may hold: DailyDialog repeats itself."""
    pointer: Mapping[str, Any] = field(default_factory=lambda: {"dropout": 0.35})
    """Fields of CausesConfig that differ from its defaults."""
    epochs: int = 5
    lr: float = 2e-3
    batch: int = 16
    """Conversations in a step."""
    span_weight: float = 0.05
    latent_weight: float = 0.2
    gold_share: float = 0.5
    """Of the conversations in a step, how many show their gold emotions; the others those predicted."""
    exact: float = 0.3
    """What CausesModelConfig says of it."""
    averaging: float = 0.99
    """Decay of the running mean of the weights, which is what is kept."""
    seeds: int = 3
    """Models trained, on one encoding; the one that is best on what was held out is kept."""


class AnswerSpan(NamedTuple):
    """The words of candidate `j` that caused the emotion of target `t`, as first and last token."""

    t: int
    j: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation as the pointer reads it, and its annotated causes."""

    id: str
    habit: int
    """Which of the recipe's corpora it is from."""
    vectors: Tensor  # (N, D)
    states: list[Tensor]  # N of (K, D), half precision
    predicted: Tensor  # (N, E) what the emotion model says
    gold: Tensor  # (N, E) one-hot, and as predicted where there is no gold label
    speakers: Tensor  # (N,)
    targets: list[Target]
    spans: list[AnswerSpan]


class Halves(nn.Module):
    """Keeps token states whole, in half precision."""

    def forward(self, states: Tensor) -> Tensor:
        return states.half()


def make_examples(
    conversations: Sequence[Conversation], tagger: EmotionTagger, habit: int = 0, *, mode: Mode = "offline"
) -> list[Example]:
    """Every conversation with an annotated cause, encoded once and labelled by `tagger`."""
    some = [c for c in conversations if targets(c)]
    examples = []
    keep = Halves()
    for c in some:  # One at a time: its vectors are still in the encoder's cache when it is labelled.
        (encoded,) = tagger.encoder.encode([c], live=mode == "live", keep_tokens=keep)
        (tagged,) = tagger.tag([c], mode=mode)
        assert encoded.tokens is not None
        predicted = torch.tensor([list(u.prediction.probabilities.values()) for u in tagged.utterances if u.prediction])
        places = tagger.encoder.offsets([u.text for u in c.utterances])
        examples.append(example(c, encoded.vectors, encoded.tokens, predicted, places, tagger.labels, habit))
    return examples


def example(
    c: Conversation,
    vectors: Tensor,
    states: list[Tensor],
    predicted: Tensor,
    places: Sequence[Sequence[tuple[int, int]]],
    labels: Sequence[str],
    habit: int,
) -> Example:
    """One conversation of what was read of it; `places` are its tokens' (start, end) code points."""
    gold = predicted.clone()
    for i, u in enumerate(c.utterances):
        label = in_ekman(u.emotion)
        if label in labels:
            gold[i] = F.one_hot(torch.tensor(labels.index(label)), len(labels))
    annotated = targets(c)
    spans = [
        AnswerSpan(t.place, j, *tokens)
        for t in annotated
        for j, words in t.spans.items()
        for span in words
        if span and (tokens := tokens_of(span, c.utterances[j].text, places[j]))
    ]
    speakers = speaker_ids([u.speaker for u in c.utterances])
    return Example(c.id, habit, vectors.float().clone(), states, predicted, gold, speakers, annotated, spans)


def tokens_of(span: str, text: str, places: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """First and last token that touch the span's first occurrence in the text; None where there is none."""
    begin = text.find(span)
    end = begin + len(span)
    touched = [k for k, (a, b) in enumerate(places) if b > begin and a < end]
    return (touched[0], touched[-1]) if begin >= 0 and touched else None


class Batch(NamedTuple):
    """Examples side by side."""

    read: tuple[Tensor, ...]  # vectors, emotions, speakers, tokens, token_mask, mask, habits
    asked: Tensor  # (B, N) which utterances are targets
    caused: Tensor  # (B, N, N) which candidate caused which target
    latent: Tensor  # (B, N)


def collate(examples: Sequence[Example], model: CausePointer, gold: Sequence[bool]) -> Batch:
    """Padded on the right; `gold` says for each example whose emotions it shows."""
    device = device_of(model)
    vectors, mask = pad_rows([e.vectors for e in examples], device)
    emotions, _ = pad_rows([e.gold if g else e.predicted for e, g in zip(examples, gold, strict=True)], device)
    speakers, _ = pad_rows([e.speakers for e in examples], device)
    lengths, _ = pad_rows([torch.tensor([len(s) for s in e.states], device=device) for e in examples])
    flat = torch.cat([s for e in examples for s in e.states]).to(device).float()
    tokens, token_mask = pad_tokens(model.keep_token(flat), lengths)
    n = mask.shape[1]
    asked, latent = torch.zeros(len(examples), n, dtype=torch.bool), torch.zeros(len(examples), n)
    caused = torch.zeros(len(examples), n, n)
    for b, e in enumerate(examples):
        for t in e.targets:
            asked[b, t.place] = True
            latent[b, t.place] = float(t.latent)
            caused[b, t.place, list(t.spans)] = 1.0
    habits = torch.tensor([e.habit for e in examples], device=device)
    read = (vectors, emotions, speakers, tokens, token_mask, mask, habits)
    return Batch(read, asked.to(device), caused.to(device), latent.to(device))


def span_loss(model: CausePointer, q: Tensor, read: Candidates, examples: Sequence[Example]) -> Tensor:
    """The sum over annotated spans of -log p(span)."""
    rows = [(b, *s) for b, e in enumerate(examples) for s in e.spans if s.last - s.first < model.span.cap]
    total = read.own.new_zeros(())
    lengths = read.token_mask.sum(2)
    for like in bucket([int(lengths[b, j]) for b, _, j, _, _ in rows], SPAN_TOKENS):  # Long ones are rare, and dear.
        where = torch.tensor([rows[i] for i in like], device=q.device)
        spans = model.spans(q, read, read, where[:, :3])
        gold = where[:, 3] * spans.shape[1] + where[:, 4]
        total = total + F.cross_entropy(spans.flatten(1), gold, reduction="sum")
    return total


def loss(model: CausePointer, examples: Sequence[Example], gold: Sequence[bool], recipe: CausesRecipe) -> Tensor:
    """Binary cross-entropy of pairs and of the latent cause, and the cross-entropy of the spans.

    Of spans a sum, by a batch's size: a batch of one corpus has many of them, of the other none.
    """
    batch = collate(examples, model, gold)
    pairs, latent, q, read = model(*batch.read)
    allowed = batch.asked[..., None] & pairs.isfinite()
    causes = F.binary_cross_entropy_with_logits(pairs[allowed], batch.caused[allowed])
    nowhere = F.binary_cross_entropy_with_logits(latent[batch.asked], batch.latent[batch.asked])
    spans = span_loss(model, q, read, examples) / len(examples)
    return causes + recipe.latent_weight * nowhere + recipe.span_weight * spans


def held_out(c: Conversation) -> bool:
    """Whether a train conversation is kept for calibration: one in ten, by its name."""
    return int.from_bytes(hashlib.blake2b(c.id.encode(), digest_size=4).digest(), "big") % 10 == 0


def train_causes(
    recipe: CausesRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    start: Path | None = None,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Trains `recipe.seeds` models, from `seed` on, and writes the best into `out`: config, weights, card, scores.

    `start` is the folder of the emotion model whose encoder is read; without it the shipped default. RECCON's
    validation part is small, so a tenth of its train part joins it to choose temperature, threshold and seed. What
    other corpora keep for validation chooses those of their own habits.
    """
    tagger = EmotionTagger.load(start or EMOTION, causes=False, device=device)
    examples, checks = list[Example](), list[list[Example]]()
    for habit, (learn, kept) in enumerate(_conversations(recipe, data)):
        examples += make_examples(learn, tagger, habit)
        checks.append(make_examples(kept, tagger, habit))
    pointer = CausesConfig(
        n_emotions=len(tagger.labels),
        d_encoder=tagger.encoder.encoder.d_model,
        n_habits=len(recipe.corpora),
        **recipe.pointer,
    )
    found = []
    for one in range(seed, seed + recipe.seeds):
        torch.manual_seed(one)
        model = CausePointer(pointer).to(tagger.device)
        train_one(model, recipe, examples, out / f"seed-{one}", one, report)
        # As it will be loaded: a threshold sits where the rounding of the weights has put it.
        model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
        calibrations, scores = list[Calibration](), dict[str, float]()
        for corpus, some in zip(recipe.corpora, checks, strict=True):
            calibration, mine = calibrated(*logits(model.eval(), some))
            calibrations.append(calibration)
            if corpus != recipe.corpora[0]:
                mine = {f"{corpus}_{k}": v for k, v in mine.items() if k != "latent_f1"}  # Only RECCON annotates it.
            scores |= mine
        scores |= span_scores(model, checks[0], recipe.exact)
        found.append((one, model, tuple(calibrations), scores))
    best, model, chosen, scores = max(found, key=lambda run: run[3]["positive_f1"])
    config = CausesModelConfig(
        labels=tagger.labels,
        pointer=pointer,
        encoder=tagger.encoder.version,
        habits=recipe.corpora,
        calibrations=chosen,
        exact=recipe.exact,
    )
    checkpoint.save(out, model, config, dtype=torch.float16)
    by_seed = {str(one): scores for one, _, _, scores in found}
    write_causes_card(out, recipe.corpora, tagger.version, best, by_seed)
    for folder in (out / f"seed-{one}" for one in by_seed):
        finish(folder)
        folder.rmdir()
    return scores | {"seed": best}


class _Learning(nn.Module):
    """The model and the running mean of its weights, for one checkpoint."""

    def __init__(self, model: CausePointer, decay: float) -> None:
        super().__init__()
        self.model = model
        self.average = Average(model.state_dict(), decay)


def train_one(
    model: CausePointer,
    recipe: CausesRecipe,
    examples: Sequence[Example],
    folder: Path,
    seed: int,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Trains one model in place; a killed run goes on from its checkpoint in `folder`."""
    per_epoch = -(-len(examples) // recipe.batch)
    schedule = Schedule(steps=max(1, per_epoch * recipe.epochs), lr=recipe.lr, lr_new=recipe.lr)

    learning = _Learning(model, recipe.averaging)

    def at(step: int) -> Tensor:
        learning.average.update(model.state_dict(), step)
        epoch, place = divmod(step, per_epoch)
        rng = random.Random(f"{seed}-{epoch}")
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].vectors) + 4 * rng.random())
        batches = [order[i : i + recipe.batch] for i in range(0, len(order), recipe.batch)]
        rng.shuffle(batches)
        some = [examples[i] for i in batches[place]]
        shown = random.Random(f"{seed}-step-{step}")
        return loss(model, some, [shown.random() < recipe.gold_share for _ in some], recipe)

    learning.train()
    run(learning, list(model.parameters()), at, schedule, folder, seed, report)
    learning.average.update(model.state_dict(), schedule.steps)
    learning.average.copy_to(model.state_dict())
    model.eval()


@torch.inference_mode()
def logits(model: CausePointer, examples: Sequence[Example]) -> tuple[NDArray[Any], ...]:
    """What `calibrated` takes, of these conversations once with their gold emotions and once with those predicted."""
    pairs, caused, rows, latent, nowhere = list[float](), list[bool](), list[int](), list[float](), list[bool]()
    for some, gold in itertools.product(_side_by_side(examples), (True, False)):
        u, u_latent, _, _ = model(*collate(some, model, [gold] * len(some)).read)
        for b, t in ((b, t) for b, e in enumerate(some) for t in e.targets):
            window = range(max(0, t.place + 1 - model.config.window), t.place + 1)
            pairs += u[b, t.place, window.start : window.stop].tolist()
            caused += [j in t.spans for j in window]
            rows += [len(t.spans.get(j, ())) for j in window]
            latent.append(float(u_latent[b, t.place]))
            nowhere.append(t.latent)
    return tuple(np.array(column) for column in (pairs, caused, rows, latent, nowhere))


@torch.inference_mode()
def span_scores(model: CausePointer, examples: Sequence[Example], exact: float) -> dict[str, float]:
    """Of true pairs with gold emotions, counted in tokens: exact matches, and F1; in per cent."""
    scores = list[tuple[float, float]]()
    for some in _side_by_side([e for e in examples if e.spans]):
        _, _, q, read = model(*collate(some, model, [True] * len(some)).read)
        true = [(b, s) for b, e in enumerate(some) for s in e.spans]
        spans = model.spans(q, read, read, torch.tensor([(b, s.t, s.j) for b, s in true], device=q.device))
        for (_, s), (first, last) in zip(true, best_spans(spans, exact).tolist(), strict=True):
            common = max(0, min(last, s.last) - max(first, s.first) + 1)
            f1 = 2 * common / (last - first + 1 + s.last - s.first + 1)
            scores.append((float((first, last) == (s.first, s.last)), f1))
    exactly, f1s = np.mean(scores or [(0.0, 0.0)], axis=0)
    return {"span_exact_match": 100 * float(exactly), "span_f1": 100 * float(f1s)}


def _side_by_side(examples: Sequence[Example]) -> list[list[Example]]:
    """Batches of like length."""
    return [[examples[i] for i in like] for like in bucket([len(e.vectors) for e in examples], 128)]


def _conversations(recipe: CausesRecipe, data: Path) -> list[tuple[list[Conversation], list[Conversation]]]:
    """By corpus: what is learned from, and what temperatures, threshold and seed are chosen on."""
    avoid = long_utterances(c for part in recipe.avoid for c in load_corpus(data, *part))
    found = []
    for corpus in recipe.corpora:
        some = without(load_corpus(data, corpus, "train"), avoid)
        kept = [c for c in some if corpus == "reccon" and held_out(c)]
        learn = [c for c in some if corpus != "reccon" or not held_out(c)]
        found.append((learn, kept + load_corpus(data, corpus, "validation")))
    return found
