"""The VisDial recipe on a hand-made data set in the published layout: both stages run, and it learns."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dialog.corpora import MissingCorpus
from dialog.training.pictures.visdial import VisDialRecipe, train_visdial
from models.seqdialn.model import SeqDialN
from tests.dialog.tiny import make_encoder
from tests.dialog.tiny_visual import make_eyes

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
ANSWERS = ["good", "bad", "happy"]  # what is answered to a red, a green and a blue picture


def write(folder: Path, split: str, n: int, first: int) -> None:
    dialogs, dense = [], []
    for i in range(n):
        colour, number = i % 3, first + i
        Image.new("RGB", (32, 32), list(COLOURS.values())[colour]).save(folder / f"COCO_{split}_{number:012d}.jpg")
        rounds = [
            {"question": q, "answer": colour, "answer_options": [2, 0, 1], "gt_index": [1, 2, 0][colour]}
            for q in (0, 1)
        ]
        dialogs.append({"image_id": number, "caption": "the film", "dialog": rounds})
        relevance = [0.0, 0.0, 0.0]
        relevance[[1, 2, 0][colour]] = 0.8
        key = "relevance" if split == "train" else "gt_relevance"
        dense.append({"image_id": number, "round_id": 2, key: relevance})
    data = {"questions": ["what is it", "why"], "answers": ANSWERS, "dialogs": dialogs}
    (folder / f"visdial_1.0_{split}.json").write_text(json.dumps({"split": split, "version": "1.0", "data": data}))
    name = "train_dense_sample" if split == "train" else "val_dense_annotations"
    (folder / f"visdial_1.0_{name}.json").write_text(json.dumps(dense))


def test_both_stages_train_and_the_published_metrics_come_out(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write(data, "train", 12, 100)
    write(data, "val", 6, 200)
    recipe = VisDialRecipe(
        network={"d_model": 16, "n_heads": 2, "d_answer": 16, "n_fusion_layers": 1, "dropout": 0.0},
        picture_encoder=str(make_eyes(tmp_path / "eyes")),
        text_encoder=str(make_encoder(tmp_path / "text")),
        epochs=20,
        lr=5e-3,
        dense_epochs=2,
    )
    scores = train_visdial(recipe, data, out)
    assert scores["recall_at_1"] > 90
    assert scores["mrr"] > 90
    assert scores["ndcg"] > 90
    assert scores["dense_mean_rank"] < 1.5
    assert {"recall_at_5", "recall_at_10", "dense_ndcg"} <= set(scores)
    SeqDialN.load(out)
    assert sorted(p.name for p in out.iterdir()) == ["config.json", "model.safetensors", "scores.json"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCorpus, match=r"visdial_1\.0_train\.json"):
        train_visdial(VisDialRecipe(), tmp_path, tmp_path / "out")
