"""What to do about a unit, and which unit first: plain rules on what the model says, the same wherever it is shown."""

import math
from typing import Literal

from dialog.telemetry.outlook import Outlook

Standing = Literal["failed", "alarm", "soon", "steady", "learning"]
STANDINGS: tuple[Standing, ...] = ("alarm", "soon", "steady", "learning", "failed")
"""The most urgent first: nothing can be done any more about what has failed."""
LIKELY = 0.5


def standing_of(outlook: Outlook | None, *, failed: bool = False) -> Standing:
    """failed; alarm; soon: no alarm, but a failure before the last forecast is likelier than not; steady; learning:
    too few samples to say anything."""
    if failed:
        return "failed"
    if outlook is None or not outlook.ready:
        return "learning"
    return "alarm" if outlook.alarm else "soon" if outlook.risk >= LIKELY else "steady"


def urgency(outlook: Outlook | None, standing: Standing) -> tuple[int, float, float]:
    """Sorts the worst first: by standing, then by the shortest life, then by the score above its threshold."""
    if outlook is None:
        return STANDINGS.index(standing), math.inf, 0.0
    return STANDINGS.index(standing), outlook.left, -outlook.score / (outlook.threshold or 1.0)


CALLED = {"cycle": "cycles"}
"""How a unit of time is called after a number; others as they are."""


def advice_of(outlook: Outlook | None, standing: Standing, unit_of_time: str) -> str:
    """What to do first, in one sentence."""
    if standing == "failed":
        return "It has failed: replace it."
    if outlook is None or standing == "learning":
        return "Nothing yet: keep measuring, its own level is still being learned."
    low = f"{figure(outlook.left_low)} {CALLED.get(unit_of_time, unit_of_time)}"
    if standing == "steady":
        return "Nothing to do." if outlook.beyond else f"Nothing now; look again within {low}."
    if standing == "alarm" and outlook.beyond:
        return "Look at it: it no longer behaves as it did, though no end of its life is in sight."
    if outlook.left_low <= 0 or outlook.left <= 0:
        return "Replace it now: it may fail at any time."
    return f"Replace it within {low}: " + (
        "it no longer behaves as it did." if standing == "alarm" else "it will probably fail soon."
    )


def left_in_words(outlook: Outlook | None, unit_of_time: str) -> str:
    """`120 h (80 to 190)`; `more than 2,000 h` at the longest life the model tells; none of a unit whose own
    level is still being learned."""
    if outlook is None or not outlook.ready:
        return "not known"
    unit_of_time = CALLED.get(unit_of_time, unit_of_time)
    if outlook.beyond:
        return f"more than {figure(min(outlook.left_low, outlook.left))} {unit_of_time}"
    return f"{figure(outlook.left)} {unit_of_time} ({figure(outlook.left_low)} to {figure(outlook.left_high)})"


def figure(value: float) -> str:
    """Three figures at most: `0.25`, `17`, `1,230`."""
    if not math.isfinite(value):
        return "?"
    if abs(value) >= 100:
        return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.0f}"
    return f"{value:.3g}"
