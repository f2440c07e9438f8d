"""The neural memory a chunk at a time against token by token, and against what it is a special case of."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.neural_memory import Dot, Fast, Gates, Huber, Rule, Squared, neural_memory
from kernels.neural_memory.rule import answer, gradients
from tests.kernels.accuracy import assert_as_accurate

triton_kernel = pytest.importorskip("kernels.neural_memory.triton_kernel")

NONE = -60.0


def squared(prediction: Tensor, v: Tensor) -> Tensor:
    return 2 * (prediction - v)


def dot(prediction: Tensor, v: Tensor) -> Tensor:
    return -v


def arguments(n: int, layers: int, batch: int = 2, heads: int = 2) -> tuple[list[Tensor], Gates, Fast]:
    torch.manual_seed(n)
    d, h = 4, 6
    qkv = [torch.randn(batch, heads, n, d, dtype=torch.float64) for _ in range(3)]
    qkv[1] = torch.nn.functional.normalize(qkv[1], dim=-1)
    gates = Gates(
        torch.rand(batch, heads, n, dtype=torch.float64) * 0.2,
        torch.rand(batch, heads, n, dtype=torch.float64).log() * 0.1,
        torch.rand(batch, heads, n, dtype=torch.float64).log(),
    )
    shapes = [(d, d)] if layers == 1 else [(h, d), *[(h, h)] * (layers - 2), (d, h)]
    weights, momentum = (
        tuple(torch.randn(batch, heads, *s, dtype=torch.float64) * 0.5 for s in shapes) for _ in range(2)
    )
    return qkv, gates, Fast(weights, momentum, weights, torch.zeros(batch, dtype=torch.long))


def flat(state: Fast) -> list[Tensor]:
    return [*state.weights, *state.momentum, state.phase]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("chunk", [1, 4, 16])
@pytest.mark.parametrize(
    "more",
    [{}, {"read": "before"}, {"read": "start"}, {"residual_norm": True}],
    ids=lambda more: "".join(map(str, more.values())) or "plain",
)
def test_chunks_equal_the_reference_in_output_state_and_gradient(layers: int, chunk: int, more: dict[str, Any]) -> None:
    qkv, gates, state = arguments(11, layers)
    assert_chunks_are_the_reference(qkv, gates, state, Rule(error=squared, chunk=chunk, **more))


def by_channel(gates: Gates) -> Gates:
    """Gates of their own for every row of a matrix 4 high."""
    return gates.each(lambda gate: gate[..., None] * torch.rand(*gate.shape, 4, dtype=torch.float64))


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("read", ["after", "before", "start"])
def test_so_do_three_layers_with_gelu_and_gates_a_channel_and_a_token_s_threshold(chunk: int, read: Any) -> None:
    qkv, gates, state = arguments(11, 3)
    assert_chunks_are_the_reference(qkv, gates, state, Rule(error=squared, chunk=chunk, read=read, activation="gelu"))
    qkv, gates, state = arguments(11, 1)
    rule = Rule(error=Huber(0.5), chunk=chunk, read=read, decay_first=read == "after")
    assert_chunks_are_the_reference(qkv, by_channel(gates), state, rule)
    gates = gates._replace(threshold=0.1 + torch.rand(2, 2, 11, dtype=torch.float64))
    assert_chunks_are_the_reference(qkv, gates, state, rule)


def assert_chunks_are_the_reference(qkv: list[Tensor], gates: Gates, state: Fast, rule: Rule) -> None:
    gated = [g for g in gates if g is not None]
    leaves = [z.detach().requires_grad_() for z in (*qkv, *gated, *state.weights, *state.momentum)]
    n, layers = len(gated), len(state.weights)
    qkv, gates, rest = leaves[:3], Gates(*leaves[3 : 3 + n]), leaves[3 + n :]
    state = Fast(tuple(rest[:layers]), tuple(rest[layers:]), tuple(rest[:layers]), state.phase)
    mask = torch.arange(11) < torch.tensor([11, 6])[:, None]
    results = []
    for backend in ("torch", "reference"):
        y, after = neural_memory(*qkv, gates, state, rule, mask, backend=backend)  # type: ignore[arg-type]
        y = y.masked_fill(~mask[:, None, :, None], 0.0)
        loss = y.sin().sum() + sum(w.square().sum() for w in (*after.weights, *after.momentum))
        results.append([y, *flat(after), *torch.autograd.grad(loss, leaves, allow_unused=True)])
    for fast, plain in zip(*results, strict=True):
        if plain is None or fast is None:
            assert plain is fast or not (fast if plain is None else plain).any()
        else:
            torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("chunk", [1, 3, 4])
@pytest.mark.parametrize("cuts", [(1, 2), (3, 8), (5, 6)])
def test_it_goes_on_at_every_offset_of_a_chunk(chunk: int, cuts: tuple[int, int]) -> None:
    qkv, gates, state = arguments(10, 2)
    rule = Rule(error=squared, chunk=chunk)
    whole, end = neural_memory(*qkv, gates, state, rule)
    parts = []
    for a, b in zip((0, *cuts), (*cuts, 10), strict=True):
        y, state = neural_memory(*(z[:, :, a:b] for z in qkv), gates.at(slice(a, b)), state, rule)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    for one, other in zip(flat(state), flat(end), strict=True):
        torch.testing.assert_close(one, other)


def test_rows_may_stand_at_different_places_of_a_chunk() -> None:
    qkv, gates, state = arguments(9, 2)
    rule = Rule(error=squared, chunk=4)
    mask = torch.arange(9) < torch.tensor([9, 3])[:, None]
    _, state = neural_memory(*qkv, gates, state, rule, mask)
    assert state.phase.tolist() == [1, 3]
    results = [neural_memory(*qkv, gates, state, rule, backend=b) for b in ("torch", "reference")]  # type: ignore[arg-type]
    torch.testing.assert_close(results[0][0], results[1][0])


def test_gates_a_channel_are_memories_of_one_row_each() -> None:
    (q, k, v), gates, state = arguments(9, 1)
    gates = by_channel(gates)
    y, after = neural_memory(q, k, v, gates, state, Rule(error=squared, chunk=4))
    for row in range(4):
        others = torch.arange(4) != row
        one = gates.each(lambda g, row=row: g[..., row])
        z, same = neural_memory(q, k, v, one, state, Rule(error=squared, chunk=4))
        torch.testing.assert_close(z[..., row], y[..., row])
        torch.testing.assert_close(same.weights[0][:, :, row], after.weights[0][:, :, row])
        assert not torch.allclose(z[..., others], y[..., others])


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_the_inner_gradient_is_that_of_autograd_through_every_layer(activation: Any) -> None:
    (_, k, v), gates, state = arguments(1, 4)
    weights = [w.clone().requires_grad_() for w in state.weights]
    rule = Rule(error=squared, activation=activation, residual_norm=True)
    loss = (answer(tuple(weights), k, rule) - v).square().sum()
    found = gradients(state.weights, k, v, gates, rule)
    for (e, a), expected in zip(found, torch.autograd.grad(loss, weights), strict=True):
        torch.testing.assert_close(e.mT @ a, expected)


def _without(gates: Gates) -> Gates:
    """No momentum, nothing forgotten."""
    return Gates(gates.step, torch.zeros_like(gates.step), torch.full_like(gates.step, NONE))


def test_one_matrix_from_zero_in_one_chunk_is_linear_attention() -> None:
    (q, k, v), gates, state = arguments(7, 1)
    zero = tuple(torch.zeros_like(w) for w in state.weights)
    state = Fast(zero, zero, zero, state.phase)
    y, _ = neural_memory(q, k, v, _without(gates), state, Rule(error=squared, chunk=8))
    scores = (q @ k.transpose(-1, -2)).tril() * gates.step[..., None, :]
    torch.testing.assert_close(y, 2 * scores @ v)


def test_one_matrix_online_is_the_delta_rule() -> None:
    (q, k, v), gates, state = arguments(7, 1)
    zero = tuple(torch.zeros_like(w) for w in state.weights)
    y, _ = neural_memory(q, k, v, _without(gates), Fast(zero, zero, zero, state.phase), Rule(error=squared))
    M, outputs = zero[0], []
    for t in range(7):
        beta = 2 * gates.step[:, :, t, None, None]
        error = v[:, :, t, :, None] - M @ k[:, :, t, :, None]
        M = M + beta * error @ k[:, :, t, None, :]
        outputs.append((M @ q[:, :, t, :, None])[..., 0])
    torch.testing.assert_close(y, torch.stack(outputs, 2))


def test_decayed_first_it_is_the_gated_delta_rule() -> None:
    (q, k, v), gates, state = arguments(7, 1)
    gates = gates._replace(log_momentum=torch.full_like(gates.step, NONE))
    zero = tuple(torch.zeros_like(w) for w in state.weights)
    y, _ = neural_memory(q, k, v, gates, Fast(zero, zero, zero, state.phase), Rule(error=squared, decay_first=True))
    M, outputs = zero[0], []
    for t in range(7):
        M = gates.log_keep[:, :, t, None, None].exp() * M
        beta = 2 * gates.step[:, :, t, None, None]
        M = M + beta * (v[:, :, t, :, None] - M @ k[:, :, t, :, None]) @ k[:, :, t, None, :]
        outputs.append((M @ q[:, :, t, :, None])[..., 0])
    torch.testing.assert_close(y, torch.stack(outputs, 2))


def test_with_a_dot_product_for_a_loss_it_is_gated_linear_attention() -> None:
    (q, k, v), gates, state = arguments(7, 1)
    gates = gates._replace(log_momentum=torch.full_like(gates.step, NONE))
    zero = tuple(torch.zeros_like(w) for w in state.weights)
    y, _ = neural_memory(q, k, v, gates, Fast(zero, zero, zero, state.phase), Rule(error=dot, chunk=4))
    from kernels.gla import gated_linear_attention

    expected, _ = gated_linear_attention(q, k * gates.step[..., None], v, gates.log_keep[..., None])
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_hand_written_gradients_are_those_of_the_loss(layers: int) -> None:
    (q, k, v), gates, state = arguments(1, layers, batch=1)
    weights = tuple(w.clone().requires_grad_() for w in state.weights)

    def memory(x: Tensor) -> Tensor:
        z = x @ weights[0].transpose(-1, -2)
        return z if layers == 1 else torch.nn.functional.silu(z) @ weights[1].transpose(-1, -2)

    grads = torch.autograd.grad((memory(k) - v).square().sum(), weights)
    zero = tuple(torch.zeros_like(w) for w in weights)
    gates = Gates(torch.ones_like(gates.step), torch.zeros_like(gates.step), torch.full_like(gates.step, NONE))
    _, after = neural_memory(q, k, v, gates, Fast(state.weights, zero, state.weights, state.phase), Rule(error=squared))
    for old, new, grad in zip(state.weights, after.weights, grads, strict=True):
        torch.testing.assert_close(old - new, grad)


def test_what_does_not_fit_is_refused() -> None:
    qkv, gates, state = arguments(3, 1)
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: neural_memory(qkv[0][..., :2], *qkv[1:], gates, state, Rule(error=dot)), "expected one shape"),
        (lambda: neural_memory(*qkv, gates._replace(step=gates.step[..., :1]), state, Rule(error=dot)), "gate step"),
        (lambda: neural_memory(*(z[:1] for z in qkv), gates.each(lambda g: g[:1]), state, Rule(error=dot)), "fit"),
    ]
    for call, match in cases:
        with pytest.raises(ValueError, match=match):
            call()
    for rule, said in (
        (Rule(error=dot), "Squared, Dot and Huber alone"),
        (Rule(error=Dot(), read="start"), "reads after or before"),
        (Rule(error=Dot(), chunk=33), "chunks of at most 32"),
    ):
        with pytest.raises(BackendUnavailable, match=said):
            neural_memory(*qkv, gates, state, rule, backend="triton")


@pytest.mark.parametrize(
    ("layers", "rule"),
    [
        (1, Rule(error=Squared(2.0), chunk=4)),
        (1, Rule(error=Dot(), chunk=3, read="before")),
        (1, Rule(error=Squared(1.0), chunk=1, decay_first=True)),
        (2, Rule(error=Squared(2.0), chunk=4)),
        (2, Rule(error=Huber(0.7), chunk=8, read="before")),
    ],
    ids=["one matrix", "dot product", "gated delta rule", "two layers", "two layers, Huber"],
)
@pytest.mark.parametrize("phases", [pytest.param((0, 0), marks=pytest.mark.slow), (2, 1)])
def test_the_kernel_is_exact_in_double_precision_wherever_a_row_stands(
    layers: int, rule: Rule, phases: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_kernel, "EVERY", 2)
    assert_kernel_is_the_reference(layers, rule, phases, torch.float64)


def test_the_kernel_is_as_accurate_as_single_precision_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_kernel_is_the_reference(2, Rule(error=Squared(2.0), chunk=4), (1, 0), torch.float32)


def assert_kernel_is_the_reference(layers: int, rule: Rule, phases: tuple[int, int], dtype: torch.dtype) -> None:
    """Outputs, states and all gradients; the second row has padding, and both go on from within a chunk."""
    n = 7 if rule.chunk == 1 else 11
    qkv, gates, state = arguments(n, layers, heads=1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    anchors = [torch.randn_like(w) for w in state.weights]
    tensors = [z.to(device, dtype) for z in (*qkv, *gates[:3], *state.weights, *state.momentum, *anchors)]
    mask = (torch.arange(n) < torch.tensor([n, 6])[:, None]).to(device)
    phase = torch.tensor([p % rule.chunk for p in phases], device=device)

    def op(backend: Backend) -> Callable[..., tuple[Tensor, ...]]:
        def run(q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            parts = [tuple(rest[3 + i * layers : 3 + (i + 1) * layers]) for i in range(3)]
            y, after = neural_memory(q, k, v, Gates(*rest[:3]), Fast(*parts, phase), rule, mask, backend=backend)
            return (y.masked_fill(~mask[:, None, :, None], 0.0), *flat(after), *after.anchor)

        return run

    assert_as_accurate(op("triton"), op("reference"), tensors, floor=1e-12 if dtype == torch.float64 else 2e-5)
