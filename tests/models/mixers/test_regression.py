"""Test-time regression: its table of special cases, against our own mixers and ops where there are some."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import use_backend
from kernels.gla import gated_linear_attention
from kernels.local_polynomial import local_polynomial_attention
from kernels.ridge import ridge_regression
from models.mixers import build_mixer
from models.mixers.regression import Regression
from models.mixers.regressors import Tokens
from tests.models.mixers.projections import TOKENS, finished, projected, randomised, tokens

T = TOKENS
LINEAR: dict[str, Any] = {"regressor": "linear", "weights": "uniform"}


def regression(**fields: Any) -> Regression:
    given = {"d_model": 8, "n_heads": 2, "conv_width": 1, "qk_norm": "none", **fields}
    mixer = randomised(build_mixer("regression", **given)).eval()
    assert isinstance(mixer, Regression)
    return mixer


def by_hand(mixer: Regression, x: Tensor, learn: Any) -> Tensor:
    """o of M_t = learn(M, k, v, step, keep), M (B, H, V, K), token by token."""
    q, k, v = projected(mixer, x)
    step = mixer.regressor.step(x).sigmoid().transpose(1, 2)
    keep = mixer.regressor.keep(x).sigmoid().transpose(1, 2) if hasattr(mixer.regressor, "keep") else step * 0 + 1
    M, outputs = torch.zeros(2, 2, 4, 4, dtype=torch.float64), []
    for t in range(T):
        k_t, v_t = k[:, :, t, :, None], v[:, :, t, :, None]
        M = learn(M, k_t, v_t, step[:, :, t, None, None], keep[:, :, t, None, None])
        outputs.append((M @ q[:, :, t, :, None])[..., 0])
    return finished(mixer, torch.stack(outputs, 2))


def test_one_step_from_nothing_is_linear_attention() -> None:
    mixer, x = regression(**LINEAR, solver="hebb"), tokens()
    q, k, v = projected(mixer, x)
    torch.testing.assert_close(mixer(x)[0], finished(mixer, (q @ k.mT).tril() @ v))


def test_decaying_weights_are_gated_linear_attention() -> None:
    mixer, x = regression(regressor="linear", weights="decay", solver="hebb"), tokens()
    q, k, v = projected(mixer, x)
    log_f = F.logsigmoid(mixer.regressor.keep(x)).transpose(1, 2)[..., None]
    torch.testing.assert_close(mixer(x)[0], finished(mixer, gated_linear_attention(q, k, v, log_f)[0]))


def test_features_of_keys_are_linear_attention_on_features() -> None:
    mixer, x = regression(regressor="feature", weights="uniform", solver="hebb"), tokens()
    q, k, v = projected(mixer, x)
    scores = ((F.elu(q) + 1) @ (F.elu(k) + 1).mT).tril()
    torch.testing.assert_close(mixer(x)[0], finished(mixer, scores @ v))


def test_gradient_steps_are_the_delta_rule() -> None:
    mixer, x = regression(**LINEAR, solver="sgd"), tokens()
    expected = by_hand(mixer, x, lambda M, k, v, step, keep: M + step * (v - M @ k) @ k.mT)
    torch.testing.assert_close(mixer(x)[0], expected)


def test_gradient_steps_on_shrunk_weights_are_gated_deltanet() -> None:
    mixer, x = regression(regressor="linear", weights="decay", solver="sgd"), tokens()
    expected = by_hand(mixer, x, lambda M, k, v, step, keep: keep * M + step * (v - keep * M @ k) @ k.mT)
    torch.testing.assert_close(mixer(x)[0], expected)


def test_implicit_steps_are_longhorns() -> None:
    """M_t is the least of |M - M_{t-1}|^2 + step |v - M k|^2."""
    mixer, x = regression(**LINEAR, solver="implicit"), tokens()

    def proximal(M: Tensor, k: Tensor, v: Tensor, step: Tensor, keep: Tensor) -> Tensor:
        return (M + step * v @ k.mT) @ torch.linalg.inv(torch.eye(4, dtype=M.dtype) + step * k @ k.mT)

    torch.testing.assert_close(mixer(x)[0], by_hand(mixer, x, proximal))


def test_several_steps_a_token_are_several_tokens() -> None:
    mixer, x = regression(**LINEAR, solver="sgd", n_steps=2), tokens()
    q, k, v = projected(mixer, x)
    step = mixer.regressor.step(x).sigmoid().transpose(1, 2).unflatten(1, (2, 2))
    k, v = (z.unflatten(1, (2, 2)) for z in (k, v))
    M, outputs = torch.zeros(2, 2, 4, 4, dtype=torch.float64), []
    for t in range(T):
        for n in range(2):
            k_t, v_t = k[:, :, n, t, :, None], v[:, :, n, t, :, None]
            M = M + step[:, :, n, t, None, None] * (v_t - M @ k_t) @ k_t.mT
        outputs.append((M @ q[:, :, t, :, None])[..., 0])
    torch.testing.assert_close(mixer(x)[0], finished(mixer, torch.stack(outputs, 2)))


def test_a_network_that_learns_is_miras_with_squared_errors() -> None:
    fields = {"d_model": 8, "n_heads": 2, "conv_width": 1}
    miras = randomised(build_mixer("miras", memory="mlp", max_gradient=None, **fields))
    mixer = regression(regressor="mlp", weights="decay", solver="sgd", max_step=0.2)  # its error is 2 (prediction - v)
    miras.conv.weight.data.fill_(1.0)
    x = tokens()
    q, k, v = (F.silu(z).unflatten(-1, (2, 4)).transpose(1, 2) for z in miras.qkv(x).chunk(3, -1))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    with torch.no_grad():
        mixer.regressor.step.weight.copy_(miras.gates.weight[:2])
        mixer.regressor.step.bias.copy_(miras.gates.bias[:2])
        mixer.regressor.keep.weight.copy_(miras.gates.weight[2:4])
        mixer.regressor.keep.bias.copy_(miras.gates.bias[2:4])
        for start, weight in zip(mixer.regressor.start, miras.memory, strict=True):
            start.copy_(weight)
    state = mixer.regressor.initial_state(2, mixer.out.weight)
    o, _ = mixer.regressor(Tokens(x, q, k, v, None, None), state, torch.zeros(2, dtype=torch.long))
    expected, _, _ = miras.learn(
        x, None, (state, (), (), torch.zeros(2, dtype=torch.long)), torch.zeros(2, 0, 24).double()
    )
    torch.testing.assert_close(o.transpose(1, 2), expected)


def test_a_local_constant_is_softmax_attention_and_so_is_a_local_line_with_an_endless_ridge() -> None:
    x = tokens()
    softmax = randomised(build_mixer("softmax", d_model=8, n_heads=2, positions="none"))
    constant, line = regression(order=0), regression(order=1)
    for mixer in (constant, line):
        for part, weight in zip((mixer.query, mixer.key, mixer.value), softmax.project.weight.chunk(3), strict=True):
            part.weight.data = weight.data
        mixer.out.weight.data = softmax.out.weight.data
    torch.testing.assert_close(constant(x)[0], softmax(x)[0])
    line.regressor.ridge.data.fill_(1e13)
    torch.testing.assert_close(line(x)[0], softmax(x)[0], rtol=1e-6, atol=1e-6)


def test_keys_of_one_length_make_softmax_a_gaussian_kernel_of_distance() -> None:
    mixer, x = regression(order=0, qk_norm="l2"), tokens()
    q, k, v = projected(mixer, x)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    near = -mixer.regressor.log_scale.exp()[:, None, None] * torch.cdist(q, k).square() / 2
    weights = near.masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf).softmax(-1)
    torch.testing.assert_close(mixer(x)[0], finished(mixer, weights @ v))


def test_a_kernel_without_its_gram_matrix_is_the_numerator_of_softmax() -> None:
    mixer, x = regression(regressor="kernel", weights="uniform", solver="hebb", qk_norm="l2"), tokens()
    q, k, v = projected(mixer, x)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    scale = mixer.regressor.log_scale.exp()[:, None, None]
    torch.testing.assert_close(mixer(x)[0], finished(mixer, (scale * (q @ k.mT - 1)).exp().tril() @ v))


def test_kernel_ridge_answers_seen_keys_with_their_values_and_far_keys_make_it_the_numerator_again() -> None:
    mixer = regression(regressor="kernel", weights="uniform", solver="ridge", qk_norm="l2")
    mixer.query.weight.data = mixer.key.weight.data
    mixer.regressor.ridge.data.fill_(-30.0)
    mixer.regressor.log_scale.data.fill_(4.0)
    x = tokens()
    torch.testing.assert_close(mixer(x)[0], mixer.out(mixer.value(x)), rtol=0.1, atol=0.1)
    plain = regression(regressor="kernel", weights="uniform", solver="hebb", qk_norm="l2")
    plain.load_state_dict({n: p for n, p in mixer.state_dict().items() if n != "regressor.ridge"})
    for one in (mixer, plain):
        one.regressor.log_scale.data.fill_(9.0)  # so narrow that no key is like another
    torch.testing.assert_close(mixer(x)[0] * 1.001, plain(x)[0], rtol=1e-6, atol=1e-6)


def test_mesa_is_ridge_regression_and_its_answer_times_a_large_ridge_is_linear_attention() -> None:
    mixer, x = randomised(build_mixer("mesa", d_model=8, n_heads=2, conv_width=1, qk_norm="none")), tokens()
    with use_backend("reference"):
        expected = mixer(x)[0]
    torch.testing.assert_close(mixer(x)[0], expected)
    mixer.regressor.ridge.data.fill_(1e9)
    q, k, v = projected(mixer, x)
    k = k * mixer.regressor.weight(x).sigmoid().transpose(1, 2)[..., None]
    log_f = F.logsigmoid(mixer.regressor.keep(x)).transpose(1, 2)[..., None]
    linear = finished(mixer, gated_linear_attention(q, k, v, log_f)[0])
    torch.testing.assert_close(mixer(x)[0] * 1e9, linear, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "moves"),
    [
        ({"order": 0}, False),
        ({"order": 1}, False),
        (LINEAR | {"solver": "ridge"}, False),
        (LINEAR | {"solver": "sgd"}, True),
    ],
)
def test_the_order_of_the_past_matters_to_gradient_steps_alone(fields: dict[str, Any], moves: bool) -> None:
    mixer, x = regression(**fields), tokens()
    order = torch.cat([torch.randperm(T - 1), torch.tensor([T - 1])])
    assert torch.allclose(mixer(x[:, order])[0][:, -1], mixer(x)[0][:, -1]) != moves


def test_where_keys_are_alike_least_squares_recalls_what_linear_attention_blurs() -> None:
    """As many pairs as a key is wide, asked for once each: the paper's point about the keys' covariance."""
    k = F.normalize(torch.randn(1, 1, 48, 64) + 2.0, dim=-1).double()
    v = F.normalize(torch.randn(1, 1, 48, 64), dim=-1).double()
    zero, even = torch.zeros(1, 1, 64, 64).double(), torch.ones(1, 1, 48).double()
    _, (_, N) = ridge_regression(k, k, v, 0 * even, even, torch.ones(1, 64).double() * 1e-4, (zero, zero))
    S = (k.mT @ k) + 1e-4 * torch.eye(64).double()
    exact, blurred = torch.linalg.solve(S, k.mT).mT @ N, k @ N
    right = [float((o @ v.mT).argmax(-1).eq(torch.arange(48)).double().mean()) for o in (exact, blurred)]
    assert right[0] == 1.0
    assert right[1] < 0.5


def test_on_a_map_that_bends_a_local_line_is_nearer_than_a_local_constant_and_a_straight_map() -> None:
    k = F.normalize(torch.randn(1, 1, 400, 4), dim=-1).double()
    v = torch.cat([k.abs(), k @ torch.randn(4, 4).double()], -1)
    scale, ridge, start = torch.tensor([20.0]).double(), torch.tensor([1e-3]).double(), torch.zeros(1, dtype=torch.long)
    seen = slice(200, 399)
    errors = []
    for order in (0, 1):
        ahead = local_polynomial_attention(k[:, :, 1:], k[:, :, :-1], v[:, :, :-1], scale, ridge, start, order=order)  # type: ignore[arg-type]
        errors.append(float((ahead[:, :, seen] - v[:, :, 1:][:, :, seen]).square().mean()))
    straight = k @ torch.linalg.lstsq(k, v).solution
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.5 * float((straight - v).square().mean())


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"regressor": "local", "solver": "sgd"}, "is not one of: linear by hebb with uniform or decay"),
        ({"regressor": "linear", "solver": "hebb"}, "weights 'kernel' is not one of"),
        ({"regressor": "kernel", "solver": "ridge", "weights": "uniform"}, "l2 for the regressor kernel"),
        ({"n_steps": 2}, "n_steps is 2"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        regression(**fields)
