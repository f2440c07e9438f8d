"""Training an emotion model from hand-made conversations: it learns, resumes, and what it leaves behind can be used."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dialog.corpora import load_corpus
from dialog.emotion.tagger import EmotionTagger
from dialog.training.emotion import joint as training
from dialog.training.emotion import recipes
from dialog.training.emotion.calibration import Labelled, calibrate, choose_bias, score
from dialog.training.emotion.examples import Source
from dialog.training.emotion.joint import EmotionRecipe, train_emotion
from dialog.training.loop import Progress, Schedule
from models.encoders.text import TextEncoder, linear_layers
from tests.dialog.tiny import LAYOUT, chat

RECIPE = EmotionRecipe(
    label_set="meld",
    sources=(Source(corpus="meld"),),
    validation=(Source(corpus="meld", split="validation"),),
    layout=LAYOUT,
    context={"d_model": 16, "n_heads": 2, "window": 4},
    epochs=16.0,
    lr=3e-3,
    lr_new=1e-2,
    rank=4,
    batch_tokens=200,
)


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def _saves_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Schedule", partial(Schedule, save_every=3))


def kill_at(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return report


def test_a_recipe_learns_and_leaves_a_model_that_can_be_used(data: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    trained = train_emotion(RECIPE, data, tmp_path / "out", report=told.append)
    assert told[-1].loss < 0.7 * told[0].loss, "the running mean of the loss"
    assert told[-1].step == told[-1].steps
    assert {f.name for f in trained.folder.iterdir()} == {"config.json", "model.safetensors", "card.md", "scores.json"}
    tagger = EmotionTagger.load(trained.folder)
    held_out = Labelled.of([(c, "meld") for c in load_corpus(data, "meld", "validation")], "meld")
    got = score(tagger, held_out)
    # Weights are stored in half precision; on 25 utterances no score moves for that.
    assert got["weighted_f1"] == pytest.approx(trained.scores["weighted_f1"], abs=0.01)
    assert got["weighted_f1"] > 60
    assert json.loads((trained.folder / "scores.json").read_text())["validation"] == trained.scores
    card = (trained.folder / "card.md").read_text()
    assert "GPL-3.0" in card
    assert "--seed 0" in card


@pytest.mark.parametrize("rank", [2, 0])
def test_a_killed_run_resumes_to_the_very_weights_of_one_that_was_not(data: Path, tmp_path: Path, rank: int) -> None:
    recipe = replace(RECIPE, epochs=2.0, rank=rank)
    for step in (2, 5, 8):
        with pytest.raises(Killed):
            train_emotion(recipe, data, tmp_path / "killed", report=kill_at(step))
    resumed = train_emotion(recipe, data, tmp_path / "killed")
    whole = train_emotion(recipe, data, tmp_path / "whole")
    assert resumed.scores == whole.scores
    got, expected = (load_file(t.folder / "model.safetensors") for t in (resumed, whole))
    assert got.keys() == expected.keys()
    assert any(key.startswith("encoder.") for key in got) == (rank > 0)
    for name, tensor in got.items():
        assert torch.equal(tensor, expected[name]), name


def test_a_kill_while_calibrating_costs_no_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, epochs=0.5)
    whole = train_emotion(recipe, data, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "calibrate", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train_emotion(recipe, data, tmp_path / "killed")
    told: list[Progress] = []
    resumed = train_emotion(recipe, data, tmp_path / "killed", report=told.append)
    assert told == []
    assert resumed.scores == whole.scores


def test_seeds_differ(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=0.5, rank=0)
    weights = [
        load_file(train_emotion(recipe, data, tmp_path / str(s), seed=s).folder / "model.safetensors") for s in (0, 1)
    ]
    assert not torch.equal(weights[0]["context.classify.weight"], weights[1]["context.classify.weight"])


def start_folder(tmp_path: Path, width: int = 6) -> Path:
    """What emotion/encoder leaves: deltas, classifiers, the vectors' scale."""
    tensors = {
        "head.meld.weight": torch.randn(7, 32),
        "head.meld.bias": torch.randn(7),
        "vector_std": torch.tensor(2.0),
    }
    for name, layer in linear_layers(TextEncoder.load().network):
        tensors[f"encoder.{name}.A"] = 0.1 * torch.randn(width, layer.in_features)
        tensors[f"encoder.{name}.B"] = 0.1 * torch.randn(layer.out_features, width)
    save_file(tensors, tmp_path / "encoder.safetensors")
    return tmp_path


def test_training_starts_from_the_shared_encoder_and_its_classifier(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = start_folder(tmp_path)
    given = load_file(start / "encoder.safetensors")
    still = replace(RECIPE, epochs=0.1, lr=0.0, lr_new=0.0)
    monkeypatch.setattr(training, "Schedule", partial(Schedule, weight_decay=0.0))
    got = load_file(train_emotion(still, data, tmp_path / "out", start=start).folder / "model.safetensors")
    torch.testing.assert_close(got["context.classify.weight"].float(), 2 * given["head.meld.weight"], atol=1e-2, rtol=0)
    name = next(key for key in given if key.endswith(".A"))
    assert got[name].shape[0] == RECIPE.rank, "deltas are cut to the recipe's rank"
    torch.testing.assert_close(got[name].float(), given[name][: RECIPE.rank], atol=1e-3, rtol=0)


def test_training_goes_on_from_a_finished_model_or_says_what_it_lacks(data: Path, tmp_path: Path) -> None:
    first = train_emotion(replace(RECIPE, epochs=1.0), data, tmp_path / "first")
    context_only = replace(recipes.context_only(RECIPE), epochs=1.0)
    second = train_emotion(context_only, data, tmp_path / "second", start=first.folder)
    one, two = (load_file(t.folder / "model.safetensors") for t in (first, second))
    for name in one:
        if name.startswith("encoder."):
            assert torch.equal(one[name], two[name]), "an encoder that learns no more has changed"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither"):
        train_emotion(RECIPE, data, tmp_path / "third", start=tmp_path / "empty")


@pytest.mark.parametrize("variant", ["alone", "no-crf", "linear-chain", "no-branches"])
def test_every_variant_trains(data: Path, tmp_path: Path, variant: str) -> None:
    recipe = recipes.alone(RECIPE) if variant == "alone" else recipes.ablated(RECIPE, variant)
    trained = train_emotion(replace(recipe, epochs=0.5), data, tmp_path)
    (c,) = EmotionTagger.load(trained.folder).tag([chat("A: hi", "B: so sad")])
    assert all(u.prediction for u in c.utterances)


def test_calibration_takes_the_temperature_that_makes_the_truth_likeliest(data: Path, tagger: EmotionTagger) -> None:
    held_out = Labelled.of([(c, "meld") for c in load_corpus(data, "meld", "validation")], "meld")
    config, scores = calibrate(tagger, held_out, "weighted_f1")
    chosen = tagger.using(config)

    def surprise(t: EmotionTagger) -> float:
        rows = held_out.predictions(t)
        return -sum(float(torch.tensor(p.probabilities[truth]).clamp(min=1e-9).log()) for p, truth, _ in rows)

    assert surprise(chosen) <= min(surprise(tagger.using(replace(config, temperature=t))) for t in (0.7, 1.0, 1.7, 2.4))
    assert scores["weighted_f1"] == max(scores["posterior_weighted_f1"], scores["viterbi_weighted_f1"])
    assert config.label_bias == ()


def test_a_bias_for_neutral_must_hold_on_conversations_it_was_not_chosen_on(tagger: EmotionTagger) -> None:
    c = chat(*["A: hi"] * 50)
    (tagged,) = tagger.tag([c])
    prediction = tagged.utterances[0].prediction
    assert prediction is not None

    def rows(p_joy: float, truth: list[str]) -> list:
        p = dict.fromkeys(tagger.labels, 0.0) | {"neutral": 1 - p_joy, "joy": p_joy}
        return [(replace(prediction, probabilities=p), t, i // 4) for i, t in enumerate(truth)]

    # Neutral is always a little likelier, and joy always true: a bias against neutral is right everywhere.
    bias = choose_bias(rows(0.45, ["joy"] * 40), tagger.labels, "weighted_f1")
    assert bias[tagger.labels.index("neutral")] < -0.15
    assert sum(b != 0 for b in bias) == 1
    assert choose_bias(rows(0.45, ["neutral"] * 40), tagger.labels, "weighted_f1") == ()
    assert choose_bias(rows(0.45, ["joy"] * 40), ("joy", "fear"), "weighted_f1") == ()


def test_a_student_learns_what_its_teachers_say(data: Path, tmp_path: Path) -> None:
    teacher = train_emotion(replace(RECIPE, epochs=3.0), data, tmp_path / "teacher").folder  # Still unsure.
    alike = []
    for weight in (0.0, 1.0):
        recipe = replace(RECIPE, teacher_weight=weight)
        out = train_emotion(recipe, data, tmp_path / f"student-{weight}", seed=1, teachers=[teacher], name="emotion/x")
        pairs = [EmotionTagger.load(f).tag(load_corpus(data, "meld", "train")) for f in (teacher, out.folder)]
        rows = [[list(u.prediction.probabilities.values()) for c in p for u in c.utterances] for p in pairs]  # type: ignore[union-attr]
        alike.append(float((torch.tensor(rows[0]) - torch.tensor(rows[1])).abs().mean()))
    assert alike[1] < 0.8 * alike[0], "learning from the teacher alone brings it nearer than learning from the labels"
    card = (tmp_path / "student-1.0" / "card.md").read_text()
    assert "# emotion/x" in card
    assert "rapport train emotion/x" in card
    assert "--teacher teacher" in card


def test_a_teacher_of_other_labels_is_refused(data: Path, tmp_path: Path) -> None:
    teacher = train_emotion(replace(RECIPE, epochs=0.2), data, tmp_path / "teacher").folder
    config = teacher / "config.json"
    config.write_text(config.read_text().replace('"anger"', '"rage"'))
    with pytest.raises(ValueError, match=r"rage.*expected anger"):
        train_emotion(RECIPE, data, tmp_path / "out", teachers=[teacher])


def test_a_model_is_trained_on_from_itself_and_may_stay_near(data: Path, tmp_path: Path) -> None:
    first = train_emotion(replace(RECIPE, epochs=2.0), data, tmp_path / "first")
    start = load_file(first.folder / "model.safetensors")
    moved = {}
    for kept in (0.0, 0.75):
        recipe = replace(RECIPE, goes_on=True, kept=kept, epochs=2.0)
        again = train_emotion(recipe, data, tmp_path / f"kept-{kept}", seed=3, start=first.folder)
        assert (again.folder / "card.md").read_text().startswith(f"# emotion/{RECIPE.label_set}\n")
        tensors = load_file(again.folder / "model.safetensors")
        moved[kept] = {name: (tensors[name].float() - start[name].float()) for name in start}
    for name, whole in moved[0.0].items():
        torch.testing.assert_close(moved[0.75][name], whole / 4, atol=4e-3, rtol=0)
    assert any(bool(whole.abs().max() > 0.05) for name, whole in moved[0.0].items() if name.startswith("context."))


def test_a_model_does_not_go_on_from_one_of_other_labels_or_another_shape(data: Path, tmp_path: Path) -> None:
    first = train_emotion(replace(RECIPE, epochs=2.0), data, tmp_path / "first")
    other = replace(RECIPE, goes_on=True, label_set="emorynlp", sources=(), validation=())
    wider = replace(RECIPE, goes_on=True, context={"d_model": 64, "n_heads": 2})
    with pytest.raises(ValueError, match="has labels anger"):
        train_emotion(other, data, tmp_path / "labels", start=first.folder)
    with pytest.raises(ValueError, match="another shape"):
        train_emotion(wider, data, tmp_path / "shape", start=first.folder)
    with pytest.raises(ValueError, match="none"):
        train_emotion(replace(RECIPE, goes_on=True), data, tmp_path / "nothing")
