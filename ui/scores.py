"""Which of a model's many scores are shown, and how."""

from collections.abc import Mapping
from typing import Any

SHOWN = ("weighted_f1", "macro_f1", "micro_f1_without_neutral", "positive_f1", "exact_match", "accuracy", "ece")
"""What papers and people ask for first; a card and `--json` have them all."""


def headline(scores: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(what it was measured on, (metric, figure) pairs). Scores may stand by themselves or under a data set's name."""
    groups = [("", scores), *((name, part) for name, part in scores.items() if isinstance(part, Mapping))]
    found = [(name, [(m, figure(part[m])) for m in SHOWN if _is_number(part.get(m))]) for name, part in groups]
    return [(name, figures) for name, figures in found if figures]


def figure(value: float) -> str:
    """Per cent with one decimal, fractions with three."""
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
