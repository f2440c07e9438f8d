"""Pointer networks are trained by name, the same from the same seed, and learn."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialog.geometry.tasks import TASKS
from dialog.training import RECIPES
from dialog.training.geometry.pointer import NAMED, PointerRecipe, score, train_pointer
from models.pointer.config import PointerConfig
from models.pointer.model import PointerNetwork

SMALL = PointerRecipe(
    task="hull", sizes=(4,), test_sizes=(4,), model=PointerConfig(d_model=16), steps=3, batch=8, width=2
)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_leaves_a_model_a_card_and_scores(task: str, tmp_path: Path) -> None:
    trained = train_pointer("pointer/test", replace(SMALL, task=task), tmp_path, seed=3)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors", "card.md", "scores.json"}
    noted = json.loads((tmp_path / "scores.json").read_text())
    assert (noted["seed"], noted["steps"], noted["examples"]) == (3, 3, 24)
    assert noted["validation"] == trained.scores
    assert "pointer/test" in (tmp_path / "card.md").read_text()
    assert score(PointerNetwork.load(tmp_path), task, 4, 500, 2, validation=True) == trained.scores["n = 4"]


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    weights = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_pointer("pointer/test", SMALL, tmp_path / folder, seed=seed)
        weights.append(PointerNetwork.load(tmp_path / folder).pointer.v.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_tour_of_four_is_learned_in_seconds(tmp_path: Path) -> None:
    recipe = replace(SMALL, task="tsp", steps=150, batch=32, lr=1e-2)
    before = score(PointerNetwork(recipe.model).eval(), "tsp", 4, 300, 1)
    train_pointer("pointer/test", recipe, tmp_path)
    after = score(PointerNetwork.load(tmp_path), "tsp", 4, 300, 1)
    assert before["valid"] == after["valid"] == 100.0
    assert float(after["above"]) < 0.6 * float(before["above"])


@pytest.mark.parametrize("name", NAMED)
def test_every_recipe_trains_a_known_task_and_stands_in_the_table(name: str) -> None:
    recipe = NAMED[name]()
    assert recipe.task in TASKS
    assert not RECIPES[name].reads_data
    assert not RECIPES[name].takes_start
    assert min(recipe.sizes) >= 3


def test_the_variant_changes_the_encoder_alone() -> None:
    plain, other = NAMED["pointer/hull"](), NAMED["pointer/hull-softmax"]()
    assert replace(other, model=replace(other.model, encoder=plain.model.encoder)) == plain
    assert other != plain
