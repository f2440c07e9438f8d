"""Trains EmotionIC and its encoder together, on whole conversations; chooses and calibrates on validation.

The encoder starts from a shared one (recipe `emotion/encoder`), cut to low-rank deltas; the context model starts from
nothing and its branches from silence, so that the first step already says what the encoder alone would.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.conversation import Conversation, Utterance
from dialog.corpora import gold
from dialog.corpora.derived.strays import with_emoji, with_strangers
from dialog.corpora.ekman import OWN_LABELS, TO_EKMAN
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.tagger import EmotionTagger, speaker_ids
from dialog.labels import LABEL_SETS
from dialog.reading.batching import DEFAULT_LAYOUT, Layout, Packed, Packer, bucket, collate, cut, pad_rows
from dialog.training.card import write_card
from dialog.training.emotion.calibration import Labelled, calibrate
from dialog.training.emotion.examples import (
    UNKNOWN,
    Example,
    Source,
    load_source,
    make_examples,
    random_spans,
)
from dialog.training.emotion.starting import cut_deltas, start_classifier, start_context, start_labels, start_tensors
from dialog.training.loop import Progress, Schedule, finish, run
from models import checkpoint
from models.device import Where, choose_device, device_of, mixed_precision
from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC
from models.encoders.text import TextEncoder, make_low_rank, trained_deltas


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionRecipe:
    """One emotion model: what it learns from, what it is chosen on, and how."""

    label_set: str
    sources: tuple[Source, ...]
    validation: tuple[Source, ...]
    metric: str = "weighted_f1"
    """What chooses between decodings, and what a run reports: a name of dialog.metrics.emotion_scores."""
    may_bias: bool = False
    """Whether the label may be chosen with a bias for or against neutral, where the metric leaves neutral out."""
    layout: Layout = DEFAULT_LAYOUT
    context: dict[str, object] | None = None
    """Fields of EmotionICConfig that differ from its defaults."""
    epochs: float = 3.0
    lr: float = 3e-4
    """Of the low-rank deltas."""
    lr_new: float = 2e-3
    """Of the context model."""
    rank: int = 32
    """Of the deltas; 0 leaves the encoder as it starts."""
    batch_tokens: int = 1536
    alone_weight: float = 0.5
    """Weight of the cross-entropy of the encoder's own classifier, beside the CRF's likelihood."""
    smoothing: float = 0.05
    live_share: float = 0.3
    """Of the batches, how many are read as a live chat is: attention looks back only."""
    max_utterances: int = 48
    """Longer conversations are cut for training."""
    emoji_share: float = 0.0
    """Of the emotional utterances, how many get an emoji that suits their label (dialog.training.emotion.examples)."""
    stranger_share: float = 0.0
    """Of the conversations, how many get stray messages in their midst (dialog.training.emotion.examples)."""
    goes_on: bool = False
    """Whether the context model, too, goes on from the start's, where that has the same labels and shape."""
    kept: float = 0.0
    """With `goes_on`, how much of the start's weights stays in what is kept: halfway between two tunings of one model
    is often better than either (Wortsman et al. 2022, WiSE-FT, eq. 1)."""
    teacher_weight: float = 0.7
    """Where there are teachers, the weight of what they say; the rest is that of the labels."""


class EmotionTraining(nn.Module):
    """The encoder and the context model with their loss on the examples of a recipe."""

    def __init__(
        self,
        encoder: TextEncoder,
        context: EmotionIC,
        recipe: EmotionRecipe,
        examples: Sequence[tuple[Example, list[int]]],
        taught: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.context = encoder, context
        self.recipe, self.examples = recipe, examples
        self.taught = taught
        """What teachers say of every example, label probabilities (N, L) each; with none, the labels are all."""
        self.packer = Packer(encoder, recipe.layout)
        self.fixed: list[Tensor] | None = None
        """Every example's vectors, where the encoder does not learn; else they are made anew at each step."""

    def learning(self) -> dict[str, Tensor]:
        """The weights that training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def fix_vectors(self) -> None:
        """Encodes every example once, cut as for use, for training the context model alone."""
        rng = random.Random(0)
        with torch.no_grad():
            vectors = self._vectors([e for e, _ in self.examples], rng, at_random=False)
        self.fixed = list(vectors.split([len(e.utterances) for e, _ in self.examples]))

    def loss(self, batch: Sequence[int], rng: random.Random) -> Tensor:
        """The mean over known labels of -log p(labels) / N, plus the encoder's own cross-entropy; batch are places.

        With teachers, so much of it is replaced by the cross-entropy against their probabilities, which the emissions
        and the encoder's own classifier both learn (Hinton, Vinyals and Dean 2015, at temperature 1).
        """
        examples = [self.examples[i][0] for i in batch]
        fixed = self.fixed
        vectors = self._vectors(examples, rng) if fixed is None else torch.cat([fixed[i] for i in batch])
        device = device_of(self.context)
        x, mask = pad_rows(vectors.split([len(e.utterances) for e in examples]), device)
        speakers, _ = pad_rows([speaker_ids([u.speaker for u in e.utterances]) for e in examples], device)
        n = mask.shape[1]
        rows = [[*self.examples[i][1], *[UNKNOWN] * (n - len(self.examples[i][1]))] for i in batch]
        tags = torch.tensor(rows, device=device)
        known = max(1, int((tags >= 0).sum()))
        emissions = self.context(x, speakers, mask, live=rng.random() < self.recipe.live_share)
        chain = -self.context.log_likelihood(emissions, tags, speakers, mask).sum() / known
        alone = self.context.classify(self.context.dropout(self.context.norm(x)))
        own = F.cross_entropy(alone[tags >= 0], tags[tags >= 0], label_smoothing=self.recipe.smoothing)
        loss = chain + self.recipe.alone_weight * own
        if self.taught is None:
            return loss
        said = torch.cat([self.taught[i] for i in batch]).to(device)  # (U, L): teachers speak of every utterance.
        soft = F.cross_entropy(emissions[mask], said) + self.recipe.alone_weight * F.cross_entropy(alone[mask], said)
        return loss + self.recipe.teacher_weight * (soft - loss)

    def _vectors(self, examples: Sequence[Example], rng: random.Random, *, at_random: bool = True) -> Tensor:
        """Vectors (U, D) of the examples' utterances, conversations cut at random or as for use."""
        layout, packed = self.recipe.layout, list[Packed]()
        for e in examples:
            lengths = [len(u.text) for u in e.utterances]
            if at_random and not layout.alone:
                spans = random_spans(lengths, layout.max_tokens, rng)
            else:
                spans = cut(lengths, replace(layout, context_tokens=0))
            packed += [self.packer.pack(e.utterances[s.begin : s.end]) for s in spans]
        return self._encode(packed)

    def _encode(self, packed: Sequence[Packed]) -> Tensor:
        """Vectors (U, D) of all sequences, in order; those of like length share a padded call."""
        vectors, device = list[Tensor]([torch.empty(0)] * len(packed)), device_of(self.encoder)
        for group in bucket([len(p.ids) for p in packed], max(512, self.recipe.batch_tokens // 2)):
            with mixed_precision(device):
                states = self.encoder(*collate([packed[i] for i in group], device))
            for i, v in zip(group, states.split([packed[i].n_utterances for i in group]), strict=True):
                vectors[i] = v
        return torch.cat(vectors)


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: its folder, and the validation scores that chose its decoding."""

    folder: Path
    scores: dict[str, float]


def train_emotion(
    recipe: EmotionRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    name: str = "",
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> Trained:
    """Trains a recipe into `out`, a model's folder with its card and scores.

    `start` is the folder of `emotion/encoder`, or of a model whose tuned encoder is to be gone on with; without it
    training begins from the plain encoder. `teachers` are folders of models with the same labels, whose mean the new
    one learns from beside the labels. `name` is the recipe's, for the card. Without a `device` it runs on a card if
    there is one. Resumes where a killed run stopped.
    """
    name = name or f"emotion/{recipe.label_set}"
    torch.manual_seed(seed)
    labels, where = LABEL_SETS[recipe.label_set], choose_device(device)
    encoder = TextEncoder.load(device=where)
    given = start_tensors(start) if start is not None else {}
    deltas = checkpoint.part(given, "encoder.")
    if recipe.rank:
        make_low_rank(encoder, recipe.rank, cut_deltas(deltas, recipe.rank) or None)
    else:
        encoder.add_deltas(deltas)
        encoder.requires_grad_(False)
    config = EmotionICConfig(n_labels=len(labels), d_encoder=encoder.d_model, **(recipe.context or {}))  # type: ignore[arg-type]
    context = EmotionIC(config)
    start_classifier(context, given, recipe.label_set)
    if recipe.goes_on:
        start_context(context, given, start_labels(start), labels)
    context.to(where)
    examples = _examples(recipe, data, seed, Packer(encoder, recipe.layout))
    taught = _taught(recipe, data, seed, teachers, where) if teachers else None
    module = EmotionTraining(encoder, context, recipe, examples, taught)
    batches = _Batches(module.examples, recipe, seed)
    schedule = Schedule(steps=max(1, round(batches.per_epoch * recipe.epochs)), lr=recipe.lr, lr_new=recipe.lr_new)
    module.train()
    encoder.prepare_training()
    if not recipe.rank:
        module.fix_vectors()
    new = list(context.parameters())
    begun = {key: p.detach().clone() for key, p in module.learning().items()} if recipe.kept else {}

    def loss_at(step: int) -> Tensor:
        return module.loss(batches.at(step), random.Random(f"{seed}-{step}"))

    run(module, new, loss_at, schedule, out, seed, report)
    with torch.no_grad():
        for key, weight in begun.items():
            module.get_parameter(key).lerp_(weight, recipe.kept)
    deltas = trained_deltas(encoder) if recipe.rank else deltas
    merged = TextEncoder.load(device=where)
    merged.add_deltas({k: v.half() for k, v in deltas.items()})  # As it will be loaded.
    whole = EmotionModelConfig(labels=labels, context=config, layout=recipe.layout)
    parts = [(c, source.corpus) for source in recipe.validation for c in load_source(source, data, seed)]
    candidate = EmotionTagger("candidate", "0", whole, merged, context)
    whole, scores = calibrate(candidate, Labelled.of(parts, recipe.label_set), recipe.metric, may_bias=recipe.may_bias)
    save_model(out, whole, deltas, context)
    write_card(
        out,
        name=name,
        summary=f"EmotionIC with the labels {', '.join(labels)}.",
        command=_command(name, seed, start, teachers),
        seed=seed,
        corpora=[source.corpus for source in recipe.sources],
        validation=scores,
    )
    finish(out)
    return Trained(out, scores)


def save_model(folder: Path, config: EmotionModelConfig, deltas: dict[str, Tensor], context: EmotionIC) -> None:
    """A model's folder: the deltas and the context model, in half precision."""
    tensors = {f"encoder.{k}": v for k, v in deltas.items()}
    tensors |= {f"context.{k}": v.detach() for k, v in context.state_dict().items()}
    checkpoint.write(folder, {k: v.half() for k, v in tensors.items()}, config)


class _Batches:
    """Batches by step, the same for the same seed whenever they are asked for. One epoch is kept at a time."""

    def __init__(self, examples: Sequence[tuple[Example, list[int]]], recipe: EmotionRecipe, seed: int) -> None:
        self.examples, self.recipe, self.seed = examples, recipe, seed
        self.sizes = [sum(len(u.text) + 3 for u in e.utterances) for e, _ in examples]
        self._epoch, self._batches = -1, list[list[int]]()
        self.per_epoch = len(self._make(0))

    def at(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._make(epoch)
        return self._batches[place % len(self._batches)]

    def _make(self, epoch: int) -> list[list[int]]:
        """Random order, filled up to the budget of tokens; sequences are bucketed by length later."""
        order = list(range(len(self.examples)))
        random.Random(f"{self.seed}-epoch-{epoch}").shuffle(order)
        batches, used = list[list[int]](), self.recipe.batch_tokens
        for i in order:
            if used + self.sizes[i] > self.recipe.batch_tokens:
                batches.append([])
                used = 0
            batches[-1].append(i)
            used += self.sizes[i]
        return batches


def _examples(recipe: EmotionRecipe, data: Path, seed: int, packer: Packer) -> list[tuple[Example, list[int]]]:
    """Every piece of a conversation that holds a label, as tokens, with the labels' places in the recipe's set."""
    found = []
    wanted = LABEL_SETS[recipe.label_set]
    for source, conversations in _conversations(recipe, data, seed):
        own = OWN_LABELS[source.corpus] if recipe.label_set == "ekman" else wanted
        for e in make_examples(conversations, source.corpus, own, LABEL_SETS["ekman"], packer):
            labels = e.ekman if recipe.label_set == "ekman" else e.labels
            for begin, end in _pieces(labels, recipe.max_utterances):
                found.append((e._replace(utterances=e.utterances[begin:end]), labels[begin:end]))
    return found


def _taught(
    recipe: EmotionRecipe, data: Path, seed: int, teachers: Sequence[Path], device: Where = None
) -> list[Tensor]:
    """What the teachers say of every one of `_examples`, (N, L) each: the normed geometric mean of their marginals."""
    taggers = [EmotionTagger.load(folder, causes=False, device=device) for folder in teachers]
    labels = LABEL_SETS[recipe.label_set]
    for folder, tagger in zip(teachers, taggers, strict=True):
        if tagger.labels != labels:
            raise ValueError(f"teacher {folder} has labels {', '.join(tagger.labels)}; expected {', '.join(labels)}")
    found = []
    for source, conversations in _conversations(recipe, data, seed):
        conversations = [c for c in conversations if c.utterances]
        known = [_known(c, source.corpus, recipe.label_set) for c in conversations]
        by_teacher = [tagger.tag(conversations) for tagger in taggers]
        for truth, *tagged in zip(known, *by_teacher, strict=True):
            said = torch.tensor([[_probabilities(u, labels) for u in c.utterances] for c in tagged])  # (M, N, L)
            mean = said.clamp(min=1e-6).log().mean(0).softmax(-1)
            found += [mean[begin:end] for begin, end in _pieces(truth, recipe.max_utterances)]
    return found


def _conversations(recipe: EmotionRecipe, data: Path, seed: int) -> list[tuple[Source, list[Conversation]]]:
    found = [(source, load_source(source, data, seed)) for source in recipe.sources]
    if recipe.emoji_share:
        rng = random.Random(f"{seed}-emoji")
        found = [(source, with_emoji(some, source.corpus, recipe.emoji_share, rng)) for source, some in found]
    if recipe.stranger_share:
        rng = random.Random(f"{seed}-strangers")
        found = [(source, with_strangers(some, source.corpus, recipe.stranger_share, rng)) for source, some in found]
    return found


def _known(c: Conversation, corpus: str, label_set: str) -> list[int]:
    """0 where the corpus's label has a place in the label set, else UNKNOWN."""
    mapping = TO_EKMAN[corpus] if label_set == "ekman" else {label: label for label in LABEL_SETS[label_set]}
    return [0 if label in mapping else UNKNOWN for label in gold(c, corpus)]


def _probabilities(u: Utterance, labels: Sequence[str]) -> list[float]:
    if u.prediction is None:
        raise ValueError(f"a teacher said nothing of {u.text[:40]!r}")
    return [u.prediction.probabilities[label] for label in labels]


def _pieces(labels: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Where a conversation is cut so that no piece is longer than `most`; pieces without a label are left out."""
    pieces = [(i, min(i + most, len(labels))) for i in range(0, len(labels), most)]
    return [(begin, end) for begin, end in pieces if any(label >= 0 for label in labels[begin:end])]


def _command(name: str, seed: int, start: Path | None, teachers: Sequence[Path]) -> str:
    """The command that trains this again, folders by their names alone."""
    parts = [f"rapport train {name} --data ../shared/data --out {name.rpartition('/')[2]} --seed {seed}"]
    parts += [f"--start {start.name}"] if start is not None else []
    return " ".join([*parts, *(f"--teacher {folder.name}" for folder in teachers)])
