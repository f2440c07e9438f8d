"""How a model that answers about pictures does on rounds whose answers are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.corpora.derived.visual_examples import Asked, Talk
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher
from dialog.pictures.seqdialn import VisualDialog

PHOTOGRAPHED = ("daquar", "statement")
"""The kinds of rounds in which people ask about photographs: these say how far probabilities are to be believed."""
TEMPERATURES = tuple(round(0.5 * 1.05**i, 3) for i in range(43))
"""From 0.5 to 3.9 in steps of a twentieth."""
JUDGED = (*PHOTOGRAPHED, "easyvqa")
"""The kinds of rounds whose validation part chooses the weights."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One round answered."""

    talk: Talk
    asked: Asked
    round: int
    p: Tensor  # (A,)


@torch.inference_mode()
def predict(dialog: VisualDialog, bank: Bank, talks: Sequence[Talk], *, history: bool = True) -> list[Predicted]:
    """Every round of the talks answered, earlier rounds with their right answers before it, or with no history."""
    batcher, found = Batcher(bank, blind=dialog.config.blind, device=dialog.device), list[Predicted]()
    order = sorted(range(len(talks)), key=lambda i: (talks[i].collection, len(talks[i].rounds)))
    for start in range(0, len(order), 64):
        some = [talks[i] for i in order[start : start + 64]]
        encoded, rounds = batcher.encode(dialog, some, history=history)
        found += predicted(dialog, some, encoded.z[rounds])
    return found


def predicted(dialog: VisualDialog, talks: Sequence[Talk], z: Tensor) -> list[Predicted]:
    """What the vectors z (N, K) of all rounds of the talks, in order, are answered by."""
    p = iter(dialog.probabilities(z))
    return [Predicted(t, r, n, dialog.suited(next(p), r.question).cpu()) for t in talks for n, r in enumerate(t.rounds)]


def validation_scores(dialog: VisualDialog, bank: Bank, talks: Sequence[Talk]) -> dict[str, float]:
    """Accuracy in per cent by kind of round, on the first rounds and the chained ones with and without history."""
    alone = [Talk(t.collection, t.image, (r,)) for t in talks if not t.chained for r in t.rounds]
    rows = predict(dialog, bank, alone)
    scores = accuracies(dialog, rows)
    chained = [t for t in talks if t.chained]
    for name, history in (("chained", True), ("chained_without_history", False)):
        scores[name] = of_pronouns(dialog, predict(dialog, bank, chained, history=history))
    return scores


def of_pronouns(dialog: VisualDialog, rows: Sequence[Predicted]) -> float:
    """Accuracy in per cent on the rounds of made chains that speak in pronouns."""
    later = [correct(dialog, r) for r in rows if r.asked.kind == "rule-5"]
    return 100 * sum(later) / max(1, len(later))


def temperatures(dialog: VisualDialog, rows: Sequence[Predicted]) -> tuple[float, float]:
    """By what to divide the logits of an uncalibrated model where it says yes or no, and where it says anything else.

    What counts is whether the answer given is right: its probability is to predict that, also where the right answer is
    not in the list. Of what is asked about photographs by people, if there is any.
    """
    asked = [r for r in rows if r.asked.kind in PHOTOGRAPHED] or list(rows)
    logits = torch.stack([r.p for r in asked]).clamp(min=1e-12).log()
    answers = dialog.config.answers
    given = [answers[int(i)] for i in logits.argmax(-1)]
    right = torch.tensor([a == r.asked.answer for a, r in zip(given, asked, strict=True)]).float()
    closed = torch.tensor([a in ("yes", "no") for a in given])

    def best(where: Tensor) -> float:
        if not bool(where.any()):
            return 1.0
        losses = {}
        for t in TEMPERATURES:
            p = (logits[where] / t).softmax(-1).amax(-1).clamp(1e-6, 1 - 1e-6)
            losses[t] = float(F.binary_cross_entropy(p, right[where]))
        return min(losses, key=losses.__getitem__)

    return best(closed), best(~closed)


def judging(validation: Sequence[Talk]) -> list[Talk]:
    """Rounds one by one, of which weights are chosen: those about photographs and of drawings as many. NLVR's held-out
    sentences are too few to choose by."""
    asked = {
        kind: [Talk(t.collection, t.image, (r,)) for t in validation for r in t.rounds if r.kind == kind]
        for kind in JUDGED
    }
    most = max(1, *(len(asked[kind]) for kind in PHOTOGRAPHED))
    return [t for kind in JUDGED for t in asked[kind][:: max(1, len(asked[kind]) // most)]]


def accuracies(dialog: VisualDialog, rows: Sequence[Predicted]) -> dict[str, float]:
    """By kind of round, in per cent."""
    by_kind = dict[str, list[bool]]()
    for r in rows:
        by_kind.setdefault(r.asked.kind, []).append(correct(dialog, r))
    return {kind: 100 * sum(v) / len(v) for kind, v in by_kind.items()}


def correct(dialog: VisualDialog, row: Predicted) -> bool:
    """Whether the likeliest answer is the right one; of a statement, whichever of yes and no is likelier."""
    return said(dialog, row) == row.asked.answer


def said(dialog: VisualDialog, row: Predicted) -> str:
    """The likeliest answer; to a statement yes or no."""
    answers = dialog.config.answers
    if row.asked.kind in ("statement", "nlvr", "caption", "scene"):
        return max(("yes", "no"), key=lambda a: float(row.p[answers.index(a)]))
    return answers[int(row.p.argmax())]
