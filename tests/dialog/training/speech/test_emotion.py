"""Teaching the head that hears emotions: hums of a pitch an emotion are told apart by voices that were left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from dialog.corpora.recordings import BadRecordings
from dialog.evaluation.speech.emotion import evaluate_voice_emotion
from dialog.speech.voice_emotion import VoiceEmotions
from dialog.training.speech.emotion import Heard, VoiceEmotionRecipe, left_out, train_voice_emotion
from tests.dialog.voices import write_recordings

RECIPE = VoiceEmotionRecipe(n_disguised=1, shrinkages=(0.3,))
PITCHES = {("emodb", "08"): 100.0, ("emodb", "09"): 104.0, ("emodb", "10"): 97.0, ("emodb", "03"): 101.0}


def test_a_run_leaves_a_head_that_is_measured_on_voices_it_did_not_hear(tmp_path: Path) -> None:
    audio = write_recordings(tmp_path / "data" / "audio", PITCHES, takes=6, emotions="WLT")
    scores = train_voice_emotion(RECIPE, tmp_path / "data", tmp_path / "out")
    assert scores["mean_recall"] > 0.6
    told = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert told["voices"] == ["emodb/08", "emodb/09", "emodb/10"]  # not the test voice
    assert len(told["tried"]) == 3
    assert VoiceEmotions.load(tmp_path / "out").head.config.labels == ("anger", "boredom", "sadness")
    found = evaluate_voice_emotion([audio], tmp_path / "out", part="test")
    assert (found["n"], found["voices"]) == (6, ["emodb/03"])
    assert found["metrics"]["mean_recall"] > 0.6
    assert found["baselines"]["commonest"]["mean_recall"] == found["baselines"]["chance"]["mean_recall"] == 0.3333
    low, high = found["intervals"]["mean_recall"]
    assert 0 <= low <= found["metrics"]["mean_recall"] <= high <= 1
    # All voices at once: each is told by what was learned of the others.
    assert evaluate_voice_emotion([audio], tmp_path / "out")["n"] == 24


def test_what_no_emotion_can_be_learned_from_is_refused(tmp_path: Path) -> None:
    audio = write_recordings(tmp_path / "data" / "audio", {("emodb", "08"): 100.0}, emotions="WLT")
    with pytest.raises(BadRecordings, match="two speakers"):
        train_voice_emotion(RECIPE, tmp_path / "data", tmp_path / "out")
    with pytest.raises(ValueError, match="no recordings with an emotion for test"):
        evaluate_voice_emotion([audio], part="test")
    with pytest.raises(ValueError, match="part is 'dev'"):
        evaluate_voice_emotion([audio], part="dev")


def test_no_speaker_is_told_by_what_was_learned_of_him() -> None:
    """A speaker whose labels are turned round is told wrongly, for the others say otherwise."""
    rng = np.random.default_rng(0)
    labels = np.tile(["anger", "joy", "sadness"], 8)
    speakers = np.repeat(["a", "b", "c", "d"], 6)
    inputs = np.eye(3)[np.tile([0, 1, 2], 8)][None] + 0.1 * rng.standard_normal((1, 24, 3))
    turned = labels.copy()
    turned[speakers == "a"] = np.tile(["joy", "sadness", "anger"], 2)
    said = left_out(Heard(inputs, turned, speakers), 0.1)
    told = np.array(["anger", "joy", "sadness"])[said.scores[0].argmax(-1)]
    assert (told[speakers == "a"] != turned[speakers == "a"]).all()
    assert (told[speakers == "b"] == turned[speakers == "b"]).all()
