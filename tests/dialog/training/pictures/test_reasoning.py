"""Ways of reasoning compared over one fusion: all learn, a stopped run goes on, and the fusion is left alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog.corpora.derived.visual_examples import load_talks
from dialog.evaluation.pictures.validation import predict
from dialog.pictures.bank import Bank
from dialog.pictures.batches import Batcher
from dialog.pictures.seqdialn import TWIN, VisualDialog
from dialog.training.pictures.reasoning import (
    BLIND,
    ROWS,
    WAYS,
    ReasoningRecipe,
    joint,
    means,
    train_reasoning,
    written,
)
from tests.dialog.tiny_collections import make_collections
from tests.dialog.tiny_visual import make_visual

RECIPE = ReasoningRecipe(seeds=2, steps=16, batch_talks=32, cuts=1, pictures=(), ways=("mr", "gru"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collections(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_visual(tmp_path_factory.mktemp("model"), question_reads="previous", learned_nothing=True)


def test_every_way_has_a_row_a_seed_and_a_stopped_run_goes_on(data: Path, model: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    losses = list[float]()

    def stop(progress: Any) -> None:
        losses.append(progress.loss)
        if len(losses) == 3 * RECIPE.steps:
            raise Stopped

    with pytest.raises(Stopped):
        train_reasoning(data, tmp_path, recipe=RECIPE, start=model, report=stop)
    assert losses[RECIPE.steps - 1] < losses[0]
    kept = json.loads((tmp_path / ROWS).read_text())["rows"]
    assert list(kept) == ["mr 0", "gru 0"]
    found = train_reasoning(data, tmp_path, recipe=RECIPE, start=model)
    rows = json.loads((tmp_path / ROWS).read_text())["rows"]
    assert list(rows) == ["mr 0", "gru 0", "mr 1", "gru 1"]
    assert {name: rows[name] for name in kept} == kept
    assert found == means(rows)
    assert found["gru_daquar"] == pytest.approx((rows["gru 0"]["daquar"] + rows["gru 1"]["daquar"]) / 2)
    assert {"mr_chained", "mr_chained_without_history", "mr_written", "mr_statement_sd"} <= found.keys()
    assert not list(tmp_path.rglob("checkpoint*"))


def test_the_blind_twin_has_rows_above_its_own_fusion(data: Path, tmp_path: Path) -> None:
    shape: dict[str, Any] = {"question_reads": "previous", "learned_nothing": True}
    model = make_visual(tmp_path / "seeing", **shape)
    shutil.copytree(make_visual(tmp_path / "twin", blind=True, **shape), model / TWIN)
    recipe = replace(RECIPE, seeds=1, steps=2, ways=("gru",))
    found = train_reasoning(data, tmp_path / "out", recipe=recipe, start=model)
    assert list(json.loads((tmp_path / "out" / ROWS).read_text())["rows"]) == ["gru 0", f"{BLIND} 0"]
    assert {f"{BLIND}_daquar", f"{BLIND}_chained", "gru_daquar"} <= found.keys()
    only = train_reasoning(data, tmp_path / "out", recipe=replace(recipe, twin=False, seeds=0), start=model)
    assert only == found, "rows that are there are kept"


def test_over_the_models_own_joint_vectors_it_says_what_the_model_says(data: Path, model: Path) -> None:
    dialog, bank = VisualDialog.load(model), Bank()
    talks = [t for t in load_talks(data, "validation") if t.chained or t.collection == "daquar"]
    bank.see(data, {(t.collection, t.image) for t in talks}, dialog.eyes)
    bank.read([x for t in talks for r in t.rounds for x in (r.question, r.answer)], dialog.reader)
    some = joint(dialog, Batcher(bank, blind=False), talks)
    with torch.inference_mode():
        z, _ = dialog.network.reason(some.h, some.u, some.mask)
    p = {(id(r.talk), r.round): r.p for r in predict(dialog, bank, talks)}
    for i, talk in enumerate(talks):
        for n, asked in enumerate(talk.rounds):
            mine = dialog.suited(dialog.probabilities(z[i, n][None])[0], asked.question)
            torch.testing.assert_close(mine, p[id(talk), n], rtol=1e-3, atol=1e-4)
    texts = written(dialog.network, z[some.mask], dialog.config.words)
    assert len(texts) == int(some.mask.sum())
    assert {w for text in texts for w in text.split()} <= {*dialog.config.words, "?"}


def test_the_ways_are_the_papers_two_and_three_others() -> None:
    assert WAYS[:2] == ("mr", "ip")
    assert len(set(WAYS)) == 5
