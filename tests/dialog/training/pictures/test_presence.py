"""How far each witness is believed: found from pictures whose things are known, and written for a model."""

import gzip
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dialog.evaluation.pictures.presence import asked_things
from dialog.pictures.evidence import FILE, N_CLAIM, N_FEATURES, Presence
from dialog.pictures.match import BANK, TEXTS
from dialog.pictures.names import kinds_of
from dialog.pictures.seqdialn import VisualDialog
from dialog.training.pictures.presence import CACHE, OFTEN, regression, train_presence
from models.tensors import read_note
from tests.dialog.tiny_visual import make_visual, picture

WORDS = ("dog", "man", "running", "ball", "red", "beach", "hat")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise in Flickr8k's and Caltech-101's layout."""
    root = tmp_path_factory.mktemp("data") / "vision"
    photos = [f"p{i}" for i in range(8)]
    captions = [["A dog plays with a ball .", "The dog and the ball ."], ["A man wears a hat .", "A man in a hat ."]]
    rows = [{"image": k, "split": "dev", "captions": captions[i % 2]} for i, k in enumerate(photos)]
    stated = [
        {"image": k, "split": "dev", "statement": f"a {noun} .", "label": label}
        for k in photos
        for noun, label in (("dog", "entailment"), ("man", "contradiction"))
    ]
    labels = [{"image": f"c{i}", "split": "train", "label": ("anchor", "saxophone", "cup")[i % 3]} for i in range(60)]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {
        "flickr8k": {"captions": rows, "statements": stated},
        "caltech101": {"labels": labels},
    }
    for folder, tables in found.items():
        (root / folder).mkdir(parents=True)
        for name, some in tables.items():
            with gzip.open(root / folder / f"{name}.jsonl.gz", "wt") as file:
                file.write("\n".join(json.dumps(row) for row in some))
        with tarfile.open(root / folder / "images-000.tar", "w") as tar:
            for i, key in enumerate(dict.fromkeys(row["image"] for some in tables.values() for row in some)):
                content = io.BytesIO()
                picture(i).save(content, "PNG")
                member = tarfile.TarInfo(f"{key}.png")
                member.size = content.tell()
                content.seek(0)
                tar.addfile(member, content)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    found = make_visual(root, told=WORDS)
    torch.manual_seed(1)
    save_file({"captions": F.normalize(torch.randn(3, 32), dim=-1)}, root / "eyes" / BANK)
    (root / "eyes" / TEXTS).write_text(json.dumps(["a dog", "a man", "a hat"]))
    return found


def test_a_model_gets_its_presence_and_then_answers_from_evidence(data: Path, model: Path) -> None:
    assert VisualDialog.load(model).everyday is None
    scores = train_presence(data, model, start=model)
    assert set(scores) == {"flickr8k", "caltech101"}
    assert all(0 <= score <= 100 for score in scores.values())
    everyday = VisualDialog.load(model).everyday
    assert everyday is not None
    assert len(everyday.presence.weights) == N_FEATURES
    assert len(everyday.presence.claim_weights) == N_CLAIM
    assert len(read_note(model / CACHE)["keys"]) == len(
        {k for t in asked_things(data, "train").values() for k, _, _ in t}
    )


def test_what_was_gathered_is_not_gathered_again(data: Path, model: Path, tmp_path: Path) -> None:
    steps = list[int]()
    for _ in range(2):
        (model / FILE).unlink(missing_ok=True)
        train_presence(data, tmp_path, start=model, report=lambda p: steps.append(p.step))
        first = (tmp_path / FILE).read_text()
    assert steps == list(range(1, len(steps) + 1))
    assert (tmp_path / FILE).read_text() == first


def test_an_older_file_says_how_to_make_it_anew(model: Path, tmp_path: Path) -> None:
    Presence((1.0,) * 8, 0.0, (1.0,) * N_CLAIM, 0.0).save(tmp_path)
    with pytest.raises(ValueError, match=r"8 and 5 weights, expected 16 and 5.*rapport train visual/presence"):
        Presence.load(tmp_path)


@pytest.mark.parametrize("text", ['{"weights": [1', "[]", '{"weights": [1.0]}', '{"weights": ["much"]}'])
def test_a_damaged_file_is_one_line_that_names_it(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=rf"^[^\n]*{FILE} [^\n]*$"):
        Presence.load(tmp_path)


def test_what_comes_often_has_a_shift_of_its_own_and_what_tells_has_the_weight() -> None:
    rng = random.Random(0)
    truth = [rng.random() < 0.5 for _ in range(400)]
    # The first feature tells; of dogs it says too much, always.
    nouns = ["dog" if i % 2 else f"thing{i}" for i in range(400)]
    rows = torch.tensor(
        [
            [2.0 * t + (2.0 if n == "dog" else 0.0) + rng.gauss(0, 1), rng.gauss(0, 1)]
            for t, n in zip(truth, nouns, strict=True)
        ]
    )
    weights, intercept, shifts = regression(rows, truth, nouns)
    assert weights[0] > 5 * abs(weights[1])
    assert set(shifts) == {"dog"}
    assert nouns.count("dog") >= OFTEN
    found = Presence((*weights, *(0.0,) * (N_FEATURES - 2)), intercept, (), 0.0, shifts)
    features = torch.cat([rows, torch.zeros(400, N_FEATURES - 2)], 1)
    right = (found.p(features, nouns) > 0.5) == torch.tensor(truth)
    assert float(right.float().mean()) > 0.8
    assert float(right[1::2].float().mean()) > 0.75  # dogs too, by their shift


def test_a_kind_is_asked_for_beside_the_thing_and_nothing_that_is_there_is_said_not_to_be(data: Path) -> None:
    things = asked_things(data, "train")["caltech101"]
    said = {key: {n for k, n, there in things if k == key and there} for key, _, _ in things}
    assert any(n == "instrument" and there for _, n, there in things)
    for key, noun, there in things:
        assert there or not any(noun in kinds_of(n) for n in said[key])
