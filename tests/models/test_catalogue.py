"""What is shipped, and what a name leads to."""

import json
from pathlib import Path

import pytest

from models import catalogue
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
    (folder / "model.safetensors").write_bytes(b"")
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


def test_what_is_shipped_fits_the_weight_allowance() -> None:
    """48 MB for everything, 14 MB for the emotion models."""
    by_task: dict[str, int] = {}
    for card in shipped():
        by_task[card.task] = by_task.get(card.task, 0) + (card.path / "model.safetensors").stat().st_size
    assert sum(by_task.values()) <= 48e6
    assert by_task.get("emotion", 0) <= 14e6
