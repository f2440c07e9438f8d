"""Pictures unlike those of training are told by their distance."""

import numpy as np
import pytest
import torch
from PIL import Image

from dialog.pictures.familiarity import Familiarity, is_blank, is_noise


def test_the_distance_is_mahalanobis_where_all_directions_are_kept() -> None:
    torch.manual_seed(0)
    spread = torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.5]))
    kinds = [torch.randn(4000, 4) @ spread, torch.randn(4000, 4) @ spread + torch.tensor([50.0, 0, 0, 0])]
    one = Familiarity.fit(kinds, torch.cat(kinds), share=0.98)
    x = torch.tensor([[3.0, 1.0, 0.0, 0.0], [53.0, 0.0, 0.5, 0.0], [25.0, 0.0, 0.0, 0.0]])
    by_hand = torch.tensor([2.0, 2.0, (25 / 3) ** 2])
    torch.testing.assert_close(one.strangeness(x) * one.limit, by_hand, rtol=0.15, atol=0.1)
    shares = [(one.strangeness(k) <= 1).float().mean().item() for k in kinds]
    assert all(0.97 < s < 0.99 for s in shares)


def test_it_is_small_and_fits_from_few_pictures() -> None:
    torch.manual_seed(0)
    features = torch.randn(60, 300)
    one = Familiarity.fit([features[:40]], features[40:])
    assert one.directions.shape == (300, 20)
    assert float(one.strangeness(torch.randn(10, 300) * 5).min()) > 1


@pytest.mark.parametrize("side", [64, 640, 2000])
def test_a_flat_colour_and_a_gradient_are_blank_and_a_shape_is_not(side: int) -> None:
    flat = Image.new("RGB", (side, side), (200, 80, 90))
    slope = Image.linear_gradient("L").resize((side, side)).convert("RGB")
    drawn = flat.copy()
    drawn.paste((60, 80, 200), (side // 4, side // 4, side // 2, side // 2))
    assert [is_blank(p) for p in (flat, slope, drawn, Image.effect_noise((64, 64), 90))] == [True, True, False, False]


@pytest.mark.parametrize("side", [64, 600])
@pytest.mark.parametrize("kind", ["gaussian", "salt and pepper", "one channel"])
def test_noise_is_known_for_it_at_any_size_and_a_photograph_is_none(kind: str, side: int) -> None:
    rng = np.random.default_rng(side)
    noise = np.full((side, side, 3), 128, dtype=np.uint8)
    if kind == "gaussian":
        noise[:] = np.clip(rng.normal(128, 40, (side, side, 1)), 0, 255)
    elif kind == "salt and pepper":
        dots = rng.random((side, side))
        noise[dots < 0.1], noise[dots > 0.9] = 0, 255
    else:
        noise[..., 1] = rng.integers(0, 256, (side, side))
    assert is_noise(Image.fromarray(noise))
    smooth = Image.fromarray(noise).resize((5, 5)).resize((side, side), Image.Resampling.BICUBIC)
    assert not is_noise(smooth)
    assert not is_noise(Image.new("RGB", (side, side), "red"))
    assert is_noise(Image.new("RGB", (3, side), "red"))
