"""Training the pointer at causes: what it learns from, that it learns, and that what it writes is what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dialog.conversation import Conversation
from dialog.corpora.cause_pairs import targets
from dialog.emotion.causes import CauseFinder
from dialog.emotion.tagger import EmotionTagger
from dialog.metrics import calibration_error
from dialog.training.causes.calibration import calibrated
from dialog.training.causes.reccon import CausesRecipe, held_out, logits, make_examples, tokens_of, train_causes
from models.pointer.causes import CausePointer, CausesConfig
from tests.dialog.evaluation.emotion.test_causes import conversation

SMALL = {"d_model": 8, "d_hidden": 12, "d_token": 6, "d_span": 8, "window": 5}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for corpus in ("reccon", "ecf"):
        folder = tmp_path / "data" / corpus
        folder.mkdir(parents=True)
        for split, sizes in (("train", range(4, 24)), ("validation", (7, 9)), ("test", (8,))):
            lines = []
            for n in sizes:
                c = conversation(n, spans=corpus == "reccon").to_dict() | {"id": f"{split}-{n}"}
                lines.append(json.dumps(c) + "\n")
            (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder.parent


def recipe(**fields: object) -> CausesRecipe:
    return CausesRecipe(**({"pointer": SMALL, "epochs": 6, "seeds": 2, "batch": 4, "lr": 1e-2} | fields))  # type: ignore[arg-type]


def test_two_seeds_are_trained_on_one_encoding_and_the_better_is_kept(
    data: Path, model_folder: Path, tmp_path: Path, finding: EmotionTagger
) -> None:
    out = tmp_path / "out"
    scores = train_causes(recipe(), data, out, seed=3, start=model_folder)
    assert sorted(p.name for p in out.iterdir()) == ["card.md", "config.json", "model.safetensors", "scores.json"]
    told = json.loads((out / "scores.json").read_text())
    assert set(told["held_out"]) == {"3", "4"}
    best = max(told["held_out"], key=lambda one: told["held_out"][one]["positive_f1"])
    assert (told["seed"], scores["seed"]) == (int(best), int(best))
    assert scores["positive_f1"] == told["held_out"][best]["positive_f1"]
    # Every target is caused by itself and the one before: even so few steps find that.
    assert scores["positive_f1"] > 80
    tagger = EmotionTagger.load(model_folder, causes=out)
    assert tagger.causes
    assert tagger.causes.config.encoder == finding.encoder.version
    card = (out / "card.md").read_text()
    assert f"| {best} (kept) |" in card
    assert "RECCON" in card


def test_the_same_seed_gives_the_same_weights_and_a_killed_run_goes_on(
    data: Path, model_folder: Path, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(progress: object) -> None:
        if progress.step == 7:  # type: ignore[attr-defined]
            raise Killed

    one, other = tmp_path / "one", tmp_path / "other"
    train_causes(recipe(seeds=1, epochs=2), data, one, start=model_folder)
    with pytest.raises(Killed):
        train_causes(recipe(seeds=1, epochs=2), data, other, start=model_folder, report=kill)
    train_causes(recipe(seeds=1, epochs=2), data, other, start=model_folder)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_what_is_held_out_is_a_tenth_by_name() -> None:
    kept = [held_out(Conversation(id=f"reccon_dd_{i}", utterances=())) for i in range(2000)]
    assert 150 < sum(kept) < 250


def test_a_span_is_found_among_the_tokens() -> None:
    places = [(0, 2), (3, 7), (8, 11), (11, 12)]
    text = "oh good dog!"
    assert tokens_of("good dog", text, places) == (1, 2)
    assert tokens_of("dog!", text, places) == (2, 3)
    assert tokens_of("o", text, places) == (0, 0)
    assert tokens_of("cat", text, places) is None
    assert tokens_of("oh", text, []) is None


def test_logits_are_of_every_pair_in_the_window_twice(tagger: EmotionTagger) -> None:
    c = conversation(14)
    (example,) = make_examples([c, Conversation(id="bare", utterances=())], tagger)
    torch.manual_seed(0)
    model = CausePointer(CausesConfig(n_emotions=7, d_encoder=32, **SMALL)).eval()  # type: ignore[arg-type]
    pairs, caused, rows, latent, nowhere = logits(model, [example])
    expected = [min(t.place + 1, 5) for t in targets(c)]
    assert len(pairs) == len(caused) == len(rows) == 2 * sum(expected)
    assert np.isfinite(pairs).all()
    assert caused.sum() == rows.sum() == 2 * 2 * len(expected)
    assert len(latent) == len(nowhere) == 2 * len(expected)
    assert example.gold[2].tolist() == [0, 0, 0, 1, 0, 0, 0]  # happiness is joy


def test_calibrated_probabilities_are_right_and_the_threshold_is_the_best() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.6, 1.2, 20_000)
    caused = rng.random(len(p)) < p
    distorted = 3 * np.log(p / (1 - p)) + 2
    rows = caused.astype(float)
    chosen, scores = calibrated(distorted, caused, rows, distorted[:100], caused[:100])
    assert chosen.scale == pytest.approx(1 / 3, abs=0.02)
    assert chosen.shift == pytest.approx(-2 / 3, abs=0.05)
    assert scores["ece"] < 0.015

    def f1(threshold: float) -> float:
        said = p >= threshold
        return 200 * (said & caused).sum() / (said.sum() + caused.sum())

    assert scores["positive_f1"] == pytest.approx(f1(chosen.threshold), abs=0.5)
    assert f1(chosen.threshold) > max(f1(t) for t in np.arange(0.1, 0.9, 0.05)) - 0.3


def test_one_sided_truth_can_be_calibrated_too() -> None:
    x, no = np.linspace(-2, 2, 50), np.zeros(50, dtype=bool)
    chosen, _ = calibrated(x, x > 0, np.ones(50), x, no)
    for number in (chosen.scale, chosen.shift, chosen.latent_scale, chosen.latent_shift):
        assert np.isfinite(number)
    assert (
        calibration_error((1 / (1 + np.exp(-chosen.latent_shift - chosen.latent_scale * x))).tolist(), no.tolist())
        < 0.1
    )


def test_a_trained_model_reads_no_other_encoder(
    data: Path, model_folder: Path, tmp_path: Path, tagger: EmotionTagger
) -> None:
    train_causes(recipe(seeds=1, epochs=1), data, tmp_path / "out", start=model_folder)
    tagger.encoder.version, kept = "another", tagger.encoder.version
    try:
        with pytest.raises(ValueError, match="another"):
            CauseFinder.load(tmp_path / "out", tagger.encoder, tagger.labels)
    finally:
        tagger.encoder.version = kept
