"""The gated FSMN: its taps against a loop, and its reach."""

import torch

from models.mixers import build_mixer
from models.mixers.fsmn import Taps


def test_taps_are_a_weighted_sum_of_earlier_and_later_frames() -> None:
    taps = Taps(3, 4, ahead=2, dilation=2).double()
    u = torch.randn(2, 9, 3, dtype=torch.float64)
    y, _ = taps(u, None, taps.initial_state(2))
    for t in range(9):
        expected = torch.zeros(2, 3, dtype=torch.float64)
        for i in range(-2, 4):
            if 0 <= t - 2 * i < 9:
                expected += taps.weight[:, 0, 3 - i] * u[:, t - 2 * i]
        torch.testing.assert_close(y[:, t], expected)


def test_a_token_hears_as_far_back_as_the_docstring_says() -> None:
    mixer = build_mixer("fsmn", d_model=8, order=3, dilations=(1, 2), conv_width=4).double().eval()
    reach = 2 * 1 + 2 * 2 + 3
    x = torch.randn(40, 20, 8, dtype=torch.float64)  # a ReLU may close the longest way in one of them
    changed = x.clone()
    changed[:, 0] += 1.0
    moved = (mixer(changed)[0] - mixer(x)[0]).abs().amax((0, 2)) > 1e-12
    assert moved.nonzero()[-1].item() == reach
