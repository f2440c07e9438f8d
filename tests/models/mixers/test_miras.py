"""Miras: its named instances, and what falls out of it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kernels.gla import gated_linear_attention
from models.mixers import build_mixer
from models.mixers.miras import Miras


def miras(name: str = "miras", **fields: Any) -> Miras:
    torch.manual_seed(0)
    mixer = build_mixer(name, **({"d_model": 16, "n_heads": 2, "conv_width": 1} | fields)).double().eval()
    assert isinstance(mixer, Miras)
    return mixer


X = torch.randn(2, 9, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("memory", ["mlp", "matrix"])
@pytest.mark.parametrize("chunk", [1, 4])
def test_with_squared_errors_and_momentum_it_is_titans(memory: str, chunk: int) -> None:
    fields = {"memory": memory, "chunk": chunk, "expansion": 1.0}
    one, other = miras(momentum=True, **fields), build_mixer("titans", d_model=16, n_heads=2, conv_width=1, **fields)
    other.double().load_state_dict(one.state_dict())
    torch.testing.assert_close(one(X)[0], other(X)[0])


def test_moneta_with_squares_and_no_map_is_yaad_without_a_threshold_but_for_a_factor() -> None:
    moneta = miras("moneta", p=2.0, q=2.0, max_gradient=None, max_step=0.05)
    yaad = miras("yaad", delta=1e9, max_step=0.1)  # Huber's gradient is e, that of squares 2 e
    yaad.load_state_dict(moneta.state_dict())
    torch.testing.assert_close(moneta(X)[0], yaad(X)[0], rtol=1e-2, atol=5e-3)  # lp is smoothed near zero


def heads(mixer: Miras) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k and v (B, H, T, K) as the memory has them, its steps (B, H, T) and what is kept of it (B, H, T)."""
    q, k, v = (F.silu(z).unflatten(-1, (2, 8)).transpose(1, 2) for z in mixer.qkv(X).chunk(3, -1))
    step, keep, _ = mixer.gates(X).sigmoid().unflatten(-1, (3, 2)).permute(2, 0, 3, 1)
    return F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, mixer.config.max_step * step, keep


def said(mixer: Miras, o: torch.Tensor) -> torch.Tensor:
    """What the mixer makes of a memory's answers o (B, H, T, K)."""
    return mixer.out(mixer.norm(o.transpose(1, 2)).flatten(2) * F.silu(mixer.output_gate(X)))


def test_a_dot_product_without_forgetting_is_linear_attention() -> None:
    mixer = miras(bias="dot", chunk=16)
    with torch.no_grad():
        mixer.gates.bias[2:4] = 1e3  # keep everything
        mixer.memory[0].zero_()
    q, k, v, step, _ = heads(mixer)
    o = ((q @ k.transpose(-1, -2)).tril() * step[..., None, :]) @ v
    torch.testing.assert_close(mixer(X)[0], said(mixer, o))


def test_a_dot_product_that_forgets_is_gated_linear_attention() -> None:
    mixer = miras(bias="dot")
    with torch.no_grad():
        mixer.memory[0].zero_()
        mixer.gates.weight.normal_()
        mixer.gates.bias[2:4] = 1.0
    q, k, v, step, keep = heads(mixer)
    o, _ = gated_linear_attention(q, k, step[..., None] * v, keep.log()[..., None], backend="reference")
    torch.testing.assert_close(mixer(X)[0], said(mixer, o))


@pytest.mark.parametrize("keep_all", [True, False])
def test_squared_errors_without_forgetting_are_the_delta_rule(keep_all: bool) -> None:
    """M_t = alpha M_{t-1} + 2 theta (v - M_{t-1} k) k^T; forgetting, the error is still taken before it."""
    mixer = miras(max_step=0.5)
    with torch.no_grad():
        mixer.gates.weight.normal_()
        mixer.gates.bias[2:4] = 1e3 if keep_all else 1.0
    q, k, v, step, keep = heads(mixer)
    M, outputs = mixer.memory[0].data.expand(2, -1, -1, -1), []
    for t in range(X.shape[1]):
        error = v[:, :, t] - (M @ k[:, :, t, :, None])[..., 0]
        M = keep[:, :, t, None, None] * M + 2 * step[:, :, t, None, None] * error[..., None] * k[:, :, t, None]
        outputs.append((M @ q[:, :, t, :, None])[..., 0])
    torch.testing.assert_close(mixer(X)[0], said(mixer, torch.stack(outputs, 2)))


def test_each_form_of_huber_cuts_what_it_says() -> None:
    e, v = torch.tensor([[0.1, 0.2], [3.0, -0.5]], dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    expected = {"coordinate": [[0.1, 0.2], [1.0, -0.5]], "switch": [[0.2, 0.4], [1.0, -1.0]]}
    for form, cut in expected.items():
        error = miras("yaad", huber=form).rule.error(e, v)
        torch.testing.assert_close(error, torch.tensor(cut, dtype=torch.float64))


def test_huber_shortens_long_errors_and_leaves_short_ones() -> None:
    yaad = miras("yaad")
    e, v = torch.tensor([[0.1, 0.2], [30.0, 40.0]], dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    torch.testing.assert_close(yaad.rule.error(e, v), torch.stack([e[0], e[1] / 50]))


def test_a_threshold_of_nothing_leaves_the_direction_of_an_error_alone() -> None:
    yaad = miras("yaad", delta=1e-6)
    e, v = torch.randn(5, 8, dtype=torch.float64), torch.zeros(5, 8, dtype=torch.float64)
    torch.testing.assert_close(yaad.rule.error(e, v) / 1e-6, F.normalize(e, dim=-1))


@pytest.mark.parametrize("huber", ["norm", "coordinate", "switch"])
def test_a_tokens_own_threshold_multiplies_delta(huber: str) -> None:
    gated, twice = miras("yaad", huber=huber, delta_gate=True, delta=0.2), miras("yaad", huber=huber, delta=0.4)
    gated.load_state_dict(twice.state_dict(), strict=False)
    torch.testing.assert_close(gated.threshold.bias, torch.full((2,), 0.5413, dtype=torch.float64))  # type: ignore[union-attr]
    with torch.no_grad():
        gated.threshold.bias.fill_(2.0).expm1_().log_()  # type: ignore[union-attr]
    torch.testing.assert_close(gated(X)[0], twice(X)[0])
    gated.threshold.weight.data.normal_()  # type: ignore[union-attr]
    assert not torch.allclose(gated(X)[0], twice(X)[0])


def test_a_token_without_a_step_is_as_if_it_had_not_been() -> None:
    """But for what is forgotten at it, which is nothing here."""
    mixer = miras(memory="mlp", activation="gelu")
    x = X.clone()
    x[:, 4, 0] = 100.0
    with torch.no_grad():
        mixer.gates.bias[2:4] = 1e3
        mixer.gates.weight[:2, 0] = -100.0
        mixer.gates.bias[:2] = 100.0  # the others' first number is far below 100
    there, without = mixer(x)[0], mixer(torch.cat([x[:, :4], x[:, 5:]], 1))[0]
    torch.testing.assert_close(there[:, 5:], without[:, 4:])


def test_the_papers_own_memory_is_a_residual_norm_of_a_gelu_network() -> None:
    mixer = miras(memory="mlp", expansion=4.0, activation="gelu", residual_norm=True)
    assert [tuple(w.shape) for w in mixer.memory] == [(2, 32, 8), (2, 8, 32)]
    with torch.no_grad():
        mixer.gates.bias[:2] = -1e3  # it learns nothing
        mixer.gates.bias[2:4] = 1e3
    q, *_ = heads(mixer)
    inner, outer = mixer.memory
    o = q + F.layer_norm(F.gelu(q @ inner.mT) @ outer.mT, (8,), eps=1e-6)
    torch.testing.assert_close(mixer(X)[0], said(mixer, o))


@pytest.mark.parametrize("chunk", [1, 4])
def test_gates_a_channel_that_agree_are_gates_a_head(chunk: int) -> None:
    head, channel = miras(chunk=chunk), miras(chunk=chunk, gates="channel", rank=3)
    channel.load_state_dict({k: z for k, z in head.state_dict().items() if "gates" not in k}, strict=False)
    torch.testing.assert_close(channel(X)[0], head(X)[0])  # both say nothing of the token at first
    channel.gates.weight.data.normal_()
    assert not torch.allclose(channel(X)[0], head(X)[0])


def test_the_proximal_elastic_net_cuts_the_weights_after_every_token() -> None:
    mixer = miras(retention="proximal", threshold=0.3, max_step=0.5)
    mixer.gates.weight.data.normal_()
    q, k, v, step, keep = heads(mixer)
    W, outputs = mixer.memory[0].data.expand(2, -1, -1, -1), []
    for t in range(X.shape[1]):
        error, theta = (W @ k[:, :, t, :, None])[..., 0] - v[:, :, t], step[:, :, t, None, None]
        W = keep[:, :, t, None, None] * W - 2 * theta * error[..., None] * k[:, :, t, None]
        W = torch.where(W.abs() > 0.3 * theta, W - 0.3 * theta * W.sign(), 0.0)
        outputs.append((W @ q[:, :, t, :, None])[..., 0])
    torch.testing.assert_close(mixer(X)[0], said(mixer, torch.stack(outputs, 2)))
    assert (W == 0).any()
    plain, uncut = miras(max_step=0.5), miras(retention="proximal", threshold=0.0, max_step=0.5)
    uncut.load_state_dict(plain.state_dict())
    torch.testing.assert_close(uncut(X)[0], plain(X)[0])


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"gates": "channel", "memory": "mlp"}, "or 'channel' for memory 'matrix'"),
        ({"gates": "channel", "retention": "kl"}, "gates must be 'head'"),
        ({"delta_gate": True}, "delta_gate is for bias 'huber' or 'shift', not 'l2'"),
        ({"depth": 1}, "depth 1 must be at least 2"),
        ({"activation": "relu"}, "activation 'relu'"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        miras(**fields)


def test_memoras_weights_are_positive_and_every_row_has_the_same_sum() -> None:
    memora = miras("memora")
    _, state = memora(X)
    (weights,) = memora.rule.used(state.accumulated)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.full_like(weights[..., 0], 8.0))


def test_memoras_weights_stay_without_steps_and_drift_to_uniform_by_forgetting_alone() -> None:
    memora = miras("memora")
    with torch.no_grad():
        memora.gates.bias[:2] = -1e3
        memora.gates.bias[2:4] = 1e3
    torch.testing.assert_close(memora(X)[1].accumulated[0][0], memora.memory[0].data)
    with torch.no_grad():
        memora.gates.bias[2:4] = -3.0
    (weights,) = memora.rule.used(memora(X)[1].accumulated)
    torch.testing.assert_close(weights, torch.ones_like(weights), rtol=1e-6, atol=1e-6)


def test_the_mirror_map_minimises_the_objective_and_the_printed_one_does_not() -> None:
    """-<A, W> + ||W||_{q*}^2 / 2 with 1/q + 1/q* = 1."""
    A, q = torch.randn(3, 3, dtype=torch.float64), 4.0

    def objective(W: torch.Tensor) -> float:
        dual = q / (q - 1)
        return float(-(A * W).sum() + W.abs().pow(dual).sum().pow(2 / dual) / 2)

    mirror, printed = (miras("moneta", lq_map=m).rule.used((A[None, None],))[0][0, 0] for m in ("mirror", "paper"))
    generator = torch.Generator().manual_seed(0)
    nearby = [mirror + 0.05 * torch.randn(3, 3, dtype=torch.float64, generator=generator) for _ in range(50)]
    assert all(objective(mirror) < objective(W) for W in nearby)
    assert objective(mirror) < objective(printed)


def test_a_robust_loss_is_hurt_less_by_wild_values() -> None:
    """Key-value pairs with one value in twenty blown up: Huber's memory answers better than squares'."""
    from kernels.neural_memory import Fast, Gates, Rule, neural_memory

    generator = torch.Generator().manual_seed(0)
    true = torch.randn(8, 8, dtype=torch.float64, generator=generator) / 8**0.5
    k = F.normalize(torch.randn(1, 1, 600, 8, dtype=torch.float64, generator=generator), dim=-1)
    v = k @ true.T
    wild = torch.where(torch.rand(1, 1, 600, 1, generator=generator) < 0.05, 20.0, 1.0)
    zero = (torch.zeros(1, 1, 8, 8, dtype=torch.float64),)
    gates = Gates(*(torch.full((1, 1, 600), g, dtype=torch.float64) for g in (0.2, 0.0, -60.0)))
    errors = {}
    for name, mixer in {"l2": miras(), "huber": miras("yaad", delta=0.5)}.items():
        state = Fast(zero, zero, zero, torch.zeros(1, dtype=torch.long))
        _, state = neural_memory(k, k, v * wild, gates, state, Rule(error=mixer.rule.error))
        errors[name] = float((state.weights[0][0, 0] - true).norm())
    assert errors["huber"] < 0.5 * errors["l2"]
