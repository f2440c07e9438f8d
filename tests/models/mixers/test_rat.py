"""RAT against its sheet; what every mixer promises is in test_contract.py."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mixers.base import state_numbers, take_rows
from models.mixers.rat import RAT, RATConfig
from models.positions import rotary

TOKENS = 45


def loud(mixer: RAT) -> RAT:
    """In double precision, with weights large enough to see, and gates that vary."""
    for parameter in mixer.double().parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return mixer


def parts(mixer: RAT, x: Tensor) -> list[Tensor]:
    """z, g, v, q, k of the mixer, (B, T, H, P) each, from its weights alone."""
    c = mixer.config
    z, g, v, q, k = (y.unflatten(-1, (-1, c.d_head)) for y in mixer.project(x).split(mixer.widths, -1))
    g = (g + mixer.gate_bias.view(c.n_heads, c.d_head)).sigmoid() if c.chunk > 1 else torch.zeros_like(v)
    return [z.sigmoid(), g, v, *(y.repeat(1, 1, c.n_heads // c.groups, 1) for y in (q, k))]


@pytest.mark.parametrize("size", [1, 2, 8, 16, 45, 64])
def test_the_mixer_is_the_sheets_equations(size: int) -> None:
    mixer = loud(RAT(RATConfig(d_model=16, n_heads=2, chunk=size)))
    x = torch.randn(1, TOKENS, 16, dtype=torch.float64)
    z, g, v, q, k = parts(mixer, x)
    chunks = torch.arange(TOKENS)[None] // size
    outputs, ends = [], []
    kt = vt = torch.zeros_like(v[:, 0])
    for t in range(TOKENS):
        if t % size == 0:
            kt = vt = torch.zeros_like(kt)
        kt, vt = g[:, t] * kt + (1 - g[:, t]) * k[:, t], g[:, t] * vt + (1 - g[:, t]) * v[:, t]
        q_t, k_t = (rotary(y[:, None], chunks[:, [t]])[:, 0] for y in (q[:, t], kt))
        keys = torch.stack([k_end for k_end, _ in ends] + [k_t], 1)  # (B, n, H, P)
        values = torch.stack([v_end for _, v_end in ends] + [vt], 1)
        p = (torch.einsum("bhp,bnhp->bhn", q_t, keys) * 8**-0.5).softmax(-1)
        outputs.append(mixer.out((z[:, t] * torch.einsum("bhn,bnhp->bhp", p, values)).flatten(1)))
        if t % size == size - 1:
            ends.append((k_t, vt))
    torch.testing.assert_close(mixer(x)[0], torch.stack(outputs, 1), rtol=0, atol=1e-12)


def test_chunks_of_one_token_are_softmax_attention_with_rotary_positions() -> None:
    mixer = loud(RAT(RATConfig(d_model=16, n_heads=4, chunk=1)))
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    z, _, v, q, k = parts(mixer, x)
    positions = torch.arange(9).expand(2, 9)
    q, k = rotary(q, positions), rotary(k, positions)
    y = F.scaled_dot_product_attention(*(u.transpose(1, 2) for u in (q, k, v)), is_causal=True).transpose(1, 2)
    torch.testing.assert_close(mixer(x)[0], mixer.out((z * y).flatten(2)))
    assert not hasattr(mixer, "gate_bias")


def test_one_chunk_is_a_gated_moving_average() -> None:
    mixer = loud(RAT(RATConfig(d_model=8, n_heads=2, chunk=50)))
    x = torch.randn(1, 20, 8, dtype=torch.float64)
    z, g, v, _, _ = parts(mixer, x)
    average = torch.zeros_like(v[:, 0])
    for t in range(20):
        average = torch.lerp(v[:, t], average, g[:, t])
        torch.testing.assert_close(mixer(x)[0][:, t], mixer.out((z[:, t] * average).flatten(1)))


def test_gates_of_zero_leave_every_last_token_of_a_chunk_and_oneself() -> None:
    mixer = loud(RAT(RATConfig(d_model=8, n_heads=2, chunk=4, rotary=False)))
    with torch.no_grad():
        mixer.gate_bias.fill_(-1e4)
    x = torch.randn(1, 14, 8, dtype=torch.float64)
    z, _, v, q, k = (u.transpose(1, 2) for u in parts(mixer, x))
    i, j = torch.arange(14)[:, None], torch.arange(14)
    seen = (i == j) | ((j % 4 == 3) & (j < i // 4 * 4))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    torch.testing.assert_close(mixer(x)[0], mixer.out((z * y).transpose(1, 2).flatten(2)))


def test_the_output_gate_scales_and_does_nothing_else() -> None:
    """Invariant 6."""
    mixer = loud(RAT(RATConfig(d_model=8, n_heads=2, chunk=4)))
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        mixer.out.weight.copy_(torch.eye(8))
        z = parts(mixer, x)[0].flatten(2)
        answer = mixer(x)[0] / z
        mixer.project.weight[:8] = 0.0  # z is a half everywhere
    torch.testing.assert_close(mixer(x)[0], answer / 2)


def test_gates_start_spread_over_the_chunk() -> None:
    g = RAT(RATConfig(d_model=512, chunk=16)).gate_bias.sigmoid()
    assert g.min() >= 0.5
    assert g.max() <= 1 - 1 / 16
    torch.testing.assert_close(RAT(RATConfig(d_model=8, chunk=2)).gate_bias.sigmoid(), torch.full((8,), 0.5))


def test_the_weights_are_as_many_as_the_sheet_counts() -> None:
    with torch.device("meta"):
        mixer = RAT(RATConfig(d_model=2048, n_heads=16))
    n_numbers = sum(p.numel() for p in mixer.parameters())
    assert n_numbers == 4 * 2048**2 + 2 * 2 * 128 * 2048 + 2048


def test_the_cache_holds_one_key_and_value_a_chunk() -> None:
    mixer = RAT(RATConfig(d_model=8, chunk=4))
    state = mixer.initial_state(1)
    for n_tokens in range(1, 14):
        _, state = mixer.step(torch.randn(1, 8), state)
        assert state_numbers(state) == mixer.state_floats(n_tokens) == 2 * 8 * (n_tokens // 4) + 2 * 8 + 1


def test_rows_out_of_phase_need_no_more_slots_than_the_longest_has_chunks() -> None:
    mixer = RAT(RATConfig(d_model=8, chunk=4))
    _, state = mixer(torch.randn(3, 3, 8), mask=torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]]).bool())
    for _ in range(12):
        _, state = mixer.step(torch.randn(3, 8), state)
    assert state.position.tolist() == [15, 14, 13]
    assert state.k_ends.shape[1] == 3
    assert take_rows(state, torch.tensor([2])).k_ends.shape[1] == 3


def test_numbers_that_disagree_are_named() -> None:
    with pytest.raises(ValueError, match="n_heads 4 is not a multiple of n_groups 3"):
        RATConfig(d_model=16, n_groups=3)
    with pytest.raises(ValueError, match="at least 1 token"):
        RATConfig(d_model=16, chunk=0)
    with pytest.raises(ValueError, match="a head is 3 wide"):
        RATConfig(d_model=12)
