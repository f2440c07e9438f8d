"""Turning points: the messages at which the mood of a conversation changes most, and stays changed for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ui.messages import ShownMessage, mood

MOST = 3
LEAST = 0.7
"""The mean moods before and after differ by this much, of the 2 between surely unhappy and surely happy."""
NEAR = 3
"""Messages to either side of which the mean is taken; of a long conversation a fortieth of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """`message` is the first one in the new mood; `change` is the mean mood after it less that before, -2 to 2."""

    message: ShownMessage
    change: float


def turning_points(messages: Sequence[ShownMessage]) -> list[Turn]:
    """At most MOST of them, in order, no two of them near each other. Messages without a label count for nothing."""
    labelled = [(m, _mood(m)) for m in messages if m.prediction and m.emotion]
    near = max(NEAR, len(labelled) // 40)
    sums = list(accumulate((value for _, value in labelled), initial=0.0))
    found = [
        Turn(message=labelled[i][0], change=(sums[i + near] - 2 * sums[i] + sums[i - near]) / near)
        for i in range(near, len(labelled) - near + 1)
    ]
    taken: list[tuple[int, Turn]] = []
    for place, turn in sorted(enumerate(found), key=lambda pair: -abs(pair[1].change)):
        if abs(turn.change) < LEAST or len(taken) == MOST:
            break
        if all(abs(place - other) >= near for other, _ in taken):
            taken.append((place, turn))
    return [turn for _, turn in sorted(taken, key=lambda pair: pair[0])]


def _mood(message: ShownMessage) -> float:
    if message.correction:
        return mood({message.correction: 1.0})
    return mood(message.prediction.probabilities) if message.prediction else 0.0
