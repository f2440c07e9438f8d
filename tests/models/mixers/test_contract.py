"""What every sequence mixer promises, over all of MIXERS, and over the variants named below."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from models.mixers import MIXERS, build_mixer
from models.mixers.base import SequenceMixer, state_bytes, state_numbers, take_rows

BATCH, TOKENS, WIDTH = 4, 13, 32
LENGTHS = [13, 7, 1, 0]

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "aaren": [{"keep_wq": True, "query": "zero", "scale": 1.0, "n_heads": 8}],
    "activator": [
        {"mode": "causal_token_glu", "activation": "silu"},
        {"mode": "causal_token_glu", "d_hidden": 7, "width": 1, "activation": "relu"},
    ],
    "brnn": [{"cell": "lstm", "d_hidden": 8, "n_heads": 2}, {"cell": "elman", "lookahead": 3}],
    "dialog_gru": [
        {"n_layers": 2, "d_hidden": 7, "learned_distance": True},
        {"long_links": True, "n_speakers": 3, "n_layers": 2},
    ],
    "diffqkv": [
        {"n_key_heads": 1, "n_value_heads": 8, "d_key": 2, "window": 4},
        {"d_augmented": 0, "positions": "none", "selected_values": 3},
        {"selected_values": 2, "renormalise": True, "n_key_heads": 8},
        {"d_key": 3, "expand": "mlp", "window": 4, "qk_norm": "layer"},
    ],
    "elman": [{"contract": True, "n_heads": 4, "n_layers": 2}, {"layer_norm": True, "d_hidden": 6}],
    "exp_norm": [
        {"normaliser": "rms", "gate": "out", "window": 4},
        {"normaliser": "layer", "gate": "in", "n_kv_heads": 2},
        {"normaliser": "count", "gate": "out", "causal": False, "window": 3, "positions": "none"},
        {"normaliser": "count", "window": 4},
        {"normaliser": "none", "gate": "in", "only": "same"},
        {"normaliser": "row_sum"},
    ],
    "fsmn": [
        {"order": 3, "order_ahead": 2, "conv_width": 5},
        {"order": 4, "dilations": (1,), "gated": False, "conv_width": 1, "d_inner": 5},
        {"order": 2, "dilations": (1, 2, 4), "dense": False, "conv_width": 2},
    ],
    "gam": [
        {"width": 5, "n_memories": 7, "n_heads": 4, "scale": 0.3},
        {"paths": "local", "width": 2},
        {"paths": "global", "fusion": "sum"},
        {"fusion": "sum", "width": 1},
    ],
    "gated_conv": [{"width": 1}, {"width": 5, "skip": False}],
    "gla": [
        {"conv_width": 4, "norm": "layer", "output_gate_bias": True},
        {"n_kv_heads": 2, "gate": "head", "expand_k": 1.0},
        {"n_heads": 2, "n_kv_heads": 1, "gate_temperature": 0.1, "min_log_gate": -9.0},
    ],
    "gru": [
        {"n_heads": 4, "n_layers": 2, "d_hidden": 8},
        {"reset_after": False, "n_heads": 2, "layer_norm": True},
        {"learned_start": True, "n_layers": 2, "d_hidden": 8},
        {"layer_norm": True, "attention": "after", "attention_window": 4, "join": "rate"},
        {"attention": "feedback"},
    ],
    "identity_attention": [
        {"causal": True, "window": 4},
        {"causal": True, "positions": "learned"},
        {"window": 3, "positions": "learned", "n_heads": 2},
        {"causal": True, "window": 40, "positions": "none"},
    ],
    "landmark": [
        {"block": 3, "retrieve": 1, "memory": 2},
        {"block": 2, "positions": "stingy", "retrieve": 2, "together": True},
        {"block": 3, "landmarks": "external", "retrieve": 1, "memory": 2, "positions": "stingy"},
        {"block": 4, "landmarks": "external", "positions": "none"},
    ],
    "liger": [
        {"window": 4, "n_kv_heads": 2, "learned_share": True},
        {"window": 1, "kind": "hgrn2", "rotary": False},
        {"window": 3, "kind": "gsa", "n_kv_heads": 2},
        {"window": 5, "kind": "head"},
    ],
    "lizard": [
        {"window": 4, "n_kv_heads": 2, "n_sinks": 1},
        {"window": 1, "gate": "channel", "norm": "none", "n_sinks": 0},
        {"window": 3, "gate": "head", "features": "exp", "n_features": 3},
        {"branches": "linear", "gate": "key"},
        {"branches": "window", "window": 5},
        {"branches": "linear", "gate": "none", "n_kv_heads": 1},
    ],
    "lstm": [
        {"n_heads": 4, "n_layers": 2, "d_hidden": 8},
        {"peepholes": True, "layer_norm": True},
        {"coupled": True, "output": "identity", "learned_start": True},
        {"forget_gate": False, "peepholes": True},
    ],
    "memora": [{"chunk": 4, "read": "chunk"}, {"memory": "mlp"}],
    "miras": [
        {"bias": "dot", "chunk": 4},
        {"bias": "l1", "memory": "mlp", "chunk": 3, "momentum": True},
        {"bias": "shift", "retention": "elastic", "chunk": 4, "read": "chunk"},
        {"bias": "huber", "huber": "switch", "retention": "sigmoid"},
        {"memory": "mlp", "activation": "gelu", "residual_norm": True, "expansion": 4.0, "chunk": 3, "depth": 3},
        {"gates": "channel", "rank": 5, "momentum": True, "chunk": 4},
        {"bias": "shift", "delta_gate": True, "retention": "proximal", "threshold": 0.5, "gates": "channel"},
    ],
    "mesa": [{"weights": "uniform", "regressor": "feature", "qk_norm": "rms", "conv_width": 1}],
    "min_rnn": [{"kind": "lstm", "d_hidden": 7}, {"kind": "qlstm"}, {"kind": "qlstm", "reversed_sigmoid": True}],
    "moneta": [{"lq_map": "paper", "chunk": 4, "read": "chunk"}, {"memory": "mlp", "max_gradient": None}],
    "normalised": [{"normaliser": "softplus", "d_key": 3}],
    "rat": [
        {"chunk": 1},
        {"chunk": 4, "n_heads": 1, "rotary": False},
        {"chunk": 5, "n_groups": 4},
        {"chunk": 40, "n_heads": 2, "n_groups": 1},
    ],
    "recycled": [
        {"keep": 3, "stride": 5, "n_kv_heads": 2, "aggregate": "max"},
        {"keep": 2, "evict": "none", "positions": "none", "n_sinks": 1, "n_recent": 1},
        {"keep": 3, "evict": "running", "n_kv_heads": 1, "n_sinks": 1},
        {"keep": 4, "evict": "running", "refresh": "query", "check": 2, "n_recent": 1},
    ],
    "regression": [
        {"order": 0, "qk_norm": "rms", "positions": "rotary"},
        {"order": 2, "conv_width": 1},
        {"order": 2, "quadratic": "full", "n_heads": 8, "qk_norm": "none"},
        {"regressor": "feature", "weights": "decay", "solver": "hebb", "output_norm": True},
        {"regressor": "linear", "weights": "decay", "solver": "sgd", "n_steps": 2},
        {"regressor": "linear", "weights": "uniform", "solver": "implicit"},
        {"regressor": "mlp", "weights": "decay", "solver": "sgd"},
        {"regressor": "kernel", "weights": "uniform", "solver": "hebb"},
        {"regressor": "kernel", "weights": "uniform", "solver": "ridge"},
    ],
    "rhn": [
        {"coupled": False, "depth": 2, "n_heads": 4, "layer_norm": True},
        {"attention": "after", "d_hidden": 8, "attention_heads": 2},
        {"attention": "feedback", "attention_window": 4, "depth": 1},
    ],
    "routing": [
        {"n_clusters": 2, "window": 3, "shared_keys": True},
        {"n_clusters": 1, "window": 20, "n_heads": 2},
        {"n_clusters": 4, "window": 3, "n_nearest": 2, "n_local": 1},
        {"mode": "paper", "n_clusters": 3, "window": 4, "shared_keys": True, "n_local": 2},
        {"mode": "paper", "n_clusters": 3, "window": 5, "bidirectional": True},
    ],
    "sigmoid": [
        {"window": 4, "score_bias": "static", "layer_scale": 1e-4, "out_norm": "rms"},
        {"causal": False, "window": 3, "qk_norm": "rms", "positions": "none"},
        {"causal": False, "positions": "alibi"},
        {"only": "same", "score_bias": "learned", "positions": "learned", "n_distances": 5},
    ],
    "softmax": [
        {"n_kv_heads": 2, "window": 4, "d_head": 6},
        {"n_kv_heads": 1, "positions": "alibi", "qk_norm": "layer", "bias": True},
        {"positions": "learned", "n_distances": 5, "window": 40},
        {"only": "same", "positions": "none"},
        {"only": "other", "window": 6, "positions": "alibi"},
        {"causal": False, "window": 3},
        {"causal": False, "positions": "learned", "only": "same"},
    ],
    "softmax_rnn": [
        {"d_key": 3, "order": 4, "cosine": 2.0, "rotary": False, "gate": "in"},
        {"d_key": 4, "order": 3, "normaliser": "l2", "gate": "out"},
        {"d_key": 4, "order": 1, "normaliser": "rms", "constant_term": False},
        {"d_key": 4, "normaliser": "layer"},
        {"d_key": 4, "normaliser": "count", "gate": "out"},
        {"d_key": 4, "normaliser": "none", "cosine": 1.0},
    ],
    "titans": [
        {"chunk": 1, "read": "before", "n_persistent": 3},
        {"chunk": 4, "memory": "matrix", "decay_first": True, "loss": "mean", "n_persistent": 2},
        {"momentum": False, "residual_norm": True, "conv_width": 1, "expansion": 0.5},
        {"chunk": 3, "forget": False, "memory": "matrix"},
        {"chunk": 4, "depth": 3, "activation": "gelu", "expansion": 0.5},
    ],
    "titans_mac": [{"chunk": 4, "n_persistent": 2, "memory": "matrix"}, {"chunk": 1, "depth": 3}],
    "titans_mag": [{"n_persistent": 2, "window": 4, "fusion": "product"}],
    "titans_mal": [{"n_persistent": 2, "window": 3, "chunk": 4}],
    "yaad": [{"memory": "mlp", "chunk": 4}],
}
"""Fields beside d_model. The default of every row in the table is tested as it is."""


@dataclass(frozen=True)
class Case:
    mixer: SequenceMixer[Any]
    x: Tensor
    ids: Tensor | None

    def run(self, rows: Any = slice(None), steps: Any = slice(None), **more: Any) -> tuple[Tensor, Any]:
        """The mixer on part of the data."""
        ids = None if self.ids is None else self.ids[rows][:, steps]
        return self.mixer(self.x[rows][:, steps], ids=ids, **more)


def cases() -> list[Any]:
    named = [(name, fields) for name in MIXERS for fields in [{}, *VARIANTS.get(name, [])]]
    return [pytest.param(c, id=" ".join([c[0], *(f"{k}={v}" for k, v in c[1].items())])) for c in named]


@pytest.fixture(params=cases())
def case(request: pytest.FixtureRequest) -> Case:
    name, fields = request.param
    torch.manual_seed(0)
    mixer = build_mixer(name, d_model=WIDTH, **fields).double().eval()
    with torch.no_grad():
        for parameter in mixer.parameters():  # so that nothing hides behind an initial zero or one
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    x = torch.randn(BATCH, TOKENS, WIDTH, dtype=torch.float64)
    return Case(mixer, x, torch.randint(0, 4, (BATCH, TOKENS)) if mixer.takes_ids else None)


@pytest.fixture
def streaming(case: Case) -> Case:
    if not case.mixer.streams:
        pytest.skip("needs later tokens")
    return case


def mask_of(lengths: list[int]) -> Tensor:
    return torch.arange(TOKENS) < torch.tensor(lengths)[:, None]


def test_the_output_has_the_shape_of_the_input(case: Case) -> None:
    y, _ = case.run()
    assert y.shape == case.x.shape
    assert y.dtype == case.x.dtype
    assert y.isfinite().all()


def test_one_step_at_a_time_is_the_same_as_all_at_once(streaming: Case) -> None:
    whole, _ = streaming.run()
    state, steps = streaming.mixer.initial_state(BATCH), []
    for t in range(TOKENS):
        ids_t = None if streaming.ids is None else streaming.ids[:, t]
        y, state = streaming.mixer.step(streaming.x[:, t], state, ids_t=ids_t)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), whole)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_sequence_may_be_cut_anywhere(streaming: Case, cut: int) -> None:
    whole, _ = streaming.run()
    head, state = streaming.run(steps=slice(cut))
    tail, _ = streaming.run(steps=slice(cut, None), state=state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole)


def test_the_first_state_is_the_one_that_no_state_means(case: Case) -> None:
    torch.testing.assert_close(case.run(state=case.mixer.initial_state(BATCH))[0], case.run()[0])


def test_a_state_is_a_value(streaming: Case) -> None:
    _, state = streaming.run(steps=slice(5))
    first, _ = streaming.run(steps=slice(5, None), state=state)
    again, _ = streaming.run(steps=slice(5, None), state=state)
    assert torch.equal(first, again)


def test_a_state_can_be_forked_and_thinned(streaming: Case) -> None:
    rows = torch.tensor([2, 0, 2])
    _, state = streaming.run(steps=slice(5))
    y, _ = streaming.run(steps=slice(5, None), state=state)
    fewer, _ = streaming.run(rows, slice(5, None), state=take_rows(state, rows))
    torch.testing.assert_close(fewer, y[rows])
    assert state_bytes(take_rows(state, rows[:1])) * BATCH == state_bytes(state)


def test_a_mixer_knows_the_size_of_its_state(case: Case) -> None:
    for n_tokens in (1, 5, TOKENS):
        _, state = case.run([0], slice(n_tokens))
        assert case.mixer.state_floats(n_tokens) == state_numbers(state)


def test_padding_is_zero_and_invisible(case: Case) -> None:
    mask = mask_of(LENGTHS)
    padded, state = case.run(mask=mask)
    assert not padded[~mask].any()
    if case.mixer.streams:
        after, _ = case.run(steps=slice(3), state=state)  # two states are alike if they do the same next
    for row, length in enumerate(LENGTHS):
        alone, alone_state = case.run([row], slice(length)) if length else (padded[[row], :0], None)
        torch.testing.assert_close(padded[[row], :length], alone)
        if case.mixer.streams:
            torch.testing.assert_close(after[[row]], case.run([row], slice(3), state=alone_state)[0])


def test_what_stands_at_padding_does_not_matter(case: Case) -> None:
    mask = mask_of(LENGTHS)
    y, state = case.run(mask=mask)
    junk = torch.where(mask[..., None], case.x, 100.0)
    other = Case(case.mixer, junk, None if case.ids is None else case.ids.where(mask, 99))
    z, other_state = other.run(mask=mask)
    torch.testing.assert_close(z, y)
    if case.mixer.streams:
        torch.testing.assert_close(case.run(state=other_state)[0], case.run(state=state)[0])


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30])
def test_nothing_at_padding_reaches_a_token_a_state_or_a_gradient(case: Case, junk: float) -> None:
    mask = mask_of(LENGTHS)
    y, state = case.run(mask=mask)
    x = torch.where(mask[..., None], case.x, junk).requires_grad_()
    z, other = Case(case.mixer, x, case.ids).run(mask=mask)
    torch.testing.assert_close(z, y)
    if case.mixer.streams:
        torch.testing.assert_close(case.run(state=other)[0], case.run(state=state)[0])
    z.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[~mask].any()
    for name, parameter in case.mixer.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_what_does_not_belong_together_is_refused(case: Case) -> None:
    full = mask_of([TOKENS] * BATCH)
    wrong: dict[str, dict[str, Any]] = {
        "x is (4, 32)": {"x": case.x[:, 0]},
        "expected floating": {"x": case.x.long()},
        "mask is (4, 1)": {"mask": full[:, :1]},
        "mask is torch.float64": {"mask": full.double()},
        "padding stands before": {"mask": full & (torch.arange(TOKENS) > 2)},
        "the state is a tuple": {"state": (case.x,)},
    }
    if hasattr(case.mixer, "config"):
        wrong["x is (4, 13, 31), expected (B, T, 32)"] = {"x": case.x[..., :-1]}
    _, state = case.run()
    wrong["of the state is"] = {"state": take_rows(state, torch.tensor([0, 1]))}
    for match, given in wrong.items():
        with pytest.raises(ValueError, match=re.escape(match)):
            case.mixer(given.get("x", case.x), ids=case.ids, mask=given.get("mask"), state=given.get("state"))
    if case.ids is not None:
        with pytest.raises(ValueError, match="ids"):
            case.mixer(case.x, ids=case.ids[:, :-1])
        with pytest.raises(ValueError, match="ids are torch"):
            case.mixer(case.x, ids=case.ids.float())


def test_no_tokens_and_no_rows_are_fine(case: Case) -> None:
    y, state = case.run(steps=slice(0))
    assert y.shape == (BATCH, 0, WIDTH)
    if case.mixer.streams:
        torch.testing.assert_close(case.run(state=state)[0], case.run()[0])
    assert case.run(slice(0))[0].shape == (0, TOKENS, WIDTH)


def test_a_full_mask_is_no_mask(case: Case) -> None:
    torch.testing.assert_close(case.run(mask=mask_of([TOKENS] * BATCH))[0], case.run()[0])


def test_padding_may_come_chunk_by_chunk(streaming: Case) -> None:
    """Rows end at different lengths, and may go on after a chunk in which they were silent."""
    mask = mask_of(LENGTHS)
    _, state = streaming.run(mask=mask)
    y, _ = streaming.run(state=state, mask=mask_of([3, 13, 2, 5]))
    for row, (first, second) in enumerate(zip(LENGTHS, [3, 13, 2, 5], strict=True)):
        x = torch.cat([streaming.x[[row], :first], streaming.x[[row], :second]], 1)
        ids = (
            None
            if streaming.ids is None
            else torch.cat([streaming.ids[[row], :first], streaming.ids[[row], :second]], 1)
        )
        torch.testing.assert_close(y[[row], :second], streaming.mixer(x, ids=ids)[0][:, first:])


def test_the_past_ignores_the_future(case: Case) -> None:
    y, _ = case.run()
    moved = []
    for t in (1, 6, 12):
        x = case.x.clone()
        x[:, t] += 1.0
        z, _ = Case(case.mixer, x, case.ids).run()
        if case.mixer.streams:
            torch.testing.assert_close(z[:, :t], y[:, :t], rtol=0, atol=1e-12)
        moved.append(not torch.allclose(z[:, :t], y[:, :t]))
    assert any(moved) != case.mixer.streams  # guards against a causal mixer that says it is not


def test_rows_do_not_mix(case: Case) -> None:
    y, _ = case.run()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(case.run(order)[0], y[order])
    x = case.x.clone()
    x[1] += 1.0
    z, _ = Case(case.mixer, x, case.ids).run()
    torch.testing.assert_close(z[[0, 2, 3]], y[[0, 2, 3]])
    assert not torch.allclose(z[1], y[1])


def test_gradients_reach_every_parameter(case: Case) -> None:
    x = case.x.clone().requires_grad_()
    y, _ = Case(case.mixer, x, case.ids).run(mask=mask_of([13, 7, 9, 2]))
    y.square().sum().backward()
    for name, gradient in [("x", x.grad), *((n, p.grad) for n, p in case.mixer.named_parameters())]:
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert gradient.any(), name


def test_gradients_flow_through_a_state(streaming: Case) -> None:
    whole = streaming.x.clone().requires_grad_()
    y, _ = Case(streaming.mixer, whole, streaming.ids).run()
    y[:, 5:].square().sum().backward()
    parts = streaming.x.clone().requires_grad_()
    case = Case(streaming.mixer, parts, streaming.ids)
    _, state = case.run(steps=slice(5))
    case.run(steps=slice(5, None), state=state)[0].square().sum().backward()
    torch.testing.assert_close(parts.grad, whole.grad)


def test_ids_go_to_those_who_take_them_and_only_their_equality_matters(case: Case) -> None:
    if case.ids is None:
        with pytest.raises(ValueError, match="ids"):
            case.mixer(case.x, ids=torch.zeros(BATCH, TOKENS, dtype=torch.long))
        return
    renamed = torch.tensor([70, -3, 12, 2**40])[case.ids]
    torch.testing.assert_close(case.mixer(case.x, ids=renamed)[0], case.run()[0])
    assert not torch.allclose(case.mixer(case.x, ids=torch.zeros_like(case.ids))[0], case.run()[0])
    with pytest.raises(ValueError, match="ids"):
        case.mixer(case.x)


def test_one_that_needs_later_tokens_has_no_step(case: Case) -> None:
    if case.mixer.streams:
        pytest.skip("has one")
    with pytest.raises(ValueError, match="step"):
        case.mixer.step(
            case.x[:, 0], case.mixer.initial_state(BATCH), ids_t=None if case.ids is None else case.ids[:, 0]
        )


def test_single_precision_agrees_with_double(case: Case) -> None:
    whole, _ = case.run()
    single = Case(case.mixer.float(), case.x.float(), case.ids)
    y, _ = single.run()
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), whole, rtol=1e-3, atol=1e-3)


def test_an_unknown_name_and_a_wrong_field_are_refused() -> None:
    with pytest.raises(ValueError, match="no mixer 'nonesuch'"):
        build_mixer("nonesuch", d_model=8)
    with pytest.raises(ValueError, match="colour"):
        build_mixer(next(iter(MIXERS)), d_model=8, colour="red")


def test_a_config_names_the_numbers_that_disagree() -> None:
    with pytest.raises(ValueError, match="d_model 30 is not a multiple of n_heads 8"):
        build_mixer("identity_attention", d_model=30)
