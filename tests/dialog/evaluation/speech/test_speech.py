"""`rapport evaluate speech`: kinds of mixtures, and figures that mean what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dialog.corpora.mixtures import Mixture
from dialog.evaluation.speech.speech import evaluate_speech, improvement, oracle_mask
from models import checkpoint
from models.mossformer2 import MossFormer2, MossFormer2Config
from tests.dialog.voices import hum, write_recordings

SMALL = MossFormer2Config(n_filters=8, kernel=32, stride=16, d_model=8, n_blocks=1, d_key=4, chunk=8, order=3)
VOICES = {("fsdd", "nicolas"): 110.0, ("fsdd", "a"): 170.0, ("emodb", "03"): 230.0, ("emodb", "14"): 300.0}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return checkpoint.save(tmp_path / "model", MossFormer2(SMALL), SMALL)


def test_each_kind_of_mixture_has_its_figure(tmp_path: Path, model: Path) -> None:
    folder = write_recordings(tmp_path / "audio", VOICES)
    result = evaluate_speech([folder], model, count=4)
    assert result["n_by_kind"] == {"across": 4, "emodb": 4, "fsdd": 4, "same": 4}
    metrics, oracle = result["metrics"], result["baselines"]["oracle_mask"]
    three = [metrics[f"si_snr_improvement_{kind}"] for kind in ("across", "emodb", "fsdd")]
    assert metrics["si_snr_improvement"] == pytest.approx(np.mean(three), abs=0.02)
    assert metrics.keys() == oracle.keys()
    assert oracle["si_snr_improvement"] > 6 > metrics["si_snr_improvement"]
    again = evaluate_speech([folder], model, count=4)
    assert again["metrics"] == pytest.approx(metrics, abs=0.011)


def test_one_part_leaves_the_other_voices_out(tmp_path: Path, model: Path) -> None:
    folder = write_recordings(tmp_path / "audio", VOICES)
    result = evaluate_speech([folder], model, part="test", count=2)
    assert result["voices"] == ["emodb/03", "emodb/14", "fsdd/nicolas"]
    assert set(result["n_by_kind"]) == {"across", "emodb", "same"}


@pytest.mark.parametrize(
    ("voices", "part", "said"),
    [
        ({("fsdd", "a"): 100.0}, None, "has 1 voices, expected two"),
        (VOICES, "validation", "has 0 voices for validation, expected two"),
        (VOICES, "dev", "part is 'dev', expected one of train, validation, test"),
    ],
)
def test_too_few_voices_are_refused(
    tmp_path: Path, model: Path, voices: dict[tuple[str, str], float], part: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate_speech([write_recordings(tmp_path / "audio", voices)], model, part=part)


def test_sources_given_back_swapped_and_louder_are_a_great_improvement() -> None:
    mixture = Mixture((("x", "a"), ("x", "b")), np.stack([hum(110, 1.0), hum(173, 1.0)]))
    assert improvement(mixture, 3 * mixture.sources[::-1].copy()) > 60
    assert improvement(mixture, np.stack([mixture.mixed] * 2)) == pytest.approx(0, abs=1e-3)
    assert 3 < improvement(mixture, oracle_mask(mixture)) < 40
