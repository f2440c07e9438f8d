"""What the watch says, in a file beside the figures: whoever answers a request only reads it."""

import contextlib
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

STATE = "watch.state"
"""The name of the file in the folder of metrics."""
_PATIENCE = 18.0  # samples without a word after which the watch is silent


def write(folder: Path, said: Mapping[str, Any]) -> None:
    """In place of what was said before."""
    fresh = folder / f"{STATE}.{os.getpid()}"
    fresh.write_bytes(orjson.dumps(said))
    fresh.replace(folder / STATE)


def forget(folder: Path) -> None:
    """Of a service that has ended."""
    (folder / STATE).unlink(missing_ok=True)


def read(folder: Path | None) -> dict[str, Any] | None:
    """What the watch said last, `state` being "silent" where that is long ago; None where nobody watches."""
    if folder is None:
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said: dict[str, Any] = orjson.loads((folder / STATE).read_bytes())
        said["age_seconds"] = max(0.0, time.time() - said["at"])
        if said["age_seconds"] > _PATIENCE * said["seconds"]:
            said |= {"state": "silent", "advice": []}
        return said
    return None


Gauges = dict[str, tuple[str, str, Mapping[str, float]]]


def gauges(folder: Path | None) -> Gauges:
    """For `metrics.told`; none where nobody watches."""
    said = read(folder)
    if said is None:
        return {}
    shares = {name: value for name, value in said["shares"].items() if value is not None}
    alarms = {one["what"] for one in said["advice"]}
    left = {one["what"]: one["left_minutes"] for one in said["advice"] if one["left_minutes"] is not None}
    return {
        "rapport_watch_share": ("How much of its limit is reached.", "what", shares),
        "rapport_watch_alarm": ("1 where an alarm stands.", "what", {name: float(name in alarms) for name in shares}),
        "rapport_watch_minutes_left": ("Minutes to the limit, where one comes near.", "what", left),
        "rapport_watch_age_seconds": ("Since the watch last said something.", "", {"": said["age_seconds"]}),
        "rapport_watch_busy_share": ("What the watch itself takes of a core.", "", {"": said["busy_share"]}),
    }


def plain(value: float) -> float | None:
    """A number for JSON; None for what is none."""
    return float(value) if math.isfinite(value) else None
