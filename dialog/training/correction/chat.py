"""The corrector's recipe: lexicon, slips, network and margin, from conversations and pairs of slips."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.corpora.typos import typo_pairs
from dialog.correction.corrector import CorrectorModelConfig, TextCorrector
from dialog.correction.lexicon import N_FEATURES, Lexicon
from dialog.training.card import write_card
from dialog.training.correction.data import (
    CORPORA,
    SPOKEN,
    Lesson,
    count_words,
    english_words,
    lessons,
    make_lexicon,
    make_noise,
    messages,
)
from dialog.training.loop import Progress, Schedule, finish, run
from models.corrector import Corrector, CorrectorConfig
from models.corrector.characters import encode_words
from models.corrector.model import shifted
from models.device import Where, choose_device, device_of

MARGINS = tuple(round(0.05 * i, 2) for i in range(-4, 20))


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrectionRecipe:
    """How a corrector is made."""

    network: CorrectorConfig = field(default_factory=CorrectorConfig)
    corpora: tuple[str, ...] = CORPORA
    spoken: tuple[str, ...] = SPOKEN
    n_messages: int = 50_000
    n_validation: int = 8_000
    least: int = 4
    """How often a word is met to be one of the lexicon."""
    steps: int = 3_200
    batch_words: int = 800
    lr: float = 2e-3
    clean_weight: float = 2.0
    """What leaving a word that was meant is worth, beside 1 of a slip: the sheet's guard."""
    next_weight: float = 0.25
    false_changes: float = 0.2
    """Per cent of clean words that may be changed on validation, which the margins are chosen for."""
    known_share: float = 0.1
    """Of those, the share that may be words which are some."""
    unknown_changes: float = 10.0
    """Per cent of the clean words that are in no lexicon which may be changed."""


class Batch(NamedTuple):
    """Lessons as tensors; every word's characters once."""

    characters: Tensor  # (U, L) of the U different words
    typed: Tensor  # (B, T) rows of characters
    meant: Tensor  # (B, T)
    mask: Tensor  # (B, T)
    next_words: Tensor  # (B, T) the meant word among those that may come next, -100 where it is none of them
    place: Tensor  # (M, 2) message and word of each place
    candidates: Tensor  # (M, C) rows of characters
    features: Tensor  # (M, C, F)
    allowed: Tensor  # (M, C)
    known: Tensor  # (M, F)
    right: Tensor  # (M,)


def collate(some: Sequence[Lesson], places: Mapping[str, int], device: torch.device) -> Batch:
    """The lessons side by side. `places` are the words that may come next."""
    rows: dict[str, int] = {"": 0}

    def row(word: str) -> int:
        return rows.setdefault(word, len(rows))

    width = max(len(x.typed) for x in some)

    def padded(words: Sequence[int], fill: int) -> list[int]:
        return [*words, *[fill] * (width - len(words))]

    typed = torch.tensor([padded([row(w) for w in x.typed], 0) for x in some])
    meant = torch.tensor([padded([row(w) for w in x.meant], 0) for x in some])
    mask = torch.tensor([[i < len(x.typed) for i in range(width)] for x in some])
    following = torch.tensor([padded([places.get(w, -100) for w in x.meant], -100) for x in some])
    asked = [(i, p) for i, x in enumerate(some) for p in x.places]
    n = max([1, *(len(p.candidates) for _, p in asked)])
    candidates = torch.zeros(len(asked), n, dtype=torch.long)
    features, allowed = torch.zeros(len(asked), n, N_FEATURES), torch.zeros(len(asked), n, dtype=torch.bool)
    for k, (_, p) in enumerate(asked):
        m = len(p.candidates)
        candidates[k, :m] = torch.tensor([row(w) for w in p.candidates])
        features[k, :m] = torch.tensor(p.features)
        allowed[k, :m] = True
    known = torch.tensor([p.typed for _, p in asked]).view(-1, N_FEATURES)
    place = torch.tensor([[i, p.at] for i, p in asked], dtype=torch.long).view(-1, 2)
    right = torch.tensor([p.right for _, p in asked], dtype=torch.long)
    tensors = (encode_words(list(rows)), typed, meant, mask, following, place, candidates, features, allowed, known)
    return Batch(*(t.to(device) for t in (*tensors, right)))


def place_scores(network: Corrector, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities (M, 1 + C) of the places, and the decoder's states (B, T, D), what was meant before given."""
    vectors = network.vectors(batch.characters)
    read = network.read(vectors[batch.typed], batch.mask)
    spoken, _ = network.speak(shifted(vectors[batch.meant]), batch.mask)
    rows, at = batch.place.unbind(-1)
    queries = network.queries(read, spoken)[rows, at]
    return network.scores(queries, batch.known, vectors[batch.candidates], batch.features, batch.allowed), spoken


class Training(nn.Module):
    """The network with its loss on lessons."""

    def __init__(self, network: Corrector, recipe: CorrectionRecipe, some: Sequence[Lesson], lexicon: Lexicon) -> None:
        super().__init__()
        self.network, self.recipe, self.lessons = network, recipe, some
        self.places = {w: i for i, w in enumerate(lexicon.words[: recipe.network.n_words])}

    def loss(self, batch: Sequence[int]) -> Tensor:
        """Of the places, slips and clean words weighed, and of the words that come next."""
        b = collate([self.lessons[i] for i in batch], self.places, device_of(self.network))
        scores, spoken = place_scores(self.network, b)
        following = F.cross_entropy(self.network.next_scores(spoken).flatten(0, 1), b.next_words.flatten())
        loss = self.recipe.next_weight * following
        if len(b.right):
            weight = 1.0 + (self.recipe.clean_weight - 1.0) * (b.right == 0)
            each = F.nll_loss(scores, b.right, reduction="none")
            loss = loss + (weight * each).sum() / weight.sum()
        return loss

    def batches(self, seed: int) -> list[list[int]]:
        """All lessons, those of like length together, in random order."""
        rng = random.Random(seed)
        order = sorted(range(len(self.lessons)), key=lambda i: (len(self.lessons[i].typed), rng.random()))
        found: list[list[int]] = [[]]
        for i in order:
            if (len(found[-1]) + 1) * len(self.lessons[i].typed) > self.recipe.batch_words and found[-1]:
                found.append([])
            found[-1].append(i)
        rng.shuffle(found)
        return found


class Places(NamedTuple):
    """The doubtful places of lessons as the network sees them, and how many words there are beside."""

    gain: Tensor  # (M,) by how much the best candidate is likelier than the word itself
    hit: Tensor  # (M,) whether it is what was meant
    clean: Tensor  # (M,) whether the word was meant
    known: Tensor  # (M,) whether it is in the lexicon
    n_slips: int
    n_clean: int

    def repaired(self, margin: float, *, known: bool) -> float:
        """Per cent of all words mistyped that are made what was meant, among known words or the others."""
        right = (self.gain > margin) & self.hit & ~self.clean & (self.known == known)
        return 100 * float(right.sum()) / max(1, self.n_slips)

    def spoilt(self, margin: float, *, known: bool) -> float:
        """Per cent of all clean words that are changed."""
        wrong = (self.gain > margin) & self.clean & (self.known == known)
        return 100 * float(wrong.sum()) / max(1, self.n_clean)

    def unknown_spoilt(self, margin: float) -> float:
        """Per cent of the clean words in no lexicon that are changed."""
        strange = self.clean & ~self.known
        return 100 * float(((self.gain > margin) & strange).sum()) / max(1, int(strange.sum()))


@torch.inference_mode()
def places(network: Corrector, some: Sequence[Lesson], lexicon: Lexicon) -> Places:
    """Of lessons, each place by itself among what was meant before it."""
    training = Training(network, CorrectionRecipe(network=network.config), some, lexicon)
    network.eval()
    kept, best, right, top, known = [], [], [], [], []
    for batch in training.batches(0):
        b = collate([some[i] for i in batch], training.places, device_of(network))
        if not len(b.right):
            continue
        p = place_scores(network, b)[0].exp().cpu()
        kept.append(p[:, 0])
        best.append(p[:, 1:].amax(-1))
        top.append(p[:, 1:].argmax(-1) + 1)
        right.append(b.right.cpu())
        known.append(b.known[:, 1].cpu() == 0)
    meant = torch.cat(right)
    pairs = [(a, b) for x in some for a, b in zip(x.typed, x.meant, strict=True)]
    return Places(
        gain=torch.cat(best) - torch.cat(kept),
        hit=torch.cat(top) == meant,
        clean=meant == 0,
        known=torch.cat(known),
        n_slips=sum(a != b for a, b in pairs),
        n_clean=sum(a == b for a, b in pairs),
    )


def choose_margins(found: Places, recipe: CorrectionRecipe) -> tuple[float, float]:
    """The lowest margins, for words in no lexicon and for the others, that spoil no more than the recipe lets them."""
    for_known = recipe.false_changes * recipe.known_share
    for_unknown = recipe.false_changes - for_known
    unknown = [
        m
        for m in MARGINS
        if found.spoilt(m, known=False) <= for_unknown and found.unknown_spoilt(m) <= recipe.unknown_changes
    ]
    known = [m for m in MARGINS if found.spoilt(m, known=True) <= for_known]
    return min(unknown, default=max(MARGINS)), min(known, default=max(MARGINS))


def going_on(start: Path, n_words: int, lexicon: Lexicon) -> Corrector:
    """The network of a corrector, with its words that may come next in the order of another lexicon. ValueError where
    the folder holds none."""
    before = TextCorrector.load(str(start))
    network = Corrector(replace(before.config.network, n_words=n_words))
    old = before.network.state_dict()
    rows = {word: i for i, word in enumerate(before.lexicon.words[: before.config.network.n_words])}
    pairs = [(new, rows[word]) for new, word in enumerate(lexicon.words[:n_words]) if word in rows]
    if not pairs:
        raise ValueError(f"{start} knows none of the words of these corpora")
    new_rows, old_rows = (torch.tensor(x) for x in zip(*pairs, strict=True))
    state = network.state_dict()
    for name, value in old.items():
        if name in ("next_words", "next_bias"):
            state[name][new_rows] = value[old_rows]
        else:
            state[name] = value
    network.load_state_dict(state)
    return network


def train_correction(
    recipe: CorrectionRecipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    start: Path | None = None,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Trains a corrector into `out`: config.json, model.safetensors, card.md, scores.json.

    From `start`, the folder of a corrector, it goes on with its network: a third of the steps, slowly.
    """
    if start is not None:
        recipe = replace(recipe, steps=max(1, recipe.steps // 3), lr=recipe.lr / 3)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    counts = count_words(messages(data, recipe.corpora, "train"))
    lexicon = make_lexicon(counts, typo_pairs(data, "train"), english_words(), least=recipe.least)
    noise = make_noise(data)
    texts = sorted({t for t in messages(data, recipe.spoken, "train") if 3 <= len(t.split()) <= 30})
    rng.shuffle(texts)
    held = sorted({t for t in messages(data, recipe.spoken, "validation") if 3 <= len(t.split()) <= 30} - set(texts))
    rng.shuffle(held)
    network_config = replace(recipe.network, n_words=min(recipe.network.n_words, len(lexicon.words)))
    network = Corrector(network_config) if start is None else going_on(start, network_config.n_words, lexicon)
    network_config = network.config
    network = network.to(choose_device(device))
    learned = lessons(texts[: recipe.n_messages], noise, lexicon, seed)
    training = Training(network, replace(recipe, network=network_config), learned, lexicon)
    epochs: dict[int, list[list[int]]] = {}
    n = len(training.batches(seed))

    def at(step: int) -> Tensor:
        epoch, place = divmod(step, n)
        if epoch not in epochs:
            epochs.clear()
            epochs[epoch] = training.batches(seed + epoch)
        return training.loss(epochs[epoch][place % len(epochs[epoch])])

    network.train()
    schedule = Schedule(steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr)
    run(training, list(network.parameters()), at, schedule, out, seed, report)
    network.eval()
    held_lessons = lessons(held[: recipe.n_validation], noise, lexicon, seed + 1)
    found = places(network, held_lessons, lexicon)
    margin, margin_known = choose_margins(found, recipe)
    config = CorrectorModelConfig(network=network_config, margin=margin, margin_known=margin_known)
    TextCorrector("candidate", config, network, lexicon).save(out)
    scores: dict[str, Any] = {
        "repair_rate": found.repaired(margin, known=False) + found.repaired(margin_known, known=True),
        "false_change_rate": found.spoilt(margin, known=False) + found.spoilt(margin_known, known=True),
        "unknown_words_changed": found.unknown_spoilt(margin),
        "margin": margin,
        "margin_known": margin_known,
        "n_lexicon": float(len(lexicon.words)),
    }
    write_card(
        out,
        name="correction/chat",
        task="correction",
        summary="What was meant by what was typed in a chat, and how the word being typed may end; English.",
        command="rapport train correction/chat --data DATA --out OUT" + (" --start BEFORE" if start else ""),
        seed=seed,
        corpora=[*recipe.corpora, "typo_pairs"],
        validation=scores,
        limits=LIMITS,
    )
    finish(out)
    return scores


LIMITS = """\
English only. It knows the words of chats, films and forums, not those of a trade; names in lower case are left alone
more often than not, but not always. It is for suggestions a person takes or leaves: it must not change silently what
anybody wrote. Slips that make another real word are seldom seen."""
