"""The pointer suite: rows beside the published ones, from trained folders or from a short training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dialog.bench import SUITES
from dialog.bench.pointer import PUBLISHED
from dialog.training.geometry import pointer
from dialog.training.geometry.pointer import PointerRecipe
from models.pointer.config import PointerConfig


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(make: Callable[[], PointerRecipe]) -> Callable[[], PointerRecipe]:
        model = PointerConfig(d_model=8)
        return lambda: replace(make(), model=model, steps=2, batch=4, width=2)

    for name, make in list(pointer.NAMED.items()):
        monkeypatch.setitem(pointer.NAMED, name, small(make))


def test_every_recipe_is_trained_where_no_folder_is_given() -> None:
    answer = SUITES["pointer"](steps=1, n_examples=10, recipes=["pointer/hull", "pointer/tsp-5", "pointer/delaunay-5"])
    json.dumps(answer)
    rows = {row["name"]: row for row in answer["rows"]}
    hulls = [f"pointer/hull, n = {n}" for n in (5, 10, 20, 50)]
    assert list(rows) == [*hulls, "pointer/tsp-5, n = 5", "pointer/delaunay-5, n = 5"]
    for row in rows.values():
        assert (row["steps"], row["seed"]) == (1, 0)
        assert row["seconds"] > 0
    assert "published" not in rows["pointer/hull, n = 20"]
    assert rows["pointer/hull, n = 10"]["ratio"] == pytest.approx(rows["pointer/hull, n = 10"]["accuracy"] / 87.0)
    tsp = rows["pointer/tsp-5, n = 5"]
    assert tsp["valid"] == 100
    assert tsp["ratio"] == pytest.approx(tsp["length"] / 2.12)
    assert tsp["published"] == PUBLISHED["tsp", 5]


def test_trained_folders_are_measured_and_those_that_lack_have_no_rows(tmp_path: Path) -> None:
    pointer.train_pointer("pointer/tsp-5", pointer.NAMED["pointer/tsp-5"](), tmp_path / "tsp-5", seed=4)
    (row,) = SUITES["pointer"](data=tmp_path, n_examples=10)["rows"]
    assert (row["name"], row["steps"], row["seed"]) == ("pointer/tsp-5, n = 5", 2, 4)


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds none of the folders hull"):
        SUITES["pointer"](data=tmp_path)
