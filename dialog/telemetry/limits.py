"""When a unit counts as failed, said as `current>+20%`, and the failures that follow from it."""

import re
from dataclasses import replace

import numpy as np

from dialog.telemetry.series import Fleet, Series
from models.maintenance.model import Limit

_LIMIT = re.compile(r"(.+?)\s*([<>])\s*([+-]?[0-9.]+(?:[eE][+-]?\d+)?)\s*(%?)")
_FIRST = 10  # samples that a unit's own level is told from


def limit_of(text: str) -> Limit:
    """`power<0.8`, `current>+20%` (of the unit's own level at first). Raises ValueError."""
    match = _LIMIT.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        value = float(match[3])
    except ValueError:
        raise ValueError(f"limit {text!r}: expected CHANNEL>VALUE, CHANNEL<VALUE or CHANNEL>+20%") from None
    relative = bool(match[4])
    return Limit(
        channel=match[1].strip(), value=1 + value / 100 if relative else value, relative=relative, above=match[2] == ">"
    )


def failing_at(fleet: Fleet, limit: Limit) -> Fleet:
    """The fleet with a failure where a unit's channel first is past the limit twice running, unless one is told.

    Raises ValueError for a channel there is not.
    """
    if limit.channel not in fleet.channels:
        raise ValueError(f"limit: no channel {limit.channel!r}; there are {', '.join(fleet.channels)}")
    channel = fleet.channels.index(limit.channel)
    return fleet.of([_failing(one, channel, limit) for one in fleet])


def _failing(one: Series, channel: int, limit: Limit) -> Series:
    values = one.values[:, channel]
    known = np.flatnonzero(np.isfinite(values))
    if one.failure is not None or len(known) < 2:
        return one
    level = float(np.median(values[known[:_FIRST]])) if limit.relative else 1.0
    past = values[known] > limit.value * level if limit.above else values[known] < limit.value * level
    twice = np.flatnonzero(past[1:] & past[:-1])
    if not len(twice):
        return one
    end = int(known[twice[0] + 1])
    return replace(one, times=one.times[: end + 1], values=one.values[: end + 1], failure=float(one.times[end]))
