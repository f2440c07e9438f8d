"""How far each witness is to be believed: two logistic regressions over what they say, of pictures none has "
"learned from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dialog.evaluation.presence import Key, Thing, asked_things, claims
from dialog.pictures.everyday import Everyday
from dialog.pictures.evidence import Evidence, Presence


def fit_presence(
    everyday: Everyday, data: Path, evidence: Mapping[Key, Evidence], p_said: Mapping[tuple[Key, str], float]
) -> Presence:
    """The regressions, over whatever pictures evidence is given of: of things being there, of sentences being true.
    `p_said` is the reasoner's yes to a sentence, a half where it is not asked."""
    things = [t for some in asked_things(data, "train").values() for t in some]
    rows, truth = table(everyday, things, evidence)
    thing = regression(rows, truth)
    features, true = list[Tensor](), list[bool]()
    for key, text, holds in claims(data, "train"):
        if key in evidence:
            features.append(everyday.claim_features(evidence[key], text, p_said.get((key, text), 0.5)))
            true.append(holds)
    return Presence(*thing, *regression(torch.stack(features), true))


def table(everyday: Everyday, things: Sequence[Thing], evidence: Mapping[Key, Evidence]) -> tuple[Tensor, list[bool]]:
    """The features of every thing asked for and whether it is there, of the pictures evidence is given of."""
    by_picture = dict[Key, list[tuple[str, bool]]]()
    for key, noun, there in things:
        if key in evidence:
            by_picture.setdefault(key, []).append((noun, there))
    rows = [everyday.witness.features(evidence[key], [n for n, _ in some]) for key, some in by_picture.items()]
    return torch.cat(rows), [there for some in by_picture.values() for _, there in some]


def regression(rows: Tensor, truth: Sequence[bool]) -> tuple[tuple[float, ...], float]:
    """Weights and intercept of a logistic regression over rows (N, F), both sides weighing the same."""
    model = LogisticRegression(C=1.0, max_iter=2000, class_weight="balanced").fit(rows.numpy(), np.array(truth))
    return tuple(float(w) for w in model.coef_[0]), float(model.intercept_[0])
