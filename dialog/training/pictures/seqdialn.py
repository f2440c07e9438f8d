"""Trains the model that answers about pictures, on what frozen encoders make of pictures and texts."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.corpora.derived.visual_examples import DRAWN, Talk, limited, load_talks
from dialog.evaluation.pictures.baselines import Priors
from dialog.evaluation.pictures.validation import accuracies, judging, predict, temperatures, validation_scores
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher, Batches
from dialog.pictures.familiarity import Familiarity, picture_features
from dialog.pictures.seqdialn import TWIN, VisualDialog, VisualModelConfig, blinded, eyes_version
from dialog.reading.seeing import padded
from dialog.reading.text_vectors import TextReader, batched
from dialog.training.averaging import Average
from dialog.training.best import Best
from dialog.training.card import write_card
from dialog.training.loop import Progress, Schedule, finish, run
from models import checkpoint
from models.catalogue import EYES, VISUAL, path_of
from models.detector.model import NAME as DETECTOR
from models.device import Where, choose_device, device_of, mixed_precision
from models.encoders.base import ImageEncoder
from models.encoders.image import load_image_encoder
from models.encoders.text import BUILT_IN, TextEncoder
from models.seqdialn.config import SPECIAL_WORDS, SeqDialNConfig
from models.seqdialn.decoders import END, SCALE, UNKNOWN
from models.seqdialn.model import SeqDialN

PHOTOGRAPHS = ("flickr8k", "daquar")
"""Collections whose pictures the picture network knows by heart; drawings are as easy to see on other pictures."""
LENIENCE = 1.45
"""By what the limit of strangeness is widened: pictures of sources not learned from are further off than held-out ones
of the same sources, and without it one COCO photograph in five was refused."""
CORPORA = ("flickr8k", "snli", "daquar", "nlvr", "easyvqa")
PRIORS = ("daquar", "statement", "nlvr", "easyvqa")
"""Kinds of rounds whose commonest answers are kept, to measure against."""
LIMITS = """\
English only. A small network trained on eight thousand photographs, most of people and dogs outdoors or of rooms: it
recognises common things and colours, counts badly, reads no text and knows no names, feelings, ages or relations. The
captions it learned from are stereotyped, and so may its answers be. Where it says how likely an answer is, that was
calibrated on pictures like those of training. Not for identifying, watching or judging people, and not for medical,
legal or safety decisions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualRecipe:
    """One model that answers about pictures: its shape, and how it learns."""

    network: dict[str, object]
    """Fields of SeqDialNConfig that differ from its defaults."""
    picture_encoder: str = EYES
    text_encoder: str = BUILT_IN
    detector: str = DETECTOR
    blind: bool = False
    twin: bool = True
    """Whether a model that sees no picture is trained before it; this one then begins with its weights."""
    epochs: float = 4.0
    epochs_blind: float = 4.0
    """Of the twin, which begins with nothing; so has lr_blind."""
    lr: float = 2e-3
    lr_blind: float = 2e-3
    batch_rounds: int = 256
    least_count: int = 2
    """An answer is in the list, and a word in the vocabulary, if training has it so often."""
    drop_regions: float = 0.2
    """Of the regions, how many a training step does not see."""
    judge_every: float = 0.5
    """Epochs between two looks at validation. The weights that do best there are kept."""
    drop_pictures: float = 0.0
    """Of the dialogues, how many a training step has without their picture, as the blind twin has all of them."""
    noise: float = 1.5
    """Of what length on average the noise is that a whole photograph's vector gets in training. The picture network
    knows its training pictures by heart: captions fit them better than others (area under the ROC curve of 0.77 for
    SNLI's statements against 0.67), and this much noise takes that away. Without it the fit is trusted too much."""
    words_weight: float = 0.3
    """Of the generative decoder's loss."""
    weight_decay: float = 0.05
    averaged: float = 0.0
    """The decay of the running mean of the weights that is judged and kept; 0: the weights as they are."""
    goes_on: bool = False
    """Begins with the weights, answers and words of the model in `start`, and its twin with those of that one's."""
    repeat: tuple[tuple[str, int], ...] = (("daquar", 2),)
    """How often an epoch goes through a collection, where not once."""
    drawn: tuple[tuple[str, int], ...] = tuple(DRAWN.items())
    """Of these kinds of rounds about a picture, how many an epoch takes; of others, all."""
    chained: int = 1
    """How often an epoch goes through the rounds that speak in pronouns."""
    pictures: tuple[tuple[str, int], ...] = ()
    """At most so many training pictures of a collection, those first of which most is asked; a fifth as many for
    validation. Nothing: all of them."""


class VisualTraining(nn.Module):
    """The network with its losses, and with the best weights it has had."""

    def __init__(self, dialog: VisualDialog, batcher: Batcher, recipe: VisualRecipe) -> None:
        super().__init__()
        self.network, self.recipe, self.batcher = dialog.network, recipe, batcher
        self.config = dialog.config
        self.place = {a: i for i, a in enumerate(self.config.answers)}
        self.word = {w: i + SPECIAL_WORDS for i, w in enumerate(self.config.words)}
        self.device = batcher.device
        self.answer_texts = batched([batcher.bank.texts[a] for a in self.config.answers], self.device)
        self.best = Best(self.network.state_dict())
        self.average = Average(self.network.state_dict(), recipe.averaged)

    def loss(self, talks: Sequence[Talk]) -> Tensor:
        """The N-pair loss over the answer list where the answer is in it, plus the words' cross-entropy."""
        recipe = self.recipe
        regions = [self.batcher.regions(t) for t in talks]
        if recipe.drop_pictures and not recipe.blind:
            dropped = (torch.rand(len(talks)) < recipe.drop_pictures).tolist()
            regions = [blinded(r) if gone else r for r, gone in zip(regions, dropped, strict=True)]
        vectors, mask, boxes, pooled = padded(regions, self.device)
        # Drawn on the CPU: a run is the same on every device.
        kept = mask & (torch.rand(mask.shape) >= recipe.drop_regions).to(self.device)
        if pooled is not None and not recipe.blind:
            known = torch.tensor([t.collection in PHOTOGRAPHS for t in talks], device=self.device)[:, None]
            noise = torch.randn(pooled.shape).to(self.device)
            pooled = pooled + known * recipe.noise * noise / pooled.shape[-1] ** 0.5
        items, questions, rounds = self.batcher.texts(talks)
        answers = [r.answer for t in talks for r in t.rounds]
        listed = torch.tensor([self.place.get(a, -1) for a in answers], device=self.device)
        with mixed_precision(self.device):
            states = self.network.look(vectors, torch.where(kept.any(1, keepdim=True), kept, mask), boxes, pooled)
            z = self.network(states, items, questions, rounds).z[rounds].float()
            loss: Tensor = z.new_zeros(())
            if bool((listed >= 0).any()):
                options = self.network.discriminative.options(self.answer_texts.words, self.answer_texts.mask)
                scores = self.network.discriminative(z[listed >= 0], options).float()
                loss = loss + F.cross_entropy(scores / SCALE, listed[listed >= 0])
            if self.network.generative is not None and recipe.words_weight:
                tokens, real = self.tokens(answers)
                loss = loss + recipe.words_weight * self.network.generative.loss(z, tokens, real)
        return loss

    def judge(self, dialog: VisualDialog, talks: Sequence[Talk]) -> None:
        """Keeps the weights, or their mean, if they answer these better than any before: the mean over the kinds of
        rounds."""
        own = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        if self.recipe.averaged:
            self.average.copy_to(self.network.state_dict())
        dialog.network.eval()
        now = self.answering(dialog)
        scores = accuracies(now, predict(now, self.batcher.bank, talks))
        dialog.network.train()
        self.best.consider(sum(scores.values()) / max(1, len(scores)), dialog.network.state_dict())
        self.network.load_state_dict(own)

    @torch.inference_mode()
    def answering(self, dialog: VisualDialog, kin: Familiarity | None = None) -> VisualDialog:
        """The model as it stands, its options read, not calibrated."""
        options = self.network.discriminative.options(self.answer_texts.words, self.answer_texts.mask) / SCALE
        return VisualDialog(
            dialog.name, "training", dialog.config, dialog.network, options, dialog.eyes, dialog.reader, kin
        )

    def tokens(self, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The answers' words (N, L) for the generative decoder, END last, and their mask."""
        rows = [[*(self.word.get(w, UNKNOWN) for w in a.replace(",", " ,").split()[:11]), END] for a in answers]
        n = max(map(len, rows))
        tokens = torch.tensor([row + [END] * (n - len(row)) for row in rows], device=self.device)
        return tokens, torch.tensor([[i < len(row) for i in range(n)] for row in rows], device=self.device)


def train_visual(
    recipe: VisualRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    start: Path | None = None,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
    name: str = VISUAL,
) -> dict[str, float]:
    """Trains a recipe into `out`: config.json, model.safetensors, card.md, scores.json; returns validation scores.

    With `recipe.twin` a blind model is trained alike into `out / "blind"`. What the frozen encoders make of pictures
    and texts goes into `out` too, and is taken from `start`, the folder of an earlier run over the same encoders, where
    that is given. Resumes where a killed run stopped.

    With `recipe.goes_on` the weights are those of `start`, a shipped name or a folder; ValueError where there is none,
    or its network has another shape.
    """
    begun = _started(recipe, start)
    parts = {
        "train": limited(load_talks(data, "train"), recipe.pictures),
        "validation": limited(load_talks(data, "validation"), [(c, -(-n // 5)) for c, n in recipe.pictures]),
    }
    answers, words = vocabulary(parts["train"], recipe.least_count) if begun is None else begun
    where = choose_device(device)
    eyes = load_image_encoder(recipe.picture_encoder, device=where)
    reader = TextReader(TextEncoder.load(recipe.text_encoder, device=where))
    bank = filled_bank(data, [t for some in parts.values() for t in some], answers, eyes, reader, out, start)
    twin = dict[str, float]()
    if recipe.twin:
        blind = replace(recipe, blind=True, twin=False, epochs=recipe.epochs_blind, lr=recipe.lr_blind)
        before = path_of(str(start)) / TWIN if recipe.goes_on else None
        twin = _train_one(blind, parts, answers, words, eyes, reader, bank, out / TWIN, seed, report, before)
    before = path_of(str(start)) if recipe.goes_on else out / TWIN if recipe.twin else None
    scores = _train_one(recipe, parts, answers, words, eyes, reader, bank, out, seed, report, before)
    scores |= {f"blind_{name}": value for name, value in twin.items()}
    write_card(
        out,
        name=VISUAL,
        task="visual",
        summary="Answers questions about a picture, in rounds: SeqDialN over the built-in picture and text encoders.",
        command=f"rapport train {name} --data ../shared/data --out DIR",
        seed=seed,
        corpora=CORPORA,
        validation=scores,
        limits=LIMITS,
    )
    for folder in (out, out / TWIN):
        finish(folder)
    return scores


def _train_one(
    recipe: VisualRecipe,
    parts: Mapping[str, Sequence[Talk]],
    answers: tuple[str, ...],
    words: tuple[str, ...],
    eyes: ImageEncoder,
    reader: TextReader,
    bank: Bank,
    out: Path,
    seed: int,
    report: Callable[[Progress], None] | None,
    before: Path | None = None,
) -> dict[str, float]:
    """One model into `out`, beginning with the weights of the one in `before`; its validation scores. Its checkpoint
    stays."""
    dialog, module = build(recipe, answers, words, eyes, reader, bank, seed)
    if before is not None:
        begin_with(dialog.network, before)
        module.average = Average(dialog.network.state_dict(), recipe.averaged)
    # Without a picture there is nothing better to say than the commoner answer, and the twin is to say it.
    batches = Batches(
        parts["train"],
        recipe.batch_rounds,
        recipe.repeat,
        seed,
        balanced=not recipe.blind,
        drawn=dict(recipe.drawn),
        chained=recipe.chained,
    )
    schedule = Schedule(
        steps=max(1, round(batches.per_epoch * recipe.epochs)),
        lr=recipe.lr,
        lr_new=recipe.lr,
        weight_decay=recipe.weight_decay,
    )
    module.train()
    every = max(1, round(batches.per_epoch * recipe.judge_every))
    judged = judging(parts["validation"])

    def loss_at(step: int) -> Tensor:
        if (step or recipe.goes_on) and step % every == 0:
            module.judge(dialog, judged)
        if recipe.averaged and step:
            module.average.update(dialog.network.state_dict(), step)
        return module.loss(batches.at(step))

    run(module, list(module.parameters()), loss_at, schedule, out, seed, report)
    module.judge(dialog, judged)
    module.best.copy_to(dialog.network.state_dict())
    finished = conclude(dialog, module, bank, parts["train"], parts["validation"])
    finished.save(out)
    return validation_scores(finished, bank, parts["validation"])


def begin_with(network: SeqDialN, folder: Path) -> None:
    """Gives the network the weights of the model in the folder, of the same shape.

    What reads drawings by their parts is trained apart (`visual/drawings`) and left out.
    """
    tensors = {k: v for k, v in checkpoint.read_weights(folder).items() if not k.startswith("network.parts.")}
    checkpoint.fill(network, tensors, folder, prefix="network.")


def _started(recipe: VisualRecipe, start: Path | None) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Answers and words of the model that a recipe goes on from; None of a recipe that begins anew."""
    if not recipe.goes_on:
        return None
    if start is None:
        raise ValueError("this recipe goes on from a model: expected --start with its name or folder")
    config, _ = checkpoint.read(path_of(str(start)), VisualModelConfig)
    own = {k: getattr(config.network, k) for k in recipe.network}
    if own != recipe.network:
        raise ValueError(f"the network in {start} has {own}, the recipe expects {recipe.network}")
    return config.answers, config.words


def vocabulary(talks: Sequence[Talk], least: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The answers and the answers' words that training has at least so often, the commonest first."""
    counts = Counter(r.answer for t in talks for r in t.rounds)
    words = Counter(w for a, n in counts.items() for w in a.replace(",", " ,").split() for _ in range(n))
    return tuple(a for a, n in counts.most_common() if n >= least), tuple(
        w for w, n in words.most_common() if n >= least
    )


def filled_bank(
    data: Path,
    talks: Sequence[Talk],
    answers: Sequence[str],
    eyes: ImageEncoder,
    reader: TextReader,
    out: Path,
    start: Path | None = None,
) -> Bank:
    """The bank of `out` or of `start`, with whatever it still lacked added and kept in `out`."""
    versions = {"eyes": eyes_version(eyes.name) or eyes.name, "reader": text_version(reader)}
    bank = Bank()
    for folder in (out, start):
        if folder is not None:
            bank.fill_from(folder, **versions)
    before = len(bank.pictures), len(bank.texts)
    bank.see(data, {(t.collection, t.image) for t in talks}, eyes)
    bank.read([*answers, *(text for t in talks for r in t.rounds for text in (r.question, r.answer))], reader)
    if (len(bank.pictures), len(bank.texts)) != before:
        bank.save(out, **versions)
    return bank


def text_version(reader: TextReader) -> str:
    """Of the text encoder's weights: another one's vectors would mean nothing."""
    digest = hashlib.sha256()
    for name, tensor in sorted(reader.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()[:16]


def build(
    recipe: VisualRecipe,
    answers: tuple[str, ...],
    words: tuple[str, ...],
    eyes: ImageEncoder,
    reader: TextReader,
    bank: Bank,
    seed: int,
) -> tuple[VisualDialog, VisualTraining]:
    """A model of the recipe with its first weights, and what trains it."""
    torch.manual_seed(seed)
    fields: dict[str, Any] = {"d_text": reader.width, "d_region": eyes.d_model, "n_words": len(words)}
    fields["d_sentence"] = reader.width if eyes.d_text == reader.width else 0
    config = VisualModelConfig(
        network=SeqDialNConfig(**(fields | recipe.network)),
        answers=answers,
        words=words,
        picture_encoder=recipe.picture_encoder,
        picture_encoder_version=eyes_version(recipe.picture_encoder),
        text_encoder=recipe.text_encoder,
        blind=recipe.blind,
        detector="" if recipe.blind else recipe.detector,
    )
    network = SeqDialN(config.network).to(device_of(reader.encoder))
    options = torch.zeros(len(answers), config.network.d_answer)
    dialog = VisualDialog(VISUAL, "training", config, network, options, eyes, reader)
    return dialog, VisualTraining(dialog, Batcher(bank, blind=recipe.blind, device=dialog.device), recipe)


def conclude(
    dialog: VisualDialog, module: VisualTraining, bank: Bank, train: Sequence[Talk], validation: Sequence[Talk]
) -> VisualDialog:
    """The trained model with its options read, its familiarity fitted, and calibrated on validation."""
    dialog.network.eval()
    plain = module.answering(dialog, None if dialog.config.blind else familiarity(bank, train, validation))
    closed, opened = temperatures(plain, predict(plain, bank, validation))
    kinds = () if dialog.config.blind else tuple(dict.fromkeys(t.collection for t in train))
    asked = {kind: [(r.question, r.answer) for t in train for r in t.rounds if r.kind == kind] for kind in PRIORS}
    priors = tuple(row for kind, pairs in asked.items() if pairs for row in Priors(pairs).rows(kind))
    plain.config = replace(plain.config, temperature=closed, open_temperature=opened, kinds=kinds, priors=priors)
    return plain


def familiarity(bank: Bank, train: Sequence[Talk], validation: Sequence[Talk]) -> Familiarity:
    """Fitted on the training pictures by collection; all but a fiftieth of the validation pictures are within the limit
    before it is widened by LENIENCE."""
    kinds = dict[str, list[Tensor]]()
    for key in dict.fromkeys((t.collection, t.image) for t in train):
        kinds.setdefault(key[0], []).append(picture_features(bank.pictures[key].vectors.float()))
    kept = dict.fromkeys((t.collection, t.image) for t in validation)
    held_out = torch.stack([picture_features(bank.pictures[key].vectors.float()) for key in kept])
    found = Familiarity.fit([torch.stack(k) for k in kinds.values()], held_out)
    return found._replace(limit=LENIENCE * found.limit)
