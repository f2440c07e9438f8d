"""Training the voiceprints, small: hums of other pitches are told apart; error rates are what they are defined as."""

import json
from pathlib import Path

import pytest
import torch

from dialog.training.speech.sets import VoiceSets
from dialog.training.speech.voiceprints import Prototypes, Stretches, VoiceprintRecipe, train_voiceprints
from models import checkpoint
from models.voiceprint import Voiceprint, VoiceprintConfig
from tests.dialog.voices import write_recordings, write_voices

RECIPE = VoiceprintRecipe(
    model=VoiceprintConfig(width=16, attention=4, size=8),
    steps=8,
    n_voices=4,
    seconds=(0.3, 0.5),
    validate_every=4,
    n_validation=12,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    spoken = {("fsdd", "a"): 105.0, ("emodb", "08"): 330.0, ("emodb", "09"): 210.0, ("emodb", "12"): 120.0}
    write_recordings(tmp_path / "data" / "audio", spoken)
    write_voices(tmp_path / "voices", {f"voice-{n:02d}": 100.0 + 25 * n for n in range(6)})
    return tmp_path


def test_a_run_leaves_a_model_and_what_it_is_worth(data: Path) -> None:
    scores = train_voiceprints(RECIPE, data / "data", data / "out", voices=data / "voices")
    assert 0 <= scores["equal_error_rate"] <= 0.7
    steps = [json.loads(line)["step"] for line in (data / "out" / "validation.jsonl").read_text().splitlines()]
    assert steps == [4, 8]
    checkpoint.load(data / "out", Voiceprint, VoiceprintConfig, device="cpu")
    assert json.loads((data / "out" / "scores.json").read_text())["voices"] == {"emodb": 1, "fsdd": 1, "voices": 5}


def test_a_batch_is_the_same_whenever_it_is_made(data: Path) -> None:
    stretches = Stretches(RECIPE, VoiceSets.read(data / "data" / "audio", data / "voices"))
    one = stretches.batch(0, 3)
    assert one.shape[:2] == (4, 3)
    torch.testing.assert_close(one, stretches.batch(0, 3))


def test_prototypes_reward_prints_that_lie_by_their_voice() -> None:
    apart = torch.eye(5)[:, None].expand(5, 3, 5)
    mixed = torch.eye(5).repeat(3, 1).reshape(5, 3, 5)  # neighbours are of other voices
    loss = Prototypes()
    assert loss(apart) < 0.01 < loss(mixed)
