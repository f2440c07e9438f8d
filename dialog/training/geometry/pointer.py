"""Trains pointer networks on points of the plane. Examples are made as they are needed: no data is read."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dialog.geometry.scores import SCORES
from dialog.geometry.tasks import TASKS, TEST_SEEDS, Examples, before_end
from dialog.training.geometry.recipes import POINTERS
from dialog.training.loop import Progress, Schedule, finish, run
from models.device import Where, choose_device, device_of
from models.mixers.softmax import SoftmaxAttentionConfig
from models.pointer.config import PointerConfig
from models.pointer.decoding import beam_search
from models.pointer.model import NO_TARGET, PointerNetwork


@dataclass(frozen=True, kw_only=True, slots=True)
class PointerRecipe:
    """One network: its task, the numbers of points it learns from and is asked about, and for how long it learns."""

    task: str
    """A name of dialog.geometry.tasks.TASKS."""
    sizes: tuple[int, ...]
    """Numbers of points trained on; each step draws one of them."""
    test_sizes: tuple[int, ...]
    model: PointerConfig
    steps: int
    batch: int = 64
    lr: float = 5e-3
    """Of AdamW, as everywhere here, for minutes; the paper runs SGD at rate 1.0, batches of 128, for far longer."""
    width: int = 4
    """Of the beam; the paper does not state its own."""


def hull(steps: int = 6_000, d_model: int = 64) -> PointerRecipe:
    """Hulls of 5 to 10 points, asked about up to 50."""
    return PointerRecipe(
        task="hull",
        sizes=(5, 6, 7, 8, 9, 10),
        test_sizes=(5, 10, 20, 50),
        model=PointerConfig(d_model=d_model),
        steps=steps,
    )


def hull_softmax(steps: int = 6_000) -> PointerRecipe:
    """As `hull`, read by softmax attention that sees both ways."""
    reads = SoftmaxAttentionConfig(d_model=64, causal=False)
    recipe = hull(steps)
    return replace(recipe, model=replace(recipe.model, encoder=(reads, reads)))


def tsp(n: int, steps: int = 4_000) -> PointerRecipe:
    """Shortest tours of n cities."""
    return PointerRecipe(task="tsp", sizes=(n,), test_sizes=(n,), model=PointerConfig(d_model=64), steps=steps)


def delaunay(n: int = 5, steps: int = 5_000) -> PointerRecipe:
    """Delaunay triangulations of n points."""
    return PointerRecipe(task="delaunay", sizes=(n,), test_sizes=(n,), model=PointerConfig(d_model=64), steps=steps)


def delaunay_wide(n: int = 5, steps: int = 20_000) -> PointerRecipe:
    """As `delaunay`, wider, since all triangles still to come have to fit the decoder's state, and longer; batches are
    smaller for the sake of more steps."""
    return replace(delaunay(n, steps), model=PointerConfig(d_model=128), batch=32, lr=4e-3)


NAMED: dict[str, Callable[[], PointerRecipe]] = {
    name: partial(globals()[row.recipe], *row.arguments) for name, row in POINTERS.items()
}
"""The recipes by name."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: its folder, and scores on examples that were neither trained nor tested on."""

    folder: Path
    scores: dict[str, Any]


def train_pointer(
    name: str,
    recipe: PointerRecipe,
    out: Path,
    *,
    seed: int = 0,
    device: Where = None,
    report: Callable[[Progress], None] | None = None,
) -> Trained:
    """Trains a recipe into `out`: config.json, model.safetensors, card.md, scores.json. Resumes a killed run."""
    torch.manual_seed(seed)
    where = choose_device(device)
    model, task = PointerNetwork(recipe.model).to(where), TASKS[recipe.task]

    def examples(step: int) -> Examples:
        n = random.Random(f"{seed}-{step}").choice(recipe.sizes)
        return task.draw(recipe.batch, n, (seed * 1_000_003 + step) % TEST_SEEDS)

    schedule = Schedule(steps=recipe.steps, lr=recipe.lr, lr_new=recipe.lr, weight_decay=0.0, clip=2.0, save_every=500)
    start = time.perf_counter()
    run(
        model.train(),
        list(model.parameters()),
        lambda step: model.loss(*(part.to(where) for part in examples(step))),
        schedule,
        out,
        seed,
        report,
    )
    seconds = time.perf_counter() - start
    model.save(out)
    sizes = sorted({recipe.sizes[0], recipe.sizes[-1]})
    scores = {f"n = {n}": score(model.eval(), recipe.task, n, 500, recipe.width, validation=True) for n in sizes}
    (out / "scores.json").write_text(
        json.dumps(
            {
                "recipe": name,
                "seed": seed,
                "steps": recipe.steps,
                "examples": recipe.steps * recipe.batch,
                "seconds_of_last_sitting": seconds,
                "threads": torch.get_num_threads(),
                "validation": scores,
            },
            indent=2,
        )
        + "\n"
    )
    (out / "card.md").write_text(_card(name, recipe, seed, scores))
    finish(out)
    return Trained(out, scores)


def score(
    model: PointerNetwork,
    task: str,
    n: int,
    n_examples: int,
    width: int,
    *,
    seed: int = 0,
    validation: bool = False,
    chunk: int = 250,
) -> dict[str, float | str]:
    """The task's scores (dialog.geometry.scores) on n_examples of n points that no training draws."""
    own, seed = TASKS[task], TEST_SEEDS * (2 if validation else 1) + 1000 * seed + n
    points, targets = own.draw(n_examples, n, seed)
    found: list[list[int]] = []
    for part in points.to(device_of(model)).split(chunk):
        best = beam_search(model, part, width=width, max_steps=own.longest(n) + 1, constraint=own.constraint)
        found += best.pointers[:, 0].tolist()
    right = [[j for j in row if j != NO_TARGET] for row in targets.tolist()]
    return SCORES[task](points.double().numpy(), [before_end(f) for f in found], [before_end(r) for r in right])


def _card(name: str, recipe: PointerRecipe, seed: int, scores: dict[str, Any]) -> str:
    rows = [
        f"| {size} | {metric} | {value if isinstance(value, str) else f'{value:.2f}'} |"
        for size, row in scores.items()
        for metric, value in row.items()
    ]
    return f"""\
# {name}

A pointer network (Vinyals et al. 2015) for {recipe.task} with {recipe.sizes[0]} to {recipe.sizes[-1]} points.

Trained with `rapport train {name} --seed {seed}` on {recipe.steps * recipe.batch:,} generated examples.

## Scores on validation

| points | metric | value |
|---|---|---|
{chr(10).join(rows)}

## Limits

For points drawn uniformly from the unit square. Made to compare with the paper, not to solve geometry: exact solvers
are quicker and right.
"""
