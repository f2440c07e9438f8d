"""What forecasts, alarms and remaining lives are worth: the figures, arrays in and numbers out."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from dialog.telemetry.series import Floats

Flags = NDArray[np.bool_]


def rmse(said: Floats, truth: Floats) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((said - truth) ** 2)))


def phm08(said: Floats, truth: Floats) -> float:
    """sum(exp(-e / 13) - 1 if e < 0 else exp(e / 10) - 1), e = said - truth: late is worse   (Saxena et al. 2008)."""
    e = np.clip(said - truth, -1300.0, 1000.0)  # past e^100 a figure tells nothing more
    return float(np.where(e < 0, np.expm1(-e / 13.0), np.expm1(e / 10.0)).sum())


def concordance(said: Floats, left: Floats, failed: Flags) -> float:
    """The share of pairs, one known to fail before the other, that are told in that order; ties count half.

    Harrell's C with censoring; NaN where no pair can be compared.
    """
    earlier = failed[:, None] & (left[:, None] < left[None])
    if not earlier.any():
        return float("nan")
    right = (said[:, None] < said[None]) + 0.5 * (said[:, None] == said[None])
    return float(right[earlier].mean())


def alarm_level(scores: Floats, m: int, n: int) -> Floats:
    """(T,) the threshold below which m of the last n scores stand at each step: the m-th largest of them."""
    padded = np.concatenate([np.full(n - 1, -np.inf), scores])
    return np.sort(sliding_window_view(padded, n), axis=1)[:, n - m]


def best_threshold(levels: Floats, failed: Flags) -> tuple[float, float]:
    """(threshold, F1) of units' highest levels: the best F1, and of equals the one with most room around it."""
    ranked = np.unique(levels[np.isfinite(levels)])
    if not len(ranked):
        return 1.0, 0.0
    middles = np.concatenate([[ranked[0] * 0.5], (ranked[1:] + ranked[:-1]) / 2, [ranked[-1] * 1.1]])
    f1 = [unit_f1(levels > t, failed)["f1"] for t in middles]
    best = max(range(len(middles)), key=lambda i: (f1[i], i))
    return float(middles[best]), f1[best]


def unit_f1(alarmed: Flags, failed: Flags) -> dict[str, float]:
    """Precision, recall and F1 of units: an alarm before the failure is a hit, one of a unit that lived is false."""
    hits = int((alarmed & failed).sum())
    precision, recall = hits / max(1, int(alarmed.sum())), hits / max(1, int(failed.sum()))
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
    }


def pr_area(levels: Floats, failed: Flags) -> float:
    """The area under precision and recall of units; NaN without both kinds."""
    if failed.all() or not failed.any():
        return float("nan")
    return float(average_precision_score(failed, np.nan_to_num(levels, neginf=-1e300)))


def interval_coverage(low: Floats, high: Floats, truth: Floats) -> float:
    """The share of truths within, both ends included."""
    return float(((low <= truth) & (truth <= high)).mean()) if len(truth) else float("nan")


def spread(values: Any) -> dict[str, float]:
    """Mean and standard deviation over seeds."""
    known = np.asarray(values, np.float64)
    return {"mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1 else 0.0}
