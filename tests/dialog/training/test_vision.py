"""The picture network's recipe on hand-made pictures: it learns, goes on after a kill, and keeps tests out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dialog.corpora.pictures import held_out, read_table
from dialog.evaluation.picture_encoder import evaluate_encoder
from dialog.training.loop import CHECKPOINT, Progress
from dialog.training.vision import VisionRecipe, VisionTraining, train_vision
from dialog.training.vision_data import augment, load_photographs, word_targets
from models import checkpoint
from models.encoders import text
from models.encoders.image import load_image_encoder
from models.encoders.residual_network import ResidualNetwork, ResidualNetworkConfig, normalise
from tests.dialog.picture_collections import COLOURS, make_vision_data

TINY = VisionRecipe(
    network=ResidualNetworkConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), picture_size=64, grid=2, d_text=32),
    steps=40,
    lr=1e-2,
    batch=(("flickr8k", 8), ("caltech101", 8), ("daquar", 2), ("coco_mini", 1), ("easyvqa", 2)),
    sizes=((0.5, 32), (1.0, 48)),
    least_groups=2,
    averaging=0.9,
    save_every=15,
)
"""Everything the shipped recipe has, in a few seconds."""
COLLECTIONS = [name for name, _ in TINY.batch]


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vision_data(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="module")
def trained(data: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:  # as conftest does for a single test
        patch.setattr(text, "built_in_folder", lambda: encoder_folder)
        train_vision(TINY, data, out, seed=1)
    return out


def test_it_learns_which_words_go_with_which_picture(trained: Path, data: Path) -> None:
    result = evaluate_encoder(data, trained)
    assert result["metrics"]["judged_roc_area"] > 0.7  # by a text encoder that was never trained
    assert result["metrics"]["caltech_accuracy"] > 60
    assert result["baselines"]["majority"]["caltech_accuracy"] == 25
    assert 0.2 < result["baselines"]["blind"]["judged_roc_area"] < 0.8


def test_the_folder_says_what_it_is(trained: Path) -> None:
    files = {"config.json", "model.safetensors", "captions.safetensors", "card.md", "scores.json"}
    assert {p.name for p in trained.iterdir()} == files
    assert "caption_recall_at_10" in json.loads((trained / "scores.json").read_text())["validation"]
    assert "non-commercial" in (trained / "card.md").read_text()


def test_region_vectors_are_standardised_over_the_training_pictures(trained: Path, data: Path) -> None:
    encoder = load_image_encoder(trained)
    pixels = load_photographs(data, COLLECTIONS).pixels
    small = F.interpolate(pixels, size=(64, 64), mode="bilinear", antialias=True)
    with torch.inference_mode():
        vectors = encoder(normalise(small)).vectors.flatten(0, 1)
    assert vectors.mean(0).abs().max() < 0.3
    assert vectors.std(0).median() == pytest.approx(1, abs=0.2)


def test_a_killed_run_ends_as_one_that_was_not(trained: Path, data: Path, tmp_path: Path) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == 25:
            raise Killed

    with pytest.raises(Killed):
        train_vision(TINY, data, tmp_path, seed=1, report=kill)
    assert (tmp_path / CHECKPOINT).is_file()
    train_vision(TINY, data, tmp_path, seed=1)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_only_training_pictures_are_learned_from(data: Path) -> None:
    photographs = load_photographs(data, COLLECTIONS)
    kept = [row for row in read_table(data, "caltech101", "labels") if row["split"] == "train"]
    assert [len(part) for part in photographs.parts] == [
        8,
        sum(not held_out(row["image"]) for row in kept),
        sum(not held_out(f"d{i}") for i in range(6)),
        1,
        sum(not held_out(f"e{i}") for i in range(5)),
    ]
    assert photographs.classes == sorted(COLOURS)
    with_label = photographs.label >= 0
    for group, label in zip(photographs.group[with_label], photographs.label[with_label], strict=True):
        assert photographs.texts[group] == [f"a photo of a {photographs.classes[label]}"]


def test_what_is_in_a_room_is_told_by_its_answers_without_the_numbers(data: Path) -> None:
    texts = load_photographs(data, ["daquar"]).texts
    assert all(len(group) == 1 and group[0].startswith("a room with chair, table ") for group in texts)
    assert not any(", 2" in group[0] for group in texts)


def test_a_drawing_is_told_by_what_open_questions_say_of_it(data: Path) -> None:
    texts = load_photographs(data, ["easyvqa"]).texts
    assert sorted(texts) == [["a blue triangle"], ["a red circle"]]


def test_every_picture_is_seen_once_a_round(data: Path) -> None:
    recipe = replace(TINY, batch=(("flickr8k", 4),), least_groups=1)
    photographs = load_photographs(data, ["flickr8k"])
    vectors = [F.normalize(torch.randn(len(group), 32), dim=-1) for group in photographs.texts]
    module = VisionTraining(recipe, photographs, vectors, seed=0)
    first, second, third = (module.rows(step) for step in range(3))
    assert sorted(torch.cat([first, second]).tolist()) == list(range(8))
    assert third.tolist() != first.tolist()


def test_words_are_targets_by_how_often_a_group_says_them() -> None:
    vocabulary, targets = word_targets([["a red dog", "The DOG runs"], ["a red cat"], ["nothing here"]], at_least=2)
    assert vocabulary == ["red"]
    torch.testing.assert_close(targets, torch.tensor([[1.0], [1.0], [0.0]]))
    vocabulary, targets = word_targets([["a red dog", "The DOG runs"]], at_least=1)
    assert dict(zip(vocabulary, targets[0].tolist(), strict=True)) == {"dog": 0.5, "red": 0.25, "runs": 0.25}


def test_augmented_pictures_keep_their_colour_and_differ() -> None:
    torch.manual_seed(0)
    red = torch.zeros(6, 3, 160, 160, dtype=torch.uint8)
    red[:, 0] = 200
    out = augment(red, 40, 0.3)
    assert out.shape == (6, 3, 40, 40)
    assert out.min() >= 0
    assert out.max() <= 255
    assert (out[:, 0] > out[:, 1] + 50).all()
    assert len({round(float(v), 2) for v in out[:, 0].mean((1, 2))}) > 1


def test_an_encoder_without_captions_cannot_be_scored_by_them(data: Path, tmp_path: Path) -> None:
    config = ResidualNetworkConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), picture_size=32, d_text=5)
    checkpoint.save(tmp_path, ResidualNetwork(config), config)
    with pytest.raises(ValueError, match="not aligned"):
        evaluate_encoder(data, tmp_path)
