"""What is shipped, and what a name leads to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models import catalogue, tensors
from models.catalogue import UnknownModel, path_of, shipped


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty shelf of weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setattr(catalogue, "WEIGHTS", folder)
    return folder


def put(weights: Path, name: str, *, card: str = "", scores: dict[str, float] | None = None) -> Path:
    folder = weights / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"labels": ["joy", "neutral"]}))
    tensors.write_file(folder / "model.safetensors", {"w": torch.zeros(100)})
    if card:
        (folder / "card.md").write_text(card)
    if scores:
        (folder / "scores.json").write_text(json.dumps(scores))
    return folder


def test_every_model_on_the_shelf_is_listed_with_its_card(weights: Path) -> None:
    put(weights, "emotion/b", card="# B\n\nFeels\nthings.\n\nMore.\n", scores={"weighted_f1": 61.5})
    put(weights, "correction/a")
    (weights / "emotion" / "unfinished").mkdir()
    first, second = shipped()
    assert (first.name, first.task, first.summary, first.scores) == ("correction/a", "correction", "", {})
    assert (second.name, second.task, second.labels) == ("emotion/b", "emotion", ("joy", "neutral"))
    assert second.summary == "Feels things."
    assert second.scores == {"weighted_f1": 61.5}
    assert second.text.startswith("# B")
    assert second.path == weights / "emotion" / "b"


def test_a_name_leads_to_the_shelf_and_a_path_to_its_folder(weights: Path, tmp_path: Path) -> None:
    put(weights, "emotion/b")
    own = put(tmp_path, "mine")
    assert path_of("emotion/b") == (weights / "emotion" / "b").resolve()
    assert path_of(str(own)) == own.resolve()


def test_an_unknown_name_is_told_which_there_are(weights: Path) -> None:
    with pytest.raises(UnknownModel, match="one of none shipped"):
        path_of("emotion/b")
    put(weights, "emotion/b")
    with pytest.raises(UnknownModel, match="no model 'emotion/c': expected one of emotion/b"):
        path_of("emotion/c")


def test_a_config_without_weights_is_no_model(weights: Path) -> None:
    (put(weights, "emotion/b") / "model.safetensors").unlink()
    with pytest.raises(UnknownModel, match=r"no model\.safetensors"):
        path_of("emotion/b")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("model.safetensors", cut, "model.safetensors is cut off or damaged"),
        ("model.safetensors", lambda path: path.write_bytes(b""), "model.safetensors is cut off or damaged"),
        ("model.safetensors", Path.unlink, "model.safetensors is missing"),
        ("config.json", cut, "config.json is not JSON"),
        ("config.json", lambda path: path.write_bytes(b"\xff"), "config.json is not JSON"),
    ],
)
def test_a_damaged_model_is_listed_with_one_line_that_says_so(
    weights: Path, file: str, damage: Callable[[Path], Any], said: str
) -> None:
    put(weights, "emotion/a")
    damage(put(weights, "emotion/b", card="# B\n\nFeels.") / file)
    whole, damaged = shipped()
    assert whole.fault == ""
    assert said in damaged.fault
    assert "install rapport again" in damaged.fault
    assert "\n" not in damaged.fault
    assert damaged.summary == "Feels."


def test_a_path_that_is_no_models_folder_is_named_for_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"that folder has no config\.json"):
        path_of(str(tmp_path))
    (tmp_path / "a.txt").touch()
    with pytest.raises(UnknownModel, match="that is a file"):
        path_of(str(tmp_path / "a.txt"))


def test_what_is_shipped_is_whole() -> None:
    assert [card.fault for card in shipped() if card.fault] == []


def test_what_is_shipped_fits_the_weight_allowance() -> None:
    """80 MB for everything with a card, 20 MB for the emotion models."""
    by_task: dict[str, int] = {}
    for card in shipped():
        by_task[card.task] = by_task.get(card.task, 0) + (card.path / "model.safetensors").stat().st_size
    assert sum(by_task.values()) <= 80e6
    assert by_task.get("emotion", 0) <= 20e6
