"""How a model that answers about pictures does on rounds whose answers are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialog.training.visual_bank import Bank
from dialog.training.visual_batches import Batcher
from dialog.training.visual_examples import Asked, Talk
from dialog.visual import VisualDialog

JUDGED = ("daquar", "statement", "easyvqa")
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
    batcher, found = Batcher(bank, blind=dialog.config.blind), list[Predicted]()
    order = sorted(range(len(talks)), key=lambda i: (talks[i].collection, len(talks[i].rounds)))
    for start in range(0, len(order), 64):
        some = [talks[i] for i in order[start : start + 64]]
        encoded, rounds = batcher.encode(dialog, some, history=history)
        p = iter(dialog.probabilities(encoded.z[rounds]))
        found += [Predicted(t, r, n, next(p)) for t in some for n, r in enumerate(t.rounds)]
    return found


def validation_scores(dialog: VisualDialog, bank: Bank, talks: Sequence[Talk]) -> dict[str, float]:
    """Accuracy in per cent by kind of round, on the first rounds and the chained ones with and without history."""
    alone = [Talk(t.collection, t.image, (r,)) for t in talks if not t.chained for r in t.rounds]
    rows = predict(dialog, bank, alone)
    scores = accuracies(dialog, rows)
    chained = [t for t in talks if t.chained]
    for name, history in (("chained", True), ("chained_without_history", False)):
        later = [
            correct(dialog, r) for r in predict(dialog, bank, chained, history=history) if r.asked.kind == "rule-5"
        ]
        scores[name] = 100 * sum(later) / max(1, len(later))
    return scores


def judging(validation: Sequence[Talk]) -> list[Talk]:
    """Rounds one by one, of which weights are chosen: those about photographs and of drawings as many. NLVR's held-out
    sentences are too few to choose by."""
    asked = {
        kind: [Talk(t.collection, t.image, (r,)) for t in validation for r in t.rounds if r.kind == kind]
        for kind in JUDGED
    }
    most = max(len(asked[kind]) for kind in JUDGED[:-1])
    return [t for kind in JUDGED for t in asked[kind][:: max(1, len(asked[kind]) // max(1, most))]]


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
