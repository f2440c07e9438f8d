"""Voiceprints: unit vectors, whatever the loudness and the length; batches do not mix."""

import pytest
import torch

from models import checkpoint
from models.voiceprint import Voiceprint, VoiceprintConfig


@pytest.fixture(scope="module")
def model() -> Voiceprint:
    torch.manual_seed(0)
    return Voiceprint(VoiceprintConfig(width=16, attention=4, size=8)).eval()


@pytest.mark.parametrize("n", [0, 1, 199, 200, 4001])
def test_a_print_has_length_one_however_long_the_sound(model: Voiceprint, n: int) -> None:
    prints = model(torch.randn(2, n))
    assert prints.shape == (2, 8)
    torch.testing.assert_close(prints.norm(dim=1), torch.ones(2), rtol=1e-4, atol=1e-4)


def test_loudness_does_not_count_and_neighbours_do_not_either(model: Voiceprint) -> None:
    sound = torch.randn(3, 6000) * 0.1
    prints = model(sound)
    torch.testing.assert_close(model(sound * 0.2), prints, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model(sound[1:2]), prints[1:2], rtol=1e-3, atol=1e-3)


def test_gradients_reach_every_parameter() -> None:
    model = Voiceprint(VoiceprintConfig(width=16, attention=4, size=8))
    (model(torch.randn(4, 3000)) * torch.randn(4, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_it_comes_back_from_its_folder(model: Voiceprint, tmp_path) -> None:  # type: ignore[no-untyped-def]
    checkpoint.save(tmp_path, model, model.config)
    again = checkpoint.load(tmp_path, Voiceprint, VoiceprintConfig, device="cpu")
    sound = torch.randn(1, 5000)
    torch.testing.assert_close(again(sound), model(sound), rtol=1e-4, atol=1e-4)


def test_bad_shapes_are_said(model: Voiceprint) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, n\)"):
        model(torch.randn(5))
    with pytest.raises(ValueError, match="must be positive"):
        VoiceprintConfig(width=0)
    with pytest.raises(ValueError, match="7,600"):
        VoiceprintConfig(rate=4000)
