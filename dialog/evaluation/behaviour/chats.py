"""Scores over whole labelled chats, where a message may have two labels that readers would accept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dialog.conversation import Conversation
from dialog.evaluation.behaviour.reading import Answers, Ask, chat_of
from dialog.labels import LABEL_SETS
from dialog.metrics import calibration_error, emotion_scores, interval, mean_interval

EKMAN = LABEL_SETS["ekman"]

EXPLAINED = {
    "own_either_label": "Share of the messages of --data whose label is one of those accepted.",
    "own_macro_f1": "Mean F1 of the seven labels, gold being the answer where it is accepted, else the first label.",
    "feelings_missed": "Share of messages of --data whose first label is a feeling that are called neutral, where "
    "neutral is not accepted.",
    "false_alarms": "Share of messages of --data whose first label is neutral that are called a feeling not accepted.",
    "own_named_right": "Share read rightly of feelings of --data that a word names (`named` true).",
    "own_unnamed_right": "Share read rightly of feelings of --data that no word names (`named` false).",
    "own_refused": "Share of messages of --data that get no label.",
    "own_ece": "Calibration error on --data, 0 to 1, an accepted label counting as right.",
    "own_live_minus_offline": "Points of own_either_label the live mode has more than the offline one.",
    "own_context_helps": "Share of messages of --data right in their chat and wrong alone.",
    "own_context_hurts": "Share of messages of --data wrong in their chat and right alone.",
    "own_live_differs": "Share of messages of --data whose live label is not the one the whole chat ends with.",
}


class Message(NamedTuple):
    """One labelled message of a chat."""

    ask: Ask
    accepted: tuple[str, ...]
    named: bool | None
    group: int
    """Its chat."""


@dataclass(frozen=True, slots=True)
class ChatScores:
    """The metrics, their intervals among them, and whether each message was read rightly."""

    metrics: dict[str, Any]
    right: list[bool]
    labels: list[str | None]


def messages(conversations: Sequence[Conversation]) -> list[Message]:
    """The labelled messages. Labels are `accepted`, or `emotion` alone; ValueError for those that are not Ekman's."""
    found = []
    for group, c in enumerate(conversations):
        chat = chat_of(c)
        for at, u in enumerate(c.utterances):
            accepted = u.extra.get("accepted") or ([u.emotion] if u.emotion else [])
            if not isinstance(accepted, list) or any(label not in EKMAN for label in accepted):
                raise ValueError(f"{c.id}: utterances[{at}]: expected labels out of {', '.join(EKMAN)}, got {accepted}")
            if accepted:
                named = u.extra.get("named")
                found.append(Message(Ask(chat, at), tuple(accepted), named if isinstance(named, bool) else None, group))
    return found


def chat_scores(told: Sequence[Message], answers: Answers) -> ChatScores:
    """Every metric of EXPLAINED that one set of answers has: rates and F1 in per cent, the error as a fraction."""
    said = [answers.said(m.ask) for m in told]
    labels = [s.label for s in said]
    right = [label in m.accepted for m, label in zip(told, labels, strict=True)]
    gold = [label if ok and label else m.accepted[0] for m, label, ok in zip(told, labels, right, strict=True)]
    predicted = [label or "" for label in labels]
    groups = [m.group for m in told]
    answered = [(s.probabilities.get(s.label, 0.0), ok) for s, ok in zip(said, right, strict=True) if s.label]
    metrics: dict[str, Any] = {
        **_share("own_either_label", right, groups),
        "own_macro_f1": emotion_scores(gold, predicted, EKMAN)["macro_f1"],
        "own_macro_f1_95": list(interval(gold, predicted, EKMAN, "macro_f1", groups)),
    }
    for label in EKMAN:
        metrics[f"own_f1_{label}"] = _f1(gold, predicted, label)
    for name, rows in _rates(told, labels, right):
        if rows:
            metrics |= _share(name, [value for value, _ in rows], [group for _, group in rows])
    metrics["own_refused"] = 100 * float(np.mean([label is None for label in labels]))
    if answered:
        metrics["own_ece"] = calibration_error([p for p, _ in answered], [ok for _, ok in answered])
    return ChatScores(metrics, right, labels)


def _rates(
    told: Sequence[Message], labels: Sequence[str | None], right: Sequence[bool]
) -> Iterator[tuple[str, list[tuple[bool, int]]]]:
    """Each rate's name, and what counts in it with its chat."""
    rows = list(zip(told, labels, right, strict=True))
    feelings = [r for r in rows if r[0].accepted[0] != "neutral"]
    yield "feelings_missed", [(label == "neutral" and not ok, m.group) for m, label, ok in feelings]
    yield (
        "false_alarms",
        [(label is not None and not ok, m.group) for m, label, ok in rows if m.accepted[0] == "neutral"],
    )
    for name, named in (("own_named_right", True), ("own_unnamed_right", False)):
        yield name, [(ok, m.group) for m, _, ok in feelings if m.named is named]


def _share(name: str, values: Sequence[bool], groups: Sequence[int]) -> dict[str, Any]:
    """A rate in per cent with its bootstrap interval, chats drawn whole."""
    low, high = mean_interval([100.0 * v for v in values], groups)
    return {name: 100 * float(np.mean(values)), f"{name}_95": [low, high]}


def _f1(gold: Sequence[str], predicted: Sequence[str], label: str) -> float:
    both = sum(g == p == label for g, p in zip(gold, predicted, strict=True))
    either = gold.count(label) + predicted.count(label)
    return 200 * both / either if either else 0.0
