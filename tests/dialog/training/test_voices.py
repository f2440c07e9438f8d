"""Training the separator, small: it goes on where it was stopped, and learns to tell hums apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dialog.speech.separation import Separator
from dialog.training.loop import Progress
from dialog.training.voices import Maker, VoicesRecipe, fourier_start, reverberated, train_voices, voices_of
from models.mossformer2 import MossFormer2, MossFormer2Config
from models.mossformer2.si_snr import si_snr
from tests.dialog.voices import hum, write_recordings

VOICES = {("fsdd", "a"): 105.0, ("fsdd", "b"): 220.0, ("emodb", "08"): 330.0, ("emodb", "09"): 210.0}
VOICES |= {("emodb", "12"): 120.0, ("fsdd", "nicolas"): 150.0}
SMALL = MossFormer2Config(
    n_filters=64, kernel=64, stride=32, d_model=16, n_blocks=1, d_key=8, chunk=16, order=4, dropout=0.0
)
RECIPE = VoicesRecipe(
    model=SMALL, steps=6, batch=2, seconds=0.5, validate_every=3, n_validation=2, reverberant=0.5, noisy=0.5
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_recordings(tmp_path / "data" / "audio", VOICES)
    return tmp_path / "data"


def test_a_stopped_run_goes_on_as_if_it_had_not_been(data: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    whole = train_voices(RECIPE, data, tmp_path / "whole")
    import dialog.training.voices as module

    monkeypatch.setattr(module, "run", _stopping)  # a checkpoint every step, and a stop after the fourth
    with pytest.raises(KeyboardInterrupt):
        train_voices(RECIPE, data, tmp_path / "halves")
    monkeypatch.setattr(module, "run", lambda *args, **kw: _stopping(*args, stop=99, **kw))
    again = train_voices(RECIPE, data, tmp_path / "halves")
    assert again["si_snr_improvement"] == pytest.approx(whole["si_snr_improvement"], abs=0.05)
    steps = [json.loads(line)["step"] for line in (tmp_path / "halves" / "validation.jsonl").read_text().splitlines()]
    assert steps == [3, 6]
    assert "2 of fsdd" in (tmp_path / "halves" / "card.md").read_text()
    assert Separator.load(tmp_path / "halves").separate(np.ones(4000, np.float32), 8000).shape == (2, 4000)


def _stopping(module, new, loss_at, schedule, folder, seed, report=None, stop: int = 4):  # type: ignore[no-untyped-def]
    from dialog.training.loop import run

    def told(progress: Progress) -> None:
        if progress.step == stop:
            raise KeyboardInterrupt

    run(module, new, loss_at, replace(schedule, save_every=1), folder, seed, told)


def test_a_batch_is_the_same_whenever_it_is_made(data: Path) -> None:
    voices, heard = voices_of(data / "audio", "train")
    assert {name: len(ones) for name, ones in voices.items()} == {"emodb": 1, "fsdd": 2}
    maker = Maker(RECIPE, voices, heard)
    torch.testing.assert_close(maker.batch(0, 5), maker.batch(0, 5))
    assert maker.batch(0, 5).shape == (2, 2, 4000)
    assert not torch.equal(maker.batch(0, 5), maker.batch(0, 6))


def test_late_mixtures_are_of_two_voices(data: Path) -> None:
    voices, heard = voices_of(data / "audio", "train")
    maker = Maker(RECIPE, {"fsdd": voices["fsdd"]}, heard)
    rng = np.random.default_rng(0)
    first = voices["fsdd"][0]
    again = [maker._voice(rng, True, but=first) is first for _ in range(200)]
    assert np.mean(again) < 0.35


def test_a_fourier_start_gives_the_mixture_back() -> None:
    model = MossFormer2(replace(SMALL, n_filters=2 * SMALL.kernel))
    fourier_start(model)
    sound = torch.from_numpy(hum(140, 0.5))[None]
    with torch.no_grad():
        back = model.decode(model.encode(sound)[:, None], sound.shape[1])[0]
    assert si_snr(back, sound) > 20


def test_a_room_keeps_what_was_said_and_its_length() -> None:
    sound = hum(140, 0.5)
    echoed = reverberated(np.random.default_rng(0), sound)
    assert echoed.shape == sound.shape
    assert -15 < float(si_snr(torch.from_numpy(echoed), torch.from_numpy(sound))) < 60


def test_two_hums_are_learned_apart(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=40, lr=5e-3, reverberant=0.0, noisy=0.0, validate_every=20)
    untrained = train_voices(replace(recipe, steps=1), data, tmp_path / "one")["si_snr_improvement"]
    assert train_voices(recipe, data, tmp_path / "out")["si_snr_improvement"] > untrained + 1
