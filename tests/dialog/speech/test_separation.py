"""Voices apart over a whole recording: lengths, windows, and which voice is which."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from dialog.speech.separation import Separator
from models import checkpoint
from models.catalogue import UnknownModel
from models.mossformer2 import MossFormer2, MossFormer2Config

SMALL = MossFormer2Config(
    n_filters=12, kernel=16, stride=8, d_model=8, n_blocks=1, d_key=6, chunk=4, order=3, rate=8000
)


class Knowing(nn.Module):
    """Tells two tones apart by their pitch and answers in an order that changes from window to window."""

    config = SMALL

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))
        self.calls: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(x.shape[1])
        spectrum = torch.fft.rfft(x)
        low = torch.arange(spectrum.shape[1]) < spectrum.shape[1] // 4  # below 1 kHz
        voices = torch.stack([torch.fft.irfft(spectrum * part, x.shape[1]) for part in (low, ~low)], 1)
        return voices.flip(1) if len(self.calls) % 2 else voices


def _tones(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * 8000)) / 8000
    speaks = (t % 1.5 < 1.0).astype(np.float32)  # both pause, one later than the other
    return np.stack([np.sin(2 * np.pi * 300 * t) * speaks, 0.5 * np.sin(2 * np.pi * 2100 * t)]).astype(np.float32)


def _knowing(**windows: float) -> tuple[Separator, Knowing]:
    model = Knowing()
    return Separator("knowing", model, **windows), model  # type: ignore[arg-type]


def test_a_voice_keeps_its_row_through_a_long_recording() -> None:
    separator, model = _knowing(window_s=1.0, overlap_s=0.5)
    tones = _tones(12.3)
    found = separator.separate(tones.sum(0), 8000)
    assert len(model.calls) > 20
    order = [1, 0] if np.abs(found[0] - tones[0]).mean() > np.abs(found[0] - tones[1]).mean() else [0, 1]
    for row, tone in zip(order, tones, strict=True):
        error = np.square(found[row] - tone).mean() / np.square(tone).mean()
        assert error < 0.05, f"a voice is off by {error:.3f} of its power"


def test_blocks_of_any_size_give_the_same_as_the_whole() -> None:
    sound = _tones(5.0).sum(0)
    whole = _knowing(window_s=1.0, overlap_s=0.5)[0].separate(sound, 8000)
    for size in (313, 8000, 39_999):
        blocks = [sound[i : i + size] for i in range(0, len(sound), size)]
        pieces = np.concatenate(list(_knowing(window_s=1.0, overlap_s=0.5)[0].stream(blocks)), 1)
        np.testing.assert_allclose(pieces, whole, atol=1e-6)


def test_what_is_held_does_not_grow_with_the_recording() -> None:
    separator, model = _knowing(window_s=1.0, overlap_s=0.5)
    sizes = []
    for piece in separator.stream(np.ones(4000, np.float32) * 0.1 for _ in range(120)):
        sizes.append(piece.shape[1])
    assert sum(sizes) == 120 * 4000
    assert max(sizes) <= 8000
    assert max(model.calls) <= 12_000


@pytest.mark.parametrize("n", [0, 1, 5, 100, 8000, 12_001, 39_999])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 11_025])
def test_voices_are_as_long_as_the_recording(n: int, rate: int) -> None:
    torch.manual_seed(0)
    separator = Separator("small", MossFormer2(SMALL).eval(), window_s=1.0, overlap_s=0.5)
    found = separator.separate(np.random.default_rng(0).standard_normal(n).astype(np.float32), rate)
    assert found.shape == (2, n)
    assert np.isfinite(found).all()


def test_voices_are_as_loud_as_in_the_mixture() -> None:
    tones = _tones(3.0)
    for loudness in (1e-3, 1.0, 20.0):
        found = _knowing()[0].separate(tones.sum(0) * np.float32(loudness), 8000)
        ratio = np.sort(np.abs(found).max(1)) / np.sort(np.abs(tones).max(1) * loudness)
        assert (abs(ratio - 1) < 0.1).all()


def test_silence_is_silent() -> None:
    assert not _knowing()[0].separate(np.zeros(50_000, np.float32), 8000).any()


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros((2, 5), np.float32), 8000, r"samples are \(2, 5\), expected one channel"),
        (np.array([0.0, np.nan, np.inf], np.float32), 8000, "2 samples are no finite numbers"),
        (np.zeros(5, np.float32), 0, "a rate of 0"),
    ],
)
def test_what_is_no_recording_is_refused(samples: np.ndarray, rate: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _knowing()[0].separate(samples, rate)


def test_windows_that_cannot_overlap_so_are_refused() -> None:
    for window_s, overlap_s in pairwise((1.0, 0.6, 0.0)):
        with pytest.raises(ValueError, match="cannot overlap"):
            _knowing(window_s=window_s, overlap_s=overlap_s)


def test_a_folder_is_loaded_and_a_name_that_is_none_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    checkpoint.save(tmp_path / "model", MossFormer2(SMALL), SMALL, dtype=torch.float16)
    separator = Separator.load(tmp_path / "model")
    assert (separator.n_speakers, separator.rate) == (2, 8000)
    with pytest.raises(UnknownModel):
        Separator.load("speech/nobody")
