"""Talks about pictures as tensors, and in batches."""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dialog.corpora.derived.visual_examples import DRAWN, Talk, dialogues, rarer
from dialog.pictures.bank import Bank
from dialog.pictures.seqdialn import VisualDialog, blinded
from dialog.reading.seeing import PictureRegions
from dialog.reading.text_vectors import TextVectors, batched, joined
from models.seqdialn.model import EncodedRounds, Texts


class Batcher:
    """Talks to tensors, from a bank to a device."""

    def __init__(self, bank: Bank, *, blind: bool, device: torch.device | None = None) -> None:
        self.bank, self.blind, self.device = bank, blind, device or torch.device("cpu")
        width = next(iter(bank.texts.values())).sentence.shape[0]
        self._nothing = TextVectors(torch.zeros(0, width, device="cpu"), torch.zeros(width, device="cpu"))

    def regions(self, talk: Talk) -> PictureRegions:
        regions = self.bank.pictures[talk.collection, talk.image]
        return blinded(regions) if self.blind else regions

    def texts(self, talks: Sequence[Talk], *, history: bool = True) -> tuple[Texts, Texts, Tensor]:
        """History items and questions (B, T, L), and the mask of rounds (B, T). Without `history` all items are empty,
        which leaves each question with the picture alone."""
        n = max(len(t.rounds) for t in talks)
        items, questions = list[TextVectors](), list[TextVectors]()
        for talk in talks:
            before = [self.bank.texts[talk.caption] if talk.caption and history else self._nothing]
            for r in talk.rounds[:-1]:
                pair = [self.bank.texts[r.question], self.bank.texts[r.answer]]
                before.append(joined(pair) if history else self._nothing)
            asked = [self.bank.texts[r.question] for r in talk.rounds]
            items += before + [self._nothing] * (n - len(before))
            questions += asked + [self._nothing] * (n - len(asked))
        mask = torch.tensor([[t < len(talk.rounds) for t in range(n)] for talk in talks], device=self.device)
        return _rounds(batched(items, self.device), n), _rounds(batched(questions, self.device), n), mask

    def encode(
        self, dialog: VisualDialog, talks: Sequence[Talk], *, history: bool = True
    ) -> tuple[EncodedRounds, Tensor]:
        """What the network makes of the talks, and the mask of their rounds."""
        items, questions, rounds = self.texts(talks, history=history)
        states = dialog.states([self.regions(t) for t in talks])
        return dialog.network(states, items, questions, rounds), rounds


class Batches:
    """Batches by step, the same for the same seed. One epoch is kept at a time."""

    def __init__(
        self,
        talks: Sequence[Talk],
        n_rounds: int,
        repeat: Sequence[tuple[str, int]],
        seed: int,
        *,
        balanced: bool = False,
        drawn: Mapping[str, int] = DRAWN,
        chained: int = 1,
        most: int = 3,
    ) -> None:
        """About `n_rounds` a batch; `repeat` says how often an epoch goes through a collection, where not once, and
        `chained` how often through chains besides. `drawn`: of which kinds of rounds about a picture how many.
        `balanced`: of a drawing's questions those sooner whose answer is the rarer. `most`: rounds of a dialogue whose
        rounds are independent."""
        self._weights = rarer(talks) if balanced else {}
        self.n_rounds, self.seed, self._drawn, self._most = n_rounds, seed, drawn, most
        times = dict(repeat)
        self.talks = [t for t in talks for _ in range(times.get(t.collection, 1) * (chained if t.chained else 1))]
        self._epoch, self._batches = -1, list[list[Talk]]()
        self.per_epoch = len(self._make(0))

    def at(self, step: int) -> list[Talk]:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._make(epoch)
        return self._batches[place % len(self._batches)]

    def _make(self, epoch: int) -> list[list[Talk]]:
        """Random batches; wide drawings, of three tiles each, keep to themselves, for the padding."""
        rng = random.Random(f"{self.seed}-epoch-{epoch}")
        piles = dict[bool, list[Talk]]()
        for t in dialogues(self.talks, rng, self._most, self._weights, self._drawn):
            piles.setdefault(t.collection == "nlvr", []).append(t)
        batches = list[list[Talk]]()
        for pile in piles.values():
            rng.shuffle(pile)
            used = self.n_rounds
            for t in pile:
                if used + len(t.rounds) > self.n_rounds:
                    batches.append([])
                    used = 0
                batches[-1].append(t)
                used += len(t.rounds)
        rng.shuffle(batches)
        return batches


def _rounds(texts: Texts, n: int) -> Texts:
    sentence = None if texts.sentence is None else texts.sentence.unflatten(0, (-1, n))
    return Texts(texts.words.unflatten(0, (-1, n)), texts.mask.unflatten(0, (-1, n)), sentence)
