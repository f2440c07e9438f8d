"""Recall (MQAR) in the table of the mixers: as the sheet has it, at equal parameters, at equal bytes of state."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from dialog.bench.kept import Kept, Row
from dialog.evaluation.recall import COMPARED, TIERS, WIDTH, recall_model, train_recall
from models.device import Where
from models.mixers import MIXERS
from models.token_model import TokenModel

EQUAL = ("parameters", "state")
"""In what models of different widths may be made equal: in softmax's parameters, or in GLA's state, at the width of 64
that the sheet compares at. GLA's, since a vector would have to be thousands wide to weigh what softmax's state does."""
WIDTHS = range(8, 193, 8)
"""Where the widest still has less state than asked, as with a vector for a state, it is the one taken."""


def check_equal(equal: Sequence[str], recall: Sequence[str]) -> None:
    """ValueError for what cannot be made equal, or where nothing is trained that could be."""
    if not set(equal) <= set(EQUAL):
        raise ValueError(f"models are made equal in {' or '.join(EQUAL)}, not in {', '.join(set(equal) - set(EQUAL))}")
    if equal and not recall:
        raise ValueError(f"models are made equal in {', '.join(equal)} for recall, and no tier of it was asked for")


def recall_rows(tier: str, names: Sequence[str], equal: Sequence[str], device: Where, kept: Kept) -> Iterable[Row]:
    """Recall of each mixer that can be asked, per cent, beside softmax's, at the sheet's width or those of `equal`."""
    asked = dict.fromkeys(["softmax", *(name for name in names if _can_recall(name))])
    for what in equal or ("width",):
        title = f"{{}}, recall at {tier}" + ("" if what == "width" else f", equal {what}")
        for name in asked:
            row = kept.row(title.format(name), partial(_trained, name, tier, what, device))
            yield row | {"ratio": row["recall"] / max(kept[title.format("softmax")]["recall"], 1e-9)}


def _can_recall(name: str) -> bool:
    return name in COMPARED or (MIXERS[name][1].streams and not MIXERS[name][1].takes_ids)


def _trained(name: str, tier: str, what: str, device: Where) -> Row:
    width = WIDTH if what == "width" else equal_width(name, tier, what)
    trained = train_recall(name, TIERS[tier], width=width, device=device)
    return {
        "mixer": COMPARED[name][0] if name in COMPARED else name,
        "variant": name,
        "tier": tier,
        "equal": what,
        "d_model": width,
        "recall": trained.accuracy,
        "by_task": dict(trained.by_task),
        "reached_at_step": trained.reached_at,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "state_floats": _state(tier)(trained.model),
        "parameters": _parameters(trained.model),
        "peer": "softmax",
    }


def equal_width(name: str, tier: str, what: str) -> int:
    """The width at which this mixer's model is nearest to the one that all are to be equal to."""
    weigh: Callable[[TokenModel], int] = _parameters if what == "parameters" else _state(tier)
    n_tokens = max(task.V for task in TIERS[tier].train + TIERS[tier].test)
    target = weigh(recall_model("softmax" if what == "parameters" else "gla", n_tokens))
    found: list[tuple[int, int]] = []
    for width in WIDTHS:
        try:
            size = weigh(recall_model(name, n_tokens, width))
        except ValueError:  # this mixer has no such width
            continue
        found.append((abs(size - target), width))
        if size > target:  # what grows with the width is past it
            break
    return min(found)[1]


def _parameters(model: TokenModel) -> int:
    return sum(p.numel() for p in model.parameters())


def _state(tier: str) -> Callable[[TokenModel], int]:
    longest = max(task.T for task in TIERS[tier].test)
    return lambda model: model.backbone.state_floats(longest)
