"""Training the separator, small: it goes on where it was stopped, and learns to tell hums apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dialog.speech.separation import Separator
from dialog.training.loop import Progress
from dialog.training.speech.ablations import ABLATIONS
from dialog.training.speech.disguise import Disguise
from dialog.training.speech.sets import VoiceSets
from dialog.training.speech.voices import Maker, VoicesRecipe, ablated, fourier_start, train_voices
from models.mossformer2 import MossFormer2, MossFormer2Config
from models.mossformer2.si_snr import si_snr
from tests.dialog.voices import hum, write_recordings, write_voices

VOICES = {("fsdd", "a"): 105.0, ("fsdd", "b"): 220.0, ("emodb", "08"): 330.0, ("emodb", "09"): 210.0}
VOICES |= {("emodb", "12"): 120.0, ("fsdd", "nicolas"): 150.0}
SMALL = MossFormer2Config(
    n_filters=64, kernel=64, stride=32, d_model=16, n_blocks=1, d_key=8, chunk=16, order=4, dropout=0.0
)
RECIPE = VoicesRecipe(
    model=SMALL,
    steps=6,
    batch=2,
    seconds=0.5,
    disguise=Disguise(reverberant=0.5, noisy=0.5),
    validate_every=3,
    n_validation=2,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_recordings(tmp_path / "data" / "audio", VOICES)
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_voices(tmp_path / "voices", {f"voice-{n:02d}": 100.0 + 20 * n for n in range(7)})


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    data: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_voices(RECIPE, data, tmp_path / "whole", voices=folder)
    import dialog.training.speech.voices as module

    monkeypatch.setattr(module, "run", _stopping)  # a checkpoint every step, and a stop after the fourth
    with pytest.raises(KeyboardInterrupt):
        train_voices(RECIPE, data, tmp_path / "halves", voices=folder)
    monkeypatch.setattr(module, "run", lambda *args, **kw: _stopping(*args, stop=99, **kw))
    again = train_voices(RECIPE, data, tmp_path / "halves", voices=folder)
    assert again["si_snr_improvement"] == pytest.approx(whole["si_snr_improvement"], abs=0.05)
    steps = [json.loads(line)["step"] for line in (tmp_path / "halves" / "validation.jsonl").read_text().splitlines()]
    assert steps == [3, 6]
    card = (tmp_path / "halves" / "card.md").read_text()
    assert "2 of fsdd" in card
    assert "6 of voices" in card  # the seventh is kept for validation
    assert Separator.load(tmp_path / "halves").separate(np.ones(4000, np.float32), 8000).shape == (2, 4000)


def _stopping(module, new, loss_at, schedule, folder, seed, report=None, stop: int = 4):  # type: ignore[no-untyped-def]
    from dialog.training.loop import run

    def told(progress: Progress) -> None:
        if progress.step == stop:
            raise KeyboardInterrupt

    run(module, new, loss_at, replace(schedule, save_every=1), folder, seed, told)


def test_a_run_begins_where_another_model_ended(data: Path, tmp_path: Path) -> None:
    first = train_voices(replace(RECIPE, steps=30, lr=5e-3), data, tmp_path / "first")
    second = train_voices(replace(RECIPE, steps=1, lr=1e-6), data, tmp_path / "second", start=tmp_path / "first")
    assert second["si_snr_improvement"] == pytest.approx(first["si_snr_improvement"], abs=0.1)


def test_a_batch_is_the_same_whenever_it_is_made(data: Path, folder: Path) -> None:
    sets = VoiceSets.read(data / "audio", folder)
    assert sets.counts() == {"emodb": 1, "fsdd": 2, "voices": 6}
    maker = Maker(RECIPE, sets)
    torch.testing.assert_close(maker.batch(0, 5), maker.batch(0, 5))
    assert maker.batch(0, 5).shape == (2, 2, 4000)
    assert not torch.equal(maker.batch(0, 5), maker.batch(0, 6))


def test_no_test_voice_is_read(data: Path) -> None:
    speakers = {one.voice for one in VoiceSets.read(data / "audio").sounds}
    assert {("fsdd", "a"), ("emodb", "09")} <= speakers
    assert ("fsdd", "nicolas") not in speakers


def test_poor_likenesses_are_drawn_less_often(data: Path, tmp_path: Path) -> None:
    folder = write_voices(tmp_path / "two", {"formant-x": 100.0, "person": 200.0})
    sets, rng = VoiceSets.read(data / "audio", folder), np.random.default_rng(0)
    rare = [sets.draw(rng, "voices")[0].speaker == "formant-x" for _ in range(400)]
    assert 0.1 < np.mean(rare) < 0.3  # one in five


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_ablation_is_a_network_of_about_the_same_size(name: str) -> None:
    whole = sum(p.numel() for p in MossFormer2(ablated("short").model).parameters())
    size = sum(p.numel() for p in MossFormer2(ablated(name).model).parameters())
    assert 0.75 * whole < size < 1.05 * whole


def test_a_fourier_start_gives_the_mixture_back() -> None:
    model = MossFormer2(replace(SMALL, n_filters=2 * SMALL.kernel))
    fourier_start(model)
    sound = torch.from_numpy(hum(140, 0.5))[None]
    with torch.no_grad():
        back = model.decode(model.encode(sound)[:, None], sound.shape[1])[0]
    assert si_snr(back, sound) > 20


def test_two_hums_are_learned_apart(data: Path, tmp_path: Path) -> None:
    still = Disguise(bent=0.0, reverberant=0.0, noisy=0.0)
    recipe = replace(RECIPE, steps=40, lr=5e-3, disguise=still, validate_every=20)
    untrained = train_voices(replace(recipe, steps=1), data, tmp_path / "one")["si_snr_improvement"]
    assert train_voices(recipe, data, tmp_path / "out")["si_snr_improvement"] > untrained + 1
