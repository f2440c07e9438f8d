"""`rapport bench telemetry`: what a sample costs the watcher, beside boosted trees on window statistics."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dialog.bench.timing import side_by_side, suite
from dialog.evaluation.telemetry.lives import BoostedTrees, window_statistics
from dialog.telemetry.baselines import chart, ewma_scores
from dialog.telemetry.series import Series
from dialog.telemetry.watcher import Samples, Watcher
from models.catalogue import TELEMETRY
from models.device import Where

BUDGET_MS = 1.0
"""Of a step."""


def measure(*, model: str = TELEMETRY, repeats: int = 5, device: Where = None) -> dict[str, Any]:
    """The object of `rapport bench telemetry --json`. Seconds and milliseconds are of one sample of one unit.

    A step of one unit, and of 64 units side by side, with forecast, alarm and remaining life, beside boosted trees that
    read the last 30 samples anew and say the life alone; a whole series at once beside the same step by step. `cpu_ms`
    is the processor's time, which a busy machine does not lengthen.
    """
    watcher = Watcher.load(model, device=device)
    rng, n, c = np.random.default_rng(0), 256, len(watcher.channels)
    times = watcher.interval * np.arange(1.0, n + 1)
    values = 100.0 + np.cumsum(rng.normal(0.02, 0.1, (n, c)), 0)
    units = [Series(str(i), times, values + i, float(times[-1])) for i in range(8)]
    trees = BoostedTrees(units, list(range(c)), watcher.cap, near=watcher.cap)
    begun = watcher.feed([Samples(str(i), times, values + i) for i in range(64)])

    def step(k: int) -> Callable[[], Any]:
        next_ = [Samples(told.unit, times[-1:] + watcher.interval, values[-1:], told.state) for told in begun[:k]]
        return lambda: [watcher.feed(next_) for _ in range(20)]

    def forest() -> None:
        for _ in range(20):
            trees.left(units[0], [n - 1])

    def charted() -> None:
        for _ in range(20):
            ewma_scores(window_statistics(units[0], [0], [n - 1]), chart(5))

    def whole() -> None:
        watcher.feed([Samples("whole", times, values)], history=True)

    def stream() -> None:
        state = None
        for i in range(n):
            (told,) = watcher.feed([Samples("stream", times[i : i + 1], values[i : i + 1], state)])
            state = told.state

    one, many, boosted, simple = side_by_side([step(1), step(64), forest, charted], repeats)
    at_once, by_step = side_by_side([whole, stream], 1)
    cpu = [_processor_ms(run) for run in (step(1), step(64))]
    rows = [
        _row("a step of one unit", one / 20, "gradient boosting, life alone", boosted / 20, cpu_ms=cpu[0] / 20),
        _row("a step of one unit", one / 20, "an EWMA chart, alarm alone", simple / 20, cpu_ms=cpu[0] / 20),
        _row("a step of 64 units, each", many / 1280, "gradient boosting", boosted / 20, cpu_ms=cpu[1] / 1280),
        _row("a sample of a whole series", at_once / n, "step by step", by_step / n),
    ]
    return suite(
        "telemetry",
        rows,
        model=model,
        parameters=watcher.model.n_parameters,
        budget_ms=BUDGET_MS,
        state_bytes=len(begun[0].state.to_bytes()),
    )


def _row(name: str, ours: float, peer: str, theirs: float, **more: float) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": ours,
        "milliseconds": 1e3 * ours,
        "peer": peer,
        "peer_seconds": theirs,
        "ratio": ours / theirs,
        **more,
    }


def _processor_ms(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)
