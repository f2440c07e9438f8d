"""The alignment's recipe on hand-made pictures: it learns, goes on after a kill, and keeps tests out."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from dialog.corpora.pictures import held_out, read_table
from dialog.evaluation.pictures.encoder import evaluate_encoder
from dialog.training.loop import CHECKPOINT, Progress
from dialog.training.pictures.eyes import VisionRecipe, train_vision
from dialog.training.pictures.eyes_data import described, word_targets
from models.encoders import text
from models.encoders.image import load_image_encoder
from models.encoders.lite2 import AlignedLite2, Lite2Config
from tests.dialog.picture_collections import COLOURS, make_vision_data

TINY = VisionRecipe(
    network=Lite2Config(picture_size=96, grid=2, d_text=32, d_hidden=16, d_sentence=8, dropout=0.1),
    collections=("flickr8k", "coco_mini", "daquar", "caltech101"),
    mirrored=True,
    epochs=40,
    batch=12,
    lr=5e-3,
    least_pictures=2,
    bank=8,
)
"""Everything the shipped recipe has, in a few seconds."""


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


def test_it_names_the_words_of_a_picture(trained: Path) -> None:
    encoder = load_image_encoder(trained)
    assert isinstance(encoder, AlignedLite2)
    words = encoder.config.words
    assert {*COLOURS, "wall"} <= set(words)
    told = encoder.encode([Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")]).words
    assert told is not None
    red, blue = (told[:, words.index(c)] for c in ("red", "blue"))
    assert red[0] > red[1]
    assert blue[1] > blue[0]


def test_the_folder_says_what_it_is(trained: Path) -> None:
    files = {"config.json", "model.safetensors", "captions.safetensors", "captions.json", "card.md", "scores.json"}
    assert {p.name for p in trained.iterdir()} == files
    assert "caption_recall_at_10" in json.loads((trained / "scores.json").read_text())["validation"]
    assert "non-commercial" in (trained / "card.md").read_text()
    kept = json.loads((trained / "captions.json").read_text())
    assert set(kept) <= {f"a {c} wall" for c in COLOURS} | {f"the wall is {c}" for c in COLOURS}


def test_a_killed_run_ends_as_one_that_was_not(trained: Path, data: Path, tmp_path: Path) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == progress.steps - 3:
            raise Killed

    with pytest.raises(Killed):
        train_vision(TINY, data, tmp_path, seed=1, report=kill)
    train_vision(TINY, data, tmp_path, seed=1)
    assert not (tmp_path / CHECKPOINT).is_file()
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_only_training_pictures_are_learned_from(data: Path) -> None:
    assert set(described(data, "flickr8k")) == {
        r["image"] for r in read_table(data, "flickr8k", "captions") if r["split"] == "train"
    }
    kept = [r["image"] for r in read_table(data, "caltech101", "labels") if r["split"] == "train"]
    assert set(described(data, "caltech101")) == {key for key in kept if not held_out(key)}
    assert set(described(data, "daquar")) == {f"d{i}" for i in range(6) if not held_out(f"d{i}")}


def test_what_is_in_a_room_is_told_by_its_answers_without_the_numbers(data: Path) -> None:
    texts = described(data, "daquar").values()
    assert all(len(some) == 1 and some[0].startswith("a room with chair, table ") for some in texts)
    assert not any(", 2" in some[0] for some in texts)


def test_a_words_target_is_the_share_of_the_captions_that_use_it() -> None:
    texts = [["two red dogs", "The DOG runs"], ["a red cat"], []]
    words, targets = word_targets(texts, at_least=1)
    assert words[0] == "red"
    row = dict(zip(words, targets[0].tolist(), strict=True))
    assert (row["dog"], row["red"], row["two"], row["cat"]) == (1.0, 0.5, 0.5, 0.0)
    assert targets[2].sum() == 0
    assert word_targets(texts, at_least=2)[0] == ["red"]


def test_an_encoder_without_captions_cannot_be_scored_by_them(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    AlignedLite2(Lite2Config(picture_size=32, d_text=5, d_hidden=4)).save(tmp_path)
    with pytest.raises(ValueError, match="not aligned"):
        evaluate_encoder(data, tmp_path)
