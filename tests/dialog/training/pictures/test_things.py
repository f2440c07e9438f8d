"""What looks for things, taught on hand-made pictures: what they are known to show, that it learns, and goes on."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dialog.evaluation.pictures.presence import NOT_IN_ROOMS
from dialog.pictures.everyday import open_everyday, open_witness
from dialog.pictures.evidence import N_CLAIM, N_FEATURES, THINGS, Presence
from dialog.pictures.match import BANK, TEXTS
from dialog.pictures.names import kinds_of
from dialog.pictures.seqdialn import VisualDialog
from dialog.reading.seeing import see
from dialog.training.loop import CHECKPOINT, Progress
from dialog.training.pictures import things as training
from dialog.training.pictures.things import CACHE, ThingsRecipe, train_things
from dialog.training.pictures.things_data import Shown, common_names, shown, targets
from models.encoders.things import Things, ThingsConfig
from tests.dialog.picture_collections import make_vision_data
from tests.dialog.tiny_visual import make_visual, picture

TINY = ThingsRecipe(
    network=ThingsConfig(d_cell=8, d_whole=8, d_hidden=8, dropout=0.1),
    epochs=15,
    batch=8,
    lr=1e-4,
    lr_new=1e-2,
    least_pictures=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vision_data(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    found = make_visual(root, told=("dog", "wall"), side=96)  # smaller ones look alike to the last stage
    torch.manual_seed(1)
    save_file({"captions": F.normalize(torch.randn(3, 32), dim=-1)}, root / "eyes" / BANK)
    (root / "eyes" / TEXTS).write_text(json.dumps(["a dog", "a man", "a hat"]))
    return found


@pytest.fixture(scope="module")
def trained(data: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train_things(TINY, data, out, start=model, seed=1)
    return out


def test_of_a_caption_every_thing_is_known_and_of_a_class_only_classes(data: Path) -> None:
    by_key = {one.key: one for one in shown(data)}
    assert {collection for collection, _ in by_key} == {"flickr8k", "caltech101", "daquar"}
    wall = by_key["flickr8k", "f0"]
    assert wall.there["wall"] == 0.85  # both captions name it
    assert wall.absent is None
    red = next(one for one in by_key.values() if one.there == {"red": 1.0})
    assert red.absent == {"green", "blue", "yellow"}
    assert not any(("flickr8k", f"f{i}") in by_key for i in range(24) if i // 4 % 3)  # neither dev nor test
    room = next(one for one in by_key.values() if one.key[0] == "daquar")
    assert {"chair", "furniture"} <= set(room.there)
    assert room.absent == set(NOT_IN_ROOMS.split())


def test_nothing_that_is_there_counts_as_absent(data: Path) -> None:
    for one in shown(data):
        assert not any(kinds_of(name) & set(one.there) == {name} for name in one.absent or ())


def test_what_is_not_known_is_left_out() -> None:
    photographs = [
        Shown(("a", "1"), {"dog": 1.0, "animal": 0.4}, None),
        Shown(("a", "2"), {"cat": 1.0}, frozenset(["dog"])),
    ]
    there, known = targets(photographs, ["animal", "cat", "dog"])
    assert there.tolist() == [pytest.approx([0.4, 0, 1]), [0, 1, 0]]
    assert known.tolist() == [[True, True, True], [False, True, True]]
    assert common_names(photographs, 1) == ["cat", "dog"]


def test_it_learns_to_tell_things_apart_and_the_model_takes_it(trained: Path, data: Path, model: Path) -> None:
    things = Things.load(trained / THINGS, device="cpu")
    assert {"red", "green", "blue", "yellow", "wall"} <= set(things.config.names)
    assert not (trained / CHECKPOINT).exists()
    dialog = VisualDialog.load(model)
    photographs = [one for one in shown(data) if set(one.there) <= {"red", "green", "blue", "yellow"}]
    seen = training.photographs_seen(dialog.eyes, data, [p.key for p in photographs], trained / "again", "")  # type: ignore[arg-type]
    colours = ["red", "green", "blue", "yellow"]
    sentences = training.asked_by(dialog.reader, colours)
    for i, one in enumerate(photographs):
        looked = things.look(seen.maps[i : i + 1].float(), seen.named[i : i + 1])
        logits, _ = things.logits(looked, colours, sentences)
        assert colours[int(logits.argmax())] in one.there


def test_a_killed_run_ends_with_the_same_weights(data: Path, model: Path, trained: Path, tmp_path: Path) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == 9 and progress.loss:
            raise KeyboardInterrupt

    steps = list[int]()
    with pytest.raises(KeyboardInterrupt):
        train_things(TINY, data, tmp_path, start=model, seed=1, report=kill)
    assert (tmp_path / CACHE).is_file()
    scores = train_things(TINY, data, tmp_path, start=model, seed=1, report=lambda p: steps.append(p.step))
    assert scores["names"] == len(Things.load(trained / THINGS).config.names)
    ours, theirs = (Things.load(folder / THINGS, device="cpu").state_dict() for folder in (tmp_path, trained))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-2, atol=1e-2)


def test_evidence_holds_what_is_asked_about_and_a_model_without_it_answers_too(trained: Path, model: Path) -> None:
    Presence((0.1,) * N_FEATURES, 0.0, (0.1,) * N_CLAIM, 0.0).save(trained)
    dialog = VisualDialog.load(model)
    eyes, reader, name = dialog.eyes, dialog.reader, dialog.config.picture_encoder
    wide = picture(2, (200, 40))
    regions = see(eyes, [wide])[0]
    assert regions.maps is not None
    assert len(regions.maps) == 4  # tiles
    found = open_everyday(trained, name, eyes, reader, "")  # type: ignore[arg-type]
    without = open_witness(name, eyes, reader, "", trained / "nothing")  # type: ignore[arg-type]
    assert found is not None
    assert without is not None
    evidence = found.witness.evidence(wide, regions)
    assert evidence.cells.shape == (4 * 9, 8)
    assert evidence.whole.shape == (4, 8)
    rows = found.witness.features(evidence, ["wall", "owl"])
    assert rows[0, 12] != 0  # a wall is named in training
    assert rows[1, 13] != 0  # an owl is not
    assert rows[:, 14].tolist() == [1, 0]
    bare = without.evidence(wide, regions)
    assert bare.cells.numel() == 0
    plain = without.features(bare, ["wall", "owl"])
    torch.testing.assert_close(plain[:, :11], rows[:, :11])
    assert not plain[:, 11:].any()
    assert bool(((p := found.sight.p_present(evidence, ["wall", "owl"])) > 0).all() and (p < 1).all())
