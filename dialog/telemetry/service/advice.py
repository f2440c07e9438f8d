"""What to do about a service in which something was noticed, in two sentences."""

import math

from dialog.telemetry.advice import figure

_NEAR = {
    "latency": "Answers take longer and longer",
    "queue": "Calls wait longer and longer for a model",
    "errors": "More and more answers fail",
    "memory": "The memory of the service grows",
    "disk": "The disk with the data fills",
}
_OTHER = {
    "latency": "Answers take longer than so much work explains",
    "queue": "Calls wait longer for a model than so much work explains",
    "errors": "More answers fail than usual",
    "memory": "The service has more memory than so much work explains",
    "disk": "More lies on the disk with the data than usual",
}
_DO = {
    "latency": "See what the service waits for (disk, network, another process); take work off it, or add replicas.",
    "queue": "Take work off it, or add replicas of the models.",
    "errors": "DATA/logs says what broke.",
    "memory": "Start it anew at a quiet moment, or give it more memory.",
    "disk": "Delete batches and logs, or let them end by themselves with keep.batch_days.",
}


def service_advice(channel: str, left: float | None) -> str:
    """`left` is minutes to the limit where a limit comes near, None where the channel is merely not what it was."""
    if left is None:
        return f"{_OTHER[channel]}. {_DO[channel]}"
    when = "the limit is reached" if left <= 0 else f"at this pace the limit is reached in {_minutes(left)}"
    return f"{_NEAR[channel]}: {when}. {_DO[channel]}"


def _minutes(left: float) -> str:
    if not math.isfinite(left):
        return "some time"
    return f"{figure(left / 60)} hours" if left >= 120 else f"{max(1, round(left))} minutes"
