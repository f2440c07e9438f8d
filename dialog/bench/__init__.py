"""`rapport bench`: what things cost beside their peers, in one run, on one machine, in the same threads.

A suite is a function without required arguments that returns the object of `rapport bench --json`:
`{"suite", "device", "threads", "rows": [{"name", ..., "ratio"}]}`. Every ratio of times is ours to the peer's, so that
less is better, unless the row says otherwise.
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


def _kernels(**options: Any) -> dict[str, Any]:
    from dialog.bench.kernels import measure

    return measure(**options)


SUITES: dict[str, Callable[..., dict[str, Any]]] = {
    "emotion": _emotion,
    "annotate": _annotate,
    "mixers": _mixers,
    "kernels": _kernels,
}
"""By name. What a suite needs is imported when it runs."""

OF_A_MODEL = frozenset({"emotion", "annotate"})
"""The suites that measure one emotion model: they take `model`, its name or folder, and `data`, a file to read."""
