"""Which of a model's many scores are shown, and how."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SHOWN = (
    "weighted_f1",
    "macro_f1",
    "micro_f1_without_neutral",
    "positive_f1",
    "exact_match",
    "accuracy",
    "hits_at_1_of_100",
    "judged_roc_area",
    "caltech_accuracy",
    "daquar_exact",
    "statements_accuracy",
    "nlvr_accuracy",
    "easyvqa_accuracy",
    "cmapss_fd001_rmse",
    "cmapss_fd001_phm08",
    "ece",
)
"""What papers and people ask for first; a card and `--json` have them all."""

_SPOKEN = {
    "ece": "calibration error",
    "hits_at_1_of_100": "right of 100 replies",
    "judged_roc_area": "judged captions, ROC area",
    "caltech_accuracy": "Caltech-101 accuracy",
    "daquar_exact": "DAQUAR exact match",
    "nlvr_accuracy": "NLVR accuracy",
    "easyvqa_accuracy": "easy-VQA accuracy",
    "cmapss_fd001_rmse": "FD001 RMSE, cycles",
    "cmapss_fd001_phm08": "FD001 PHM08 score",
}

Figures = list[tuple[str, str]]


def headline(scores: Mapping[str, Any]) -> list[tuple[str, Figures]]:
    """(what it was measured on, (metric, figure) pairs): test parts where there are any, else whatever there is.

    Scores may stand by themselves, under a data set's name, or under `test` and that name.
    """
    found = [(path, figures) for path, figures in _groups(scores) if figures and "baselines" not in path]
    on_test = [(path[1:], figures) for path, figures in found if path[:1] == ("test",)]
    return [(", ".join(path) or "test", figures) for path, figures in on_test] or [
        (", ".join(path), figures) for path, figures in found
    ]


def columns(groups: Sequence[tuple[str, Figures]]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The same as a table: metrics, and rows of a name and a figure a metric, empty where there is none."""
    metrics = [m for m in SHOWN if any(m == name for _, figures in groups for name, _ in figures)]
    return metrics, [(name, [dict(figures).get(m, "") for m in metrics]) for name, figures in groups]


def spoken(metric: str) -> str:
    """A metric's name for people."""
    return _SPOKEN.get(metric, metric.replace("_", " ").replace("f1", "F1"))


def figure(value: float) -> str:
    """Per cent with one decimal, fractions with three."""
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"


def _groups(scores: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Figures]]:
    yield path, [(m, figure(scores[m])) for m in SHOWN if _is_number(scores.get(m))]
    for name, part in scores.items():
        if isinstance(part, Mapping):
            yield from _groups(part, (*path, str(name)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
