"""Mixers as dynamical systems: each answers as the mixer does, and the framework's equivalences hold."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mixers import build_mixer
from models.mixers.base import SequenceMixer
from models.mixers.dynamical import DynamicalSystem, associative
from tests.models.mixers.projections import randomised

B, T, D = 2, 6, 8
LINEAR = {"regressor": "linear", "solver": "sgd"}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("aaren", {"n_heads": 2}),
    ("aaren", {"keep_wq": True}),
    ("diffqkv", {"n_heads": 4, "n_key_heads": 2, "n_value_heads": 1, "d_key": 2, "qk_norm": "rms"}),
    ("diffqkv", {"n_heads": 2, "n_key_heads": 1, "n_value_heads": 2, "d_key": 2, "expand": "mlp", "window": 3}),
    ("elman", {}),
    ("elman", {"contract": True, "d_hidden": 6, "n_heads": 2}),
    ("exp_norm", {"normaliser": "none"}),
    ("gated_conv", {}),
    ("gated_conv", {"width": 1, "skip": False}),
    ("gla", {"n_heads": 2}),
    ("gla", {"n_heads": 4, "n_kv_heads": 2, "gate": "head", "norm": "layer", "expand_k": 1.0}),
    ("gru", {}),
    ("gru", {"reset_after": False, "n_heads": 2, "d_hidden": 6}),
    ("landmark", {"n_heads": 2, "block": 2, "retrieve": 1}),
    ("landmark", {"n_heads": 2, "block": 2, "landmarks": "external", "memory": 1}),
    ("liger", {"n_heads": 2, "window": 3}),
    ("liger", {"n_heads": 2, "n_kv_heads": 1, "window": 2, "kind": "gsa", "learned_share": True}),
    ("liger", {"n_heads": 2, "window": 1, "kind": "hgrn2", "rotary": False}),
    ("liger", {"n_heads": 2, "window": 3, "kind": "head", "qk_norm": "rms"}),
    ("lizard", {"n_heads": 2, "n_kv_heads": 1, "window": 3}),
    ("lizard", {"n_heads": 2, "window": 2, "norm": "none", "gate": "channel", "n_sinks": 0, "features": "exp"}),
    ("lizard", {"n_heads": 2, "branches": "linear", "gate": "none"}),
    ("lizard", {"n_heads": 2, "branches": "window", "window": 3, "qk_norm": "layer"}),
    ("lstm", {}),
    ("lstm", {"peepholes": True, "coupled": True, "n_heads": 2}),
    ("lstm", {"forget_gate": False, "output": "identity", "d_hidden": 5}),
    ("mesa", {"n_heads": 2}),
    ("miras", {"n_heads": 2, "conv_width": 1, "max_step": 0.5}),
    ("miras", {"n_heads": 2, "conv_width": 1, "bias": "dot"}),
    ("min_rnn", {}),
    ("min_rnn", {"kind": "lstm", "d_hidden": 5}),
    ("min_rnn", {"kind": "qlstm", "reversed_sigmoid": True}),
    ("normalised", {"n_heads": 2, "d_key": 3}),
    ("normalised", {"normaliser": "sigmoid"}),
    ("rat", {"n_heads": 2, "chunk": 2}),
    ("rat", {"n_heads": 2, "n_groups": 1, "chunk": 4, "rotary": False}),
    ("rat", {"n_heads": 4, "chunk": 1}),
    ("recycled", {"n_heads": 2, "keep": 2, "stride": 3}),
    ("recycled", {"n_heads": 4, "n_kv_heads": 2, "keep": 2, "evict": "running"}),
    ("regression", {"n_heads": 2, "order": 0}),
    ("regression", {"n_heads": 2, "order": 1, "positions": "rotary"}),
    ("regression", {"regressor": "kernel", "weights": "uniform", "solver": "ridge"}),
    ("regression", {"regressor": "feature", "weights": "uniform", "solver": "hebb", "output_norm": True}),
    ("regression", {**LINEAR, "weights": "decay", "n_heads": 2}),
    ("regression", {**LINEAR, "weights": "decay", "n_steps": 2}),
    ("regression", {"regressor": "linear", "weights": "uniform", "solver": "implicit"}),
    ("rhn", {}),
    ("rhn", {"coupled": False, "depth": 2, "n_heads": 2, "d_hidden": 6}),
    ("routing", {"n_heads": 2, "n_clusters": 2, "window": 2}),
    ("routing", {"n_heads": 2, "n_clusters": 3, "window": 2, "n_nearest": 2, "n_local": 1, "shared_keys": True}),
    ("sigmoid", {"n_heads": 2}),
    ("softmax", {"n_heads": 4, "n_kv_heads": 2, "window": 3}),
    ("softmax", {"bias": True, "positions": "alibi", "qk_norm": "layer"}),
    ("softmax_rnn", {"n_heads": 2, "d_key": 2}),
    ("softmax_rnn", {"n_heads": 2, "d_key": 2, "normaliser": "l2", "gate": "out", "cosine": 1.0}),
    ("softmax_rnn", {"n_heads": 2, "d_key": 2, "normaliser": "layer", "gate": "in"}),
    ("softmax_rnn", {"n_heads": 2, "d_key": 2, "normaliser": "count", "order": 1}),
    ("titans", {"memory": "matrix", "n_heads": 2, "conv_width": 1, "chunk": 1, "momentum": False}),
    (
        "titans",
        {"memory": "matrix", "n_heads": 2, "conv_width": 1, "chunk": 1, "momentum": False, "decay_first": True},
    ),
]


def ids(case: Any) -> str:
    return case if isinstance(case, str) else "-".join(map(str, case.values()))


def built(name: str, fields: dict[str, Any]) -> tuple[SequenceMixer[Any], Tensor]:
    return randomised(build_mixer(name, d_model=D, **fields)).eval(), torch.randn(B, T, D, dtype=torch.float64)


@pytest.mark.parametrize(("name", "fields"), CASES, ids=ids)
def test_the_system_answers_as_the_mixer_does(name: str, fields: dict[str, Any]) -> None:
    mixer, x = built(name, fields)
    system = mixer.as_dynamical_system(x)
    torch.testing.assert_close(system.run(x)[0], mixer(x)[0])


@pytest.mark.parametrize(
    ("name", "fields"), [("gla", {}), ("gated_conv", {}), ("regression", LINEAR | {"weights": "decay"})]
)
def test_the_unrolled_kernel_is_causal_and_of_no_higher_rank_than_the_state(name: str, fields: dict[str, Any]) -> None:
    mixer, x = built(name, fields)
    system = mixer.as_dynamical_system(x)
    phi = system.kernel()
    torch.testing.assert_close(torch.einsum("bijyu,bju->biy", phi, system.inputs(x)), mixer(x)[0])
    assert not phi[:, torch.ones(T, T).triu(1).bool()].any()
    past = phi[0, 3:, :3].permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # what the state after three tokens carries
    assert torch.linalg.matrix_rank(past) <= system.B.shape[2]


def test_one_token_at_a_time_the_states_are_the_mixers_own() -> None:
    mixer, x = built("min_rnn", {})
    _, states = mixer.as_dynamical_system(x).run(x)
    state = mixer.initial_state(B)
    for t in range(T):
        _, state = mixer.step(x[:, t], state)
        torch.testing.assert_close(states[:, t], state.h)
    gla, x = built("gla", {"n_heads": 2})
    _, states = gla.as_dynamical_system(x).run(x)
    torch.testing.assert_close(states[:, -1].view(B, 2, 2, 4), gla(x)[1].S)


def test_where_matrices_hear_the_input_alone_it_says_so() -> None:
    given = {}
    for name in ("aaren", "gla"):
        mixer, x = built(name, {})
        given[name] = mixer.as_dynamical_system(x).given
    assert given == {"aaren": "input", "gla": "trajectory"}  # GLA's norm divides by the answer's length


def test_mixers_that_are_none_say_so() -> None:
    for name, fields in (
        ("rhn", {"n_layers": 2}),
        ("gla", {"conv_width": 3}),
        ("softmax", {"causal": False}),
        ("exp_norm", {}),
        ("routing", {"mode": "paper"}),
        ("titans", {}),
        ("miras", {}),
        ("titans", {"memory": "matrix", "conv_width": 1, "chunk": 1, "momentum": False, "n_persistent": 2}),
    ):
        mixer, x = built(name, fields)
        with pytest.raises(ValueError, match="linear system in its inputs"):
            mixer.as_dynamical_system(x)


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_an_ssm_is_linear_attention_whose_normaliser_grows_by_its_own_decay() -> None:
    """Mamba-2 (SSD) and normalised attention are one where eta_i = exp(a sum_{j<=i} Delta_j), b_i = psi_i / (eta_i
    Delta_i)."""
    n, a = 3, 0.7
    phi, psi, value, delta = draw(B, T, 1, n), draw(B, T, 1, n), draw(1, 1, D, D), F.softplus(draw(B, T, 1, 1))
    eta = (a * delta.cumsum(1)).exp()
    before = F.pad(eta[:, :-1], (0, 0, 0, 0, 1, 0))
    normalised = associative((before / eta).expand_as(psi), (psi / eta)[..., None, :], phi, value)
    b = psi / (eta * delta)
    ssd = associative((-a * delta).exp().expand_as(psi), (delta * b)[..., None, :], phi, value)
    x = draw(B, T, D)
    torch.testing.assert_close(ssd.run(x)[0], normalised.run(x)[0])
    direct = ((phi[:, :, 0] @ psi[:, :, 0].mT).tril() @ (x @ value[0, 0].T)) / eta[:, :, 0]
    torch.testing.assert_close(ssd.run(x)[0], direct)


def test_normalised_linear_attention_may_have_its_normaliser_in_the_transition() -> None:
    n = 3
    phi, psi, value, x = draw(B, T, 1, n).exp(), draw(B, T, 1, n).exp(), draw(1, 1, D, D), draw(B, T, D)
    eta = (phi * psi.cumsum(1)).sum(-1, keepdim=True)
    before = F.pad(eta[:, :-1], (0, 0, 0, 0, 1, 0))
    system = associative((before / eta).expand_as(psi), (psi / eta)[..., None, :], phi, value)
    weights = (phi[:, :, 0] @ psi[:, :, 0].mT).tril()
    torch.testing.assert_close(system.run(x)[0], weights / weights.sum(-1, keepdim=True) @ (x @ value[0, 0].T))


def test_mambas_decay_is_the_reversed_sigmoid_of_the_qlstm() -> None:
    z, a = draw(50), 1.7
    torch.testing.assert_close((-a * F.softplus(z)).exp(), (-z).sigmoid() ** a)
    mixer, x = built("min_rnn", {"kind": "qlstm", "reversed_sigmoid": True})
    logits = mixer.inputs(x)[..., :D]  # type: ignore[operator]
    decay = (-mixer.exponent.relu() * F.softplus(logits)).exp()  # type: ignore[operator]
    torch.testing.assert_close(mixer.as_dynamical_system(x).A, decay)


def test_s6_with_one_number_a_channel_is_a_qlstm() -> None:
    """Lambda = exp(-Delta a), B = Delta b W_u, C = c: with f, i and o its gates, and no tanh."""
    f, i, o, W = draw(B, T, D).sigmoid(), draw(B, T, D).sigmoid(), draw(B, T, D).sigmoid(), draw(D, D)
    delta = -f.log()  # of a = 1
    zero = draw(B, T, D, D) * 0
    qlstm = DynamicalSystem(f, i[..., None] * W, torch.diag_embed(o), zero)
    s6 = DynamicalSystem((-delta).exp(), (delta * (i / delta))[..., None] * W, torch.diag_embed(o), zero)
    x = draw(B, T, D)
    torch.testing.assert_close(s6.run(x)[0], qlstm.run(x)[0])


def test_a_taylor_series_of_attention_nears_softmax_as_its_state_grows() -> None:
    softmax = randomised(build_mixer("softmax", d_model=D, n_heads=4, positions="none"))
    softmax.project.weight.data.mul_(0.2)  # type: ignore[union-attr, operator]
    x, errors, sizes = draw(B, T, D), [], []
    for order in (2, 4):
        series = build_mixer("softmax_rnn", d_model=D, n_heads=4, d_key=2, order=order, rotary=False).double()
        series.load_state_dict(softmax.state_dict())
        system = series.as_dynamical_system(x)
        errors.append(float((system.run(x)[0] - softmax(x)[0]).detach().abs().max()))
        sizes.append(system.B.shape[2])
    assert errors[1] < 0.5 * errors[0]
    assert sizes == [4 * 6 * 2, 4 * 15 * 2]
