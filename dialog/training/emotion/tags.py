"""The head that says what there is beside a label: fitted at last, on vectors as they will be.

GoEmotions' comments have tags. Chats have labels only, but those rule tags out: what is said in grief is no amusement,
and a plain "bin the bag outside" is no embarrassment. So of chats the head learns what not to say.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialog.labels import TAGS
from dialog.training.emotion.messages import LABELS, Message

_BRIGHT = frozenset(
    ("admiration", "amusement", "approval", "excitement", "gratitude", "joy", "love", "optimism", "pride", "relief")
)
_HARSH = frozenset(("anger", "annoyance", "disapproval", "disgust"))
_LOW = frozenset(("disappointment", "grief", "remorse", "sadness"))
_AFRAID = frozenset(("fear", "nervousness"))
_FELT = (_BRIGHT | _HARSH | _LOW | _AFRAID | {"embarrassment", "surprise"}) - {
    *("approval", "disapproval", "gratitude", "optimism", "remorse"),  # Said politely too, by who feels nothing.
}
RULED_OUT: dict[str, frozenset[str]] = {
    "neutral": _FELT,
    "joy": _HARSH | (_LOW - {"remorse"}) | _AFRAID | {"embarrassment"},
    "sadness": _BRIGHT - {"love", "gratitude"} | {"anger", "disapproval", "disgust"},
    "anger": _BRIGHT,
    "fear": _BRIGHT | {"anger", "disapproval", "disgust", "embarrassment"},
    "disgust": _BRIGHT | {"embarrassment"},
    "surprise": _LOW | {"anger", "annoyance", "disgust", "embarrassment", "fear", "grief"},
}
"""By label, the tags that do not go with it."""
TAG_THRESHOLDS = tuple(round(0.1 + 0.05 * i, 2) for i in range(10))
"""What `fit_tag_threshold` chooses from."""

Vectors = Callable[[Sequence[str]], Tensor]
"""Texts to message vectors (M, D)."""


def ruled_out(message: Message) -> Tensor:
    """Which of TAGS do not go with a message, (27,) bool: those that none of its likelier labels lets stand."""
    if message.emotion is None:
        return torch.zeros(len(TAGS), dtype=torch.bool)
    likely = [label for label, p in zip(LABELS, message.emotion, strict=True) if p >= 0.3]
    out = frozenset.intersection(*(RULED_OUT[label] for label in likely))
    return torch.tensor([tag in out for tag in TAGS])


def fit_tags(
    norm: nn.Module,
    head: nn.Linear,
    vectors: Vectors,
    tagged: Sequence[Message],
    felt: Sequence[Message] = (),
    steps: int = 400,
) -> None:
    """Fits the head anew, in place: on the tags of `tagged`, and on what the labels of `felt` rule out.

    What a teacher says of rare tags is too faint, so none of it is used.
    """
    x = norm(vectors([m.text for m in [*tagged, *felt]])).detach()
    truth = torch.tensor([[float(t in (m.tags or ())) for t in TAGS] for m in tagged])
    known = torch.ones_like(truth)
    if felt:
        truth = torch.cat([truth, truth.new_zeros(len(felt), len(TAGS))])
        known = torch.cat([known, torch.stack([ruled_out(m) for m in felt]).float()])
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.02, weight_decay=0.02)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        each = F.binary_cross_entropy_with_logits(head(x), truth, reduction="none")
        loss = (each * known).sum() / known.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def fit_tag_threshold(
    norm: nn.Module, head: nn.Linear, vectors: Vectors, messages: Sequence[Message]
) -> tuple[float, float]:
    """The threshold of all tags with the best mean F1 over them on tagged messages, and that F1 in per cent."""
    p = head(norm(vectors([m.text for m in messages]))).sigmoid()
    truth = torch.tensor([[t in (m.tags or ()) for t in TAGS] for m in messages])

    def macro(threshold: float) -> float:
        said = p >= threshold
        hits = (said & truth).sum(0)
        return float((200 * hits / (said.sum(0) + truth.sum(0)).clamp(min=1)).mean())

    best = max(TAG_THRESHOLDS, key=macro)
    return best, macro(best)


@torch.no_grad()
def share_ruled_out(
    norm: nn.Module, head: nn.Linear, vectors: Vectors, messages: Sequence[Message], threshold: float
) -> float:
    """Per cent of messages that are given at least one tag that does not go with their label."""
    said = head(norm(vectors([m.text for m in messages]))).sigmoid() >= threshold
    wrong = torch.stack([ruled_out(m) for m in messages])
    return 100 * float((said & wrong).any(-1).float().mean())
