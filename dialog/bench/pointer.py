"""`rapport bench pointer`: pointer networks on the paper's three tasks, ours beside the published figures."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialog.bench.timing import suite
from dialog.training.geometry.pointer import NAMED, PointerRecipe, score, train_pointer
from models.catalogue import CONFIG_FILE
from models.device import Where, choose_device
from models.pointer.model import PointerNetwork

PUBLISHED: dict[tuple[str, int], dict[str, dict[str, float | str]]] = {
    ("hull", 5): {
        "Ptr-Net, trained on 5-50": {"accuracy": 92.0, "area": 99.6},
        "LSTM, trained on 5": {"accuracy": 87.7, "area": 99.6},
    },
    ("hull", 10): {
        "Ptr-Net, trained on 5-50": {"accuracy": 87.0, "area": 99.8},
        "LSTM, trained on 10": {"accuracy": 29.9, "area": "FAIL"},
    },
    ("hull", 50): {
        "Ptr-Net, trained on 5-50": {"accuracy": 69.6, "area": 99.9},
        "Ptr-Net, trained on 50": {"accuracy": 72.6, "area": 99.9},
        "LSTM with attention, trained on 50": {"accuracy": 38.9, "area": 99.7},
        "LSTM, trained on 50": {"accuracy": 1.9, "area": "FAIL"},
    },
    ("delaunay", 5): {"Ptr-Net, trained on 5": {"accuracy": 80.7, "coverage": 93.0}},
    ("tsp", 5): {"Ptr-Net, trained on 5": {"length": 2.12}, "optimal": {"length": 2.12}, "A1": {"length": 2.18}},
    ("tsp", 10): {"Ptr-Net, trained on 10": {"length": 2.88}, "optimal": {"length": 2.87}, "A1": {"length": 3.07}},
}
"""(task, points) -> what Vinyals et al. 2015 report (tables 1 and 2, section 4.3), the row to compare with first."""

STEPS = 600
"""Of every recipe, where no trained models are given: a tenth or so of a recipe, about twenty seconds a row."""


def measure(
    *,
    data: Path | None = None,
    recipes: Sequence[str] | None = None,
    steps: int = STEPS,
    n_examples: int = 1000,
    seed: int = 0,
    device: Where = None,
) -> dict[str, Any]:
    """The object of `rapport bench pointer --json`.

    `data` is a folder of models trained by `rapport train pointer/NAME --out DATA/NAME`; those it lacks have no rows.
    Without it every recipe is trained first, for `steps` steps, which is not enough to reach the figures published.
    A row is one number of points: scores of `n_examples` examples that no training drew, seconds of the beam search
    with the drawing, steps and seconds of the training. Its `ratio` is ours to the first published row in accuracy
    (more is better), for tours in length (less is better). Raises ValueError for a folder without any of the models.
    """
    rows, where = list[dict[str, Any]](), choose_device(device)
    with tempfile.TemporaryDirectory() as made:
        for name in NAMED if recipes is None else recipes:
            recipe, last = NAMED[name](), name.rpartition("/")[2]
            folder = Path(made if data is None else data) / last
            if data is None:
                recipe = replace(recipe, steps=steps)
                train_pointer(name, recipe, folder, seed=seed, device=where)
            if (folder / CONFIG_FILE).is_file():
                rows += _rows(name, recipe, folder, n_examples, seed, where)
    if not rows:
        names = ", ".join(name.rpartition("/")[2] for name in NAMED)
        raise ValueError(f"{data} holds none of the folders {names}; expected models of `rapport train pointer/NAME`")
    return suite("pointer", rows, where=where, n_examples=n_examples)


def _rows(
    name: str, recipe: PointerRecipe, folder: Path, n_examples: int, seed: int, where: Where
) -> list[dict[str, Any]]:
    model, trained = PointerNetwork.load(folder, device=where), json.loads((folder / "scores.json").read_text())
    rows = []
    for n in recipe.test_sizes:
        start = time.perf_counter()
        scores = score(model, recipe.task, n, n_examples, recipe.width, seed=seed)
        row: dict[str, Any] = {"name": f"{name}, n = {n}", "n": n, **scores, "seconds": time.perf_counter() - start}
        published = PUBLISHED.get((recipe.task, n))
        if published:
            peer, metric = next(iter(published)), "length" if recipe.task == "tsp" else "accuracy"
            ours, theirs = scores[metric], published[peer][metric]
            row |= {"peer": peer, "published": published}
            if isinstance(ours, float) and isinstance(theirs, float):
                row["ratio"] = ours / theirs
        rows.append(
            row
            | {key: trained[key] for key in ("seed", "steps", "examples")}
            | {"training_seconds": trained["seconds_of_last_sitting"], "beam": recipe.width}
        )
    return rows
