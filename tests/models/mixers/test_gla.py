"""Gated linear attention against its sheet; what every mixer promises is in test_contract.py."""

import pytest
import torch
import torch.nn.functional as F

from kernels.backend import use_backend
from kernels.gla import gated_linear_attention
from models.mixers.base import state_bytes
from models.mixers.gla import GLA, GLAConfig


def test_the_mixer_is_the_sheets_recurrence_token_by_token() -> None:
    mixer = GLA(GLAConfig(d_model=8, n_heads=2)).double()
    for parameter in mixer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 6, 8, dtype=torch.float64)
    S, outputs = torch.zeros(2, 2, 4, dtype=torch.float64), []
    for x_t in x[0]:
        q, k = (f(x_t).view(2, 2) for f in (mixer.query, mixer.key))
        v, alpha = mixer.value(x_t).view(2, 4), mixer.forget(x_t).view(2, 2).sigmoid() ** (1 / 16)
        S = alpha[:, :, None] * S + k[:, :, None] * v[:, None, :]
        o = mixer.norm(2**-0.5 * torch.einsum("hk,hkv->hv", q, S)).flatten()
        r = mixer.output_gate(x_t)
        outputs.append(mixer.out(r * r.sigmoid() * o))
    torch.testing.assert_close(mixer(x)[0][0], torch.stack(outputs))


@pytest.mark.parametrize("backend", ["reference", "torch", "triton"])
def test_every_backend_gives_the_same_mixer(backend: str) -> None:
    mixer = GLA(GLAConfig(d_model=16, n_heads=2))
    x = torch.randn(2, 5, 16)
    expected, _ = mixer(x)
    with use_backend(backend):  # type: ignore[arg-type]
        torch.testing.assert_close(mixer(x)[0], expected)


def test_it_starts_as_the_authors_start_it() -> None:
    mixer = GLA(GLAConfig(d_model=256))
    x = torch.randn(2, 10, 256)
    torch.testing.assert_close(mixer.log_gate(x).exp(), torch.full((2, 10, 4, 32), 0.5 ** (1 / 16)), atol=0.01, rtol=0)
    # q, k, v, the output's gate and the output: 4 D^2, and a gate of rank 16
    n_numbers = sum(p.numel() for p in mixer.parameters())
    assert n_numbers == 4 * 256**2 + 16 * 256 + 16 * 128 + 128 + 64


def test_the_state_is_d_squared_over_two_heads_floats() -> None:
    with torch.device("meta"):
        mixer = GLA(GLAConfig(d_model=2048, n_heads=4))
    assert mixer.state_floats(10_000) == 524_288
    assert state_bytes(mixer.initial_state(3)) == 3 * 4 * 524_288


def test_a_lower_bound_keeps_the_gate_above_it() -> None:
    mixer = GLA(GLAConfig(d_model=16, gate_temperature=1.0, min_log_gate=-0.5))
    log_f = mixer.log_gate(100 * torch.randn(1, 50, 16))
    assert -0.5 <= log_f.min() < log_f.max() <= 0


def test_grouped_keys_are_keys_repeated() -> None:
    shared = GLA(GLAConfig(d_model=16, n_heads=4, n_kv_heads=2)).double()
    repeated = GLA(GLAConfig(d_model=16, n_heads=4)).double()
    weights = shared.state_dict()
    for name, width in (("key.weight", 2), ("value.weight", 4), ("forget.1.weight", 2), ("forget.1.bias", 2)):
        groups = weights[name].unflatten(0, (2, width)).repeat_interleave(2, 0)
        weights[name] = groups.flatten(0, 1)
    repeated.load_state_dict(weights)
    x = torch.randn(2, 7, 16, dtype=torch.float64)
    torch.testing.assert_close(shared(x)[0], repeated(x)[0])


def test_keys_tied_to_the_gate_make_hgrn2() -> None:
    """k = 1 - alpha: S_t = diag(alpha_t) S_{t-1} + (1 - alpha_t) v_t^T, a gated average of the values."""
    q, logits = (torch.randn(1, 2, 9, 3, dtype=torch.float64) for _ in range(2))
    v = torch.randn(1, 2, 9, 4, dtype=torch.float64)
    alpha = logits.sigmoid()
    o, _ = gated_linear_attention(q, 1 - alpha, v, F.logsigmoid(logits))
    S = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    for t in range(9):
        S = torch.lerp(v[:, :, t, None, :].expand_as(S), S, alpha[:, :, t, :, None])
        torch.testing.assert_close(o[:, :, t], (q[:, :, t, :, None] * S).sum(-2))


def test_a_constant_gate_makes_retnets_decay() -> None:
    q, k, v = (torch.randn(1, 1, 9, 3, dtype=torch.float64) for _ in range(3))
    o, _ = gated_linear_attention(q, k, v, torch.full_like(k, 0.9).log())
    distance = torch.arange(9)[:, None] - torch.arange(9)
    decay = torch.where(distance >= 0, 0.9 ** distance.double(), 0.0)
    torch.testing.assert_close(o, (q @ k.mT * decay) @ v)


def test_numbers_that_disagree_are_named() -> None:
    with pytest.raises(ValueError, match="n_heads 4 is not a multiple of n_kv_heads 3"):
        GLAConfig(d_model=16, n_kv_heads=3)
    with pytest.raises(ValueError, match=r"expand_k makes a width of 15\.0, not a multiple of n_heads 4"):
        GLAConfig(d_model=30)
    with pytest.raises(ValueError, match="min_log_gate must be at most 0"):
        GLAConfig(d_model=16, min_log_gate=0.1)
