"""Every design on every task, at equal parameters and equal steps: the rows of `rapport bench review`."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dialog.bench.kept import Kept, Row
from dialog.bench.review.parts import DESIGNS, WIDTHS, Design, Reader, n_parameters
from dialog.bench.review.tasks import Emotion, Forecast, Recall, Scores, Task, kuramoto
from dialog.bench.timing import suite
from dialog.evaluation.recall import fitting

EQUAL_TO = (Design(attention=True), 48)
"""The design and width whose number of parameters the others come as near to as their widths let them."""


def measure(
    *,
    data: Path | None = None,
    only: str = "",
    repeats: int = 3,
    keep: Path | None = None,
    tasks: Sequence[Task] | None = None,
) -> dict[str, Any]:
    """The object of `rapport bench review --json`.

    A row a task, design and seed, `repeats` seeds, all designs of a seed before the next: the score on unseen data, the
    width, parameters, steps and seconds; and a row for each of a task's baselines. Recall and the forecasts make their
    own data; emotion reads `<data>/meld`, and is left out where no `data` is given. `only` names the rows wanted by a
    part of their names. `keep` is a file for the rows: those it has are not measured again. On the processor.
    """
    emotion = [] if data is None else [Emotion(data=data)]
    chosen = tasks if tasks is not None else [Recall(), Forecast(), kuramoto(), *emotion]
    # Emotion's too, so that a file may take it later.
    steps = {Emotion.name: Emotion.steps} | {task.name: task.steps for task in chosen}
    kept = Kept(keep, {"suite": "review", "steps": steps, "threads": torch.get_num_threads()})
    rows: list[Row] = []
    for task in chosen:
        for name, score in task.baselines().items():
            if only in f"{task.name}, {name}":
                rows.append(kept.row(f"{task.name}, {name}", partial(_baseline, task, name, score)))
    for seed in range(repeats):
        for task in chosen:
            for design in DESIGNS:
                name = f"{task.name}, {design.name}, seed {seed}"
                if only in name:
                    rows.append(kept.row(name, partial(_row, task, design, seed)))
    return suite("review", rows, clock="processor seconds")


def _baseline(task: Task, name: str, score: Callable[[], Scores]) -> Row:
    return {"task": task.name, "baseline": name, **score()}


def _row(task: Task, design: Design, seed: int) -> Row:
    width = equal_width(task, design)
    start = time.process_time()
    model = trained(task, design, width, seed)
    with torch.no_grad():
        scores = task.scores(model)
    return {
        "task": task.name,
        "design": design.name,
        "cell": design.cell,
        "attention": design.attention,
        "gate": design.gate,
        "apart": design.apart,
        "seed": seed,
        "d_model": width,
        "parameters": n_parameters(model),
        "steps": task.steps,
        "seconds": time.process_time() - start,
        **scores,
    }


def trained(task: Task, design: Design, width: int, seed: int) -> Reader:
    """After all the task's steps."""
    torch.manual_seed(seed)
    model, random = _reader(task, design, width), np.random.default_rng(seed)
    deque(fitting(model, lambda: task.loss(model, random), task.steps, learning_rate=task.learning_rate), maxlen=0)
    return model.eval()


def equal_width(task: Task, design: Design) -> int:
    """The width at which a design has most nearly the parameters of `EQUAL_TO`."""
    target = n_parameters(_reader(task, *EQUAL_TO))

    def above(width: int) -> int:
        return n_parameters(_reader(task, design, width)) - target

    place = bisect_left(WIDTHS, 0, key=above)  # wider is always more
    return min(WIDTHS[max(0, place - 1) : place + 1], key=lambda width: abs(above(width)))


def _reader(task: Task, design: Design, width: int) -> Reader:
    return Reader(design, width, task.embed(width), task.n_out, task.dropout)
