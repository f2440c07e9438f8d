"""GAM against its sheet; what every mixer promises is in test_contract.py."""

import pytest
import torch
from torch import Tensor

from models.mixers.gam import GAM, GAMConfig


def gam(**fields: object) -> GAM:
    return GAM(GAMConfig(d_model=8, **fields)).double()  # type: ignore[arg-type]


def shift_gates(mixer: GAM, local: float, globally: float) -> None:
    with torch.no_grad():
        mixer.gate.weight.zero_()
        mixer.gate.bias.copy_(torch.tensor([local, globally]).repeat_interleave(8))


def reached(mixer: GAM, t: int) -> list[int]:
    """The tokens whose output changes when token t does."""
    x = torch.randn(1, 12, 8, dtype=torch.float64)
    other = x.clone()
    other[:, t] += 1.0
    return [i for i in range(12) if not torch.equal(mixer(x)[0][:, i], mixer(other)[0][:, i])]


def test_the_mixer_is_the_sheets_equations() -> None:
    mixer = gam(n_memories=5)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    assert mixer.conv.bias is not None
    for t in range(6):
        local = mixer.conv.bias + sum(mixer.conv.weight[i] * x[:, t - i] for i in range(3) if t >= i)
        looked_up = (x[:, t] @ mixer.memory.T).softmax(-1) @ mixer.memory
        g_local, g_global = mixer.gate(x[:, t]).sigmoid().chunk(2, -1)
        torch.testing.assert_close(mixer(x)[0][:, t], g_local * local + g_global * looked_up)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_token_is_seen_for_width_tokens_and_no_longer(width: int) -> None:
    assert reached(gam(width=width), 4) == list(range(4, 4 + width))


def test_without_the_local_gate_a_token_answers_for_itself_alone() -> None:
    mixer = gam()
    shift_gates(mixer, -1e4, 0.0)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    order = torch.randperm(9)
    torch.testing.assert_close(mixer(x[:, order])[0], mixer(x)[0][:, order])
    assert reached(gam(paths="global"), 4) == [4]


def test_without_the_global_gate_it_is_a_gated_convolution() -> None:
    mixer = gam()
    shift_gates(mixer, 0.0, -1e4)
    x = torch.randn(2, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(mixer(x)[0], 0.5 * mixer.conv(x, None, None)[0])


def test_one_memory_is_a_constant_and_a_large_scale_takes_the_nearest() -> None:
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    one = gam(n_memories=1)
    torch.testing.assert_close(one.recall(x), one.memory.expand(1, 5, 8))
    hard = gam(n_memories=6, scale=1e6)
    nearest = hard.memory[(x[0] @ hard.memory.T).argmax(-1)]
    torch.testing.assert_close(hard.recall(x)[0], nearest)


def test_heads_look_up_their_own_channels() -> None:
    mixer = gam(n_memories=5, n_heads=2)
    x = torch.randn(1, 4, 8, dtype=torch.float64)
    for head in (slice(4), slice(4, None)):
        memory: Tensor = mixer.memory[:, head]
        torch.testing.assert_close(mixer.recall(x)[..., head], (x[..., head] @ memory.T).softmax(-1) @ memory)


def test_the_weights_and_the_state_are_as_many_as_the_sheet_counts() -> None:
    mixer = GAM(GAMConfig(d_model=512))
    n_numbers = sum(p.numel() for p in mixer.parameters())
    assert n_numbers == 512 * (3 + 1) + 512 * 512 + 2 * 512**2 + 2 * 512
    assert mixer.state_floats(1000) == 1024
    assert mixer.memory.abs().max() <= (6 / (512 + 512)) ** 0.5


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="n_memories 0"):
        GAMConfig(d_model=8, n_memories=0)
    with pytest.raises(ValueError, match="fusion 'product'"):
        GAMConfig(d_model=8, fusion="product")  # type: ignore[arg-type]
