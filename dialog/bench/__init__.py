"""`rapport bench`: what things cost beside their peers, in one run, on one machine, in the same threads.

A suite is a function without required arguments that returns the object of `rapport bench --json`:
`{"suite", "device", "threads", "rows": [{"name", ..., "ratio"}]}`; the command line adds `command` and `date`. Every
ratio of times is ours to the peer's, so that less is better, unless the row says otherwise.
"""

from collections.abc import Callable
from typing import Any


def _emotion(**options: Any) -> dict[str, Any]:
    from dialog.bench.emotion import measure

    return measure(**options)


def _annotate(**options: Any) -> dict[str, Any]:
    from dialog.bench.annotate import measure

    return measure(**options)


def _mixers(**options: Any) -> dict[str, Any]:
    from dialog.bench.mixers import measure

    return measure(**options)


def _feedforward(**options: Any) -> dict[str, Any]:
    from dialog.bench.feedforward import measure

    return measure(**options)


def _kernels(**options: Any) -> dict[str, Any]:
    from dialog.bench.kernels import measure

    return measure(**options)


def _pointer(**options: Any) -> dict[str, Any]:
    from dialog.bench.pointer import measure

    return measure(**options)


def _reply(**options: Any) -> dict[str, Any]:
    from dialog.bench.reply import measure

    return measure(**options)


def _telemetry(**options: Any) -> dict[str, Any]:
    from dialog.bench.telemetry import measure

    return measure(**options)


def _visual(**options: Any) -> dict[str, Any]:
    from dialog.bench.visual import measure

    return measure(**options)


def _speech(**options: Any) -> dict[str, Any]:
    from dialog.bench.speech import measure

    return measure(**options)


def _correction(**options: Any) -> dict[str, Any]:
    from dialog.bench.correction import measure

    return measure(**options)


def _linearise(**options: Any) -> dict[str, Any]:
    from dialog.bench.linearise import measure

    return measure(**options)


def _claims(**options: Any) -> dict[str, Any]:
    from dialog.bench.claims.suite import measure

    return measure(**options)


def _review(**options: Any) -> dict[str, Any]:
    from dialog.bench.review.suite import measure

    return measure(**options)


def _thinking(**options: Any) -> dict[str, Any]:
    from dialog.bench.thinking import measure

    return measure(**options)


SUITES: dict[str, Callable[..., dict[str, Any]]] = {
    "emotion": _emotion,
    "annotate": _annotate,
    "mixers": _mixers,
    "feedforward": _feedforward,
    "kernels": _kernels,
    "pointer": _pointer,
    "reply": _reply,
    "telemetry": _telemetry,
    "visual": _visual,
    "speech": _speech,
    "correction": _correction,
    "linearise": _linearise,
    "review": _review,
    "claims": _claims,
    "thinking": _thinking,
}
"""By name. What a suite needs is imported when it runs."""

OF_A_MODEL = {"model": "model", "data": "data", "device": "device"}
"""One emotion model's name or folder, a file to read, and where it runs."""

TAKES: dict[str, dict[str, str]] = {
    "emotion": OF_A_MODEL,
    "annotate": OF_A_MODEL,
    "mixers": {
        "mixer": "mixers",
        "length": "lengths",
        "recall": "recall",
        "equal": "equal",
        "decode": "decode",
        "longest": "longest",
        "keep": "keep",
        "repeats": "repeats",
        "device": "device",
    },
    "feedforward": {"repeats": "repeats", "device": "device"},
    "kernels": {"only": "only", "repeats": "repeats", "device": "device", "tune": "tune"},
    "pointer": {"data": "data", "device": "device"},
    "reply": {"model": "model", "repeats": "repeats", "device": "device"},
    "telemetry": {"model": "model", "repeats": "repeats", "device": "device"},
    "visual": {"model": "model", "repeats": "repeats", "device": "device"},
    "speech": {"model": "model", "repeats": "repeats", "device": "device"},
    "correction": {"model": "model", "data": "data", "repeats": "messages", "device": "device"},
    "claims": {"only": "only", "repeats": "repeats", "keep": "keep"},
    "review": {"data": "data", "only": "only", "repeats": "repeats", "keep": "keep"},
    "thinking": {"steps": "steps", "repeats": "repeats"},
    "linearise": {
        "model": "model",
        "data": "data",
        "steps": "steps",
        "only": "only",
        "keep": "keep",
        "repeats": "repeats",
        "device": "device",
    },
}
"""What `rapport bench SUITE` can be told: an option and the suite's argument that it fills."""
