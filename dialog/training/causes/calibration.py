"""What is chosen once a pointer at causes is trained: calibrated probabilities, and from which one a cause is named."""

import numpy as np
from numpy.typing import NDArray

from dialog.emotion.causes import Calibration
from dialog.metrics import calibration_error

THRESHOLDS = np.round(np.arange(0.1, 0.9, 0.01), 2)
SMOOTH = 5
"""A threshold is judged by the mean over this many neighbours: one alone is as good as luck has it."""

Floats = NDArray[np.float64]


def calibrated(
    pairs: Floats, caused: NDArray[np.bool_], rows: Floats, latent: Floats, nowhere: NDArray[np.bool_]
) -> tuple[Calibration, dict[str, float]]:
    """The scales, shifts and thresholds that suit what was held out, and the scores there.

    pairs (P,) are logits, caused (P,) the truth, rows (P,) how many rows of fold 1 each pair is; latent (T,) logits and
    nowhere (T,) the truth of the latent cause.
    """
    scale, shift = _logistic(pairs, caused)
    p = _sigmoid(scale * pairs + shift)
    threshold, f1 = _best(p, caused, rows)
    latent_scale, latent_shift = _logistic(latent, nowhere)
    p_latent = _sigmoid(latent_scale * latent + latent_shift)
    latent_threshold, latent_f1 = _best(p_latent, nowhere, np.ones(len(latent)))
    chosen = Calibration(
        scale=scale,
        shift=shift,
        threshold=threshold,
        latent_scale=latent_scale,
        latent_shift=latent_shift,
        latent_threshold=latent_threshold,
    )
    ece = calibration_error(p.tolist(), caused.tolist())
    return chosen, {"positive_f1": f1, "latent_f1": latent_f1, "ece": ece}


def _logistic(logits: Floats, truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Scale and shift that make the truth likeliest (Platt 1999, without his priors), by Newton's method."""
    x = np.stack([logits, np.ones_like(logits)], 1)
    w = np.array([1.0, 0.0])
    for _ in range(50):
        p = _sigmoid(x @ w)
        # The ridge keeps the step finite where the truth is all one, or the logits separate it.
        curvature = x.T @ (x * (p * (1 - p))[:, None]) + 1e-3 * np.eye(2)
        w -= np.clip(np.linalg.solve(curvature, x.T @ (p - truth) + 1e-3 * (w - [1.0, 0.0])), -1, 1)
    return round(float(max(w[0], 0.0)), 4), round(float(w[1]), 4)


def _best(p: Floats, truth: NDArray[np.bool_], rows: Floats) -> tuple[float, float]:
    """The threshold with the best F1 of positive rows, and that F1 in per cent."""
    said = p >= THRESHOLDS[:, None]
    weight = np.where(truth, rows, 1.0)
    hits = (said & truth) @ weight
    f1 = 200 * hits / np.maximum(1e-9, said @ weight + (truth * weight).sum())
    around = np.pad(f1, SMOOTH // 2, mode="edge")
    smooth = np.convolve(around, np.ones(SMOOTH) / SMOOTH, mode="valid")
    best = int(smooth.argmax())
    return float(THRESHOLDS[best]), float(f1[best])


def _sigmoid(x: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-np.clip(x, -50, 50)))
    return result
