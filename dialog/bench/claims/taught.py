"""Claims of models taught something else than recall: to keep one token of many, to answer as another layer does."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.bench.claims.learned import recycled
from dialog.bench.claims.plain import Claim
from dialog.evaluation.recall import NO_LABEL, fitting, recall_model, start_alike
from models.mixers import build_mixer

PAYLOADS = 16


def kept(seed: int, steps: int = 600, n_test: int = 256) -> dict[str, float]:
    """Per cent right of what the one flagged token of 64 carried, asked at every token from it on: a query that does
    not depend on the token, and a convolution that hears its neighbours alone."""
    return {name: _keeps(name, seed, steps, n_test) for name in ("aaren", "gated_conv")}


def _keeps(name: str, seed: int, steps: int, n_test: int) -> float:
    torch.manual_seed(seed)
    model, random = recall_model(name, 2 * PAYLOADS), torch.Generator().manual_seed(seed)
    for _ in fitting(model, lambda: model.loss(*flagged(32, random)), steps):
        pass
    model.eval()
    inputs, labels = flagged(n_test, torch.Generator().manual_seed(2**31 + seed))
    with torch.no_grad():
        right = model(inputs)[0].argmax(-1) == labels
    return 100 * float(right[labels != NO_LABEL].double().mean())


def flagged(n: int, random: torch.Generator, length: int = 64) -> tuple[Tensor, Tensor]:
    """n texts of random payloads and, of each, what is wanted: nothing before its flagged token, which is its payload
    and `PAYLOADS` more, and that payload from there on."""
    inputs = torch.randint(PAYLOADS, (n, length), generator=random)
    place = torch.randint(length // 2, (n, 1), generator=random)
    payload = inputs.gather(1, place)
    labels = torch.where(torch.arange(length) >= place, payload, NO_LABEL)
    return inputs.scatter(1, place, payload + PAYLOADS), labels


def distilled(seed: int, steps: int = 300, n_test: int = 64) -> dict[str, float]:
    """Squared error to a softmax layer over 256 random tokens 16 wide, per cent of its answers' variance, of layers
    with its projections, whose features, gates, sinks and share of the window are learned from its answers."""
    torch.manual_seed(seed)
    teacher = build_mixer("softmax", d_model=16, n_heads=1, positions="none")
    start_alike(teacher)
    teacher.requires_grad_(False)
    found = {}
    for norm, branches in (("row", "both"), ("none", "both"), ("row", "linear"), ("row", "window")):
        fields: dict[str, Any] = {"branches": branches, "norm": norm, "n_heads": 1, "window": 32}
        name = {"both": f"both, norm {norm}", "linear": "gated alone", "window": "window alone"}[branches]
        found[name] = _distilled(teacher, fields, seed, steps, n_test)
    return found


def _distilled(teacher: Any, fields: Mapping[str, Any], seed: int, steps: int, n_test: int) -> float:
    torch.manual_seed(seed)
    student: Any = build_mixer("lizard", d_model=16, **fields)
    random = torch.Generator().manual_seed(seed)
    projections: Any = [student.query, student.key, student.value, student.out]
    for ours, theirs in zip(projections, [*teacher.project.weight.chunk(3), teacher.out.weight], strict=True):
        ours.weight.data.copy_(theirs)
        ours.requires_grad_(False)

    def error(n: int) -> Tensor:
        x = torch.randn(n, 256, 16, generator=random)
        wanted = teacher(x)[0]
        loss: Tensor = F.mse_loss(student(x)[0], wanted) / wanted.var()
        return loss

    for _ in fitting(student, lambda: error(4), steps, learning_rate=1e-2):
        pass
    with torch.no_grad():
        return 100 * float(error(n_test))


TAUGHT = (
    Claim(
        paper="Recycled attention",
        says="in runs of one query it keeps 90 % of full attention, which the first and last keys do not; where each "
        "query asks for another key it falls",
        measure=recycled,
        holds=lambda f: (
            f["recycled, in runs"] > 0.9 * f["full, in runs"] > f["first and last keys, in runs"]
            and f["recycled, each another"] < 0.9 * f["full, each another"]
        ),
    ),
    Claim(
        paper="Aaren",
        says="a query that does not depend on the token keeps the one that is flagged, however far back",
        measure=kept,
        holds=lambda f: f["aaren"] > 95 and f["gated_conv"] < 50,
    ),
    Claim(
        paper="Lizard",
        says="answers more like the softmax layer it is made of than its gated branch or its window alone",
        measure=distilled,
        holds=lambda f: f["both, norm row"] < min(f["gated alone"], f["window alone"]),
    ),
)
