"""Truncated exponentials: the polynomial, its features, and attention with either."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.taylor import chunked, features, n_features, polynomial, taylor_attention
from tests.kernels.accuracy import assert_as_accurate


def arguments(n_tokens: int, width: int = 3, order: int = 2, lowest: int = 0) -> list[Tensor]:
    q, k = torch.randn(2, 2, 2, n_tokens, width, dtype=torch.float64)
    v = torch.randn(2, 2, n_tokens, 4, dtype=torch.float64)
    S = torch.randn(2, 2, n_features(width, order, lowest), 4, dtype=torch.float64)
    return [q, k, v, S]


def quadratic(q: Tensor, k: Tensor, order: int, lowest: int = 0) -> Tensor:
    return polynomial(q @ k.transpose(-1, -2), order, lowest).tril()


@pytest.mark.parametrize(("order", "lowest"), [(1, 0), (2, 0), (4, 0), (6, 0), (1, 1), (3, 2)])
def test_the_product_of_features_is_the_polynomial(order: int, lowest: int) -> None:
    q, k = torch.randn(2, 10, 4, dtype=torch.float64)
    assert features(q, order, lowest).shape[-1] == n_features(4, order, lowest)
    product = features(q, order, lowest) @ features(k, order, lowest).T
    expected = sum((q @ k.T) ** n / math.factorial(n) for n in range(lowest, order + 1))
    torch.testing.assert_close(product, expected)
    torch.testing.assert_close(polynomial(q @ k.T, order, lowest), expected)


def test_what_inference_asked_for_first_trains_too() -> None:
    x = torch.randn(5, 11, dtype=torch.float64, requires_grad=True)  # a width no other test has made
    with torch.inference_mode():
        features(x, 3)
    features(x, 3).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("width", "order", "n"),
    [(16, 2, 153), (16, 3, 969), (16, 4, 4845), (64, 2, 2145), (64, 3, 47_905), (64, 4, 814_385)],
)
def test_the_number_of_features(width: int, order: int, n: int) -> None:
    assert n_features(width, order) == n


def test_the_truncation_error_is_within_its_bound() -> None:
    z = torch.linspace(-4, 4, 81, dtype=torch.float64)
    for order in range(1, 12):
        bound = z.abs() ** (order + 1) / math.factorial(order + 1) * z.exp().clamp(min=1)
        assert ((z.exp() - polynomial(z, order)).abs() <= bound + 1e-12).all()


def test_many_orders_are_softmax() -> None:
    """Invariant 2: below 1e-6 from order 24 on, for scores up to 3."""
    q, k, v, _ = arguments(9)
    q, k = (3**0.5 * z / z.norm(dim=-1, keepdim=True) for z in (q, k))
    weights = quadratic(q, k, 24)
    z = (q @ k.transpose(-1, -2)).masked_fill(torch.ones(9, 9).triu(1).bool(), -torch.inf)
    assert (weights @ v / weights.sum(-1, keepdim=True) - z.softmax(-1) @ v).abs().max() < 1e-6


@pytest.mark.parametrize("order", [2, 4])
def test_even_orders_are_positive(order: int) -> None:
    assert (polynomial(torch.linspace(-20, 20, 401, dtype=torch.float64), order) > 0).all()


@pytest.mark.parametrize(("order", "lowest"), [(1, 1), (2, 0), (3, 0)])
@pytest.mark.parametrize("n_tokens", [1, 7, 33])
def test_chunks_and_the_recurrence_and_the_polynomial_agree(
    monkeypatch: pytest.MonkeyPatch, n_tokens: int, order: int, lowest: int
) -> None:
    """Invariant 1, outputs and gradients, with chunks of 8."""
    monkeypatch.setattr(chunked, "chunk_size", lambda _: 8)
    leaves = [z.requires_grad_() for z in arguments(n_tokens, order=order, lowest=lowest)]
    results = []
    for backend in ("torch", "reference"):
        o, last = taylor_attention(*leaves, order=order, lowest=lowest, backend=backend)  # type: ignore[arg-type]
        weight = torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o)
        loss = (o * weight).sum() + last.square().sum()
        results.append([o, last, *torch.autograd.grad(loss, leaves)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    q, k, v, S = leaves
    dense = quadratic(q, k, order, lowest) @ v + features(q, order, lowest) @ S
    torch.testing.assert_close(results[0][0], dense)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_chunks_are_as_accurate(dtype: torch.dtype) -> None:
    q, k, v, S = arguments(33)
    ops = (partial(taylor_attention, order=2, backend=backend) for backend in ("torch", "reference"))
    assert_as_accurate(*ops, [q.to(dtype), k.to(dtype), v.to(dtype), S.float()])


@pytest.mark.parametrize(
    ("n_tokens", "width", "order", "lowest", "dtype"),
    [
        (1, 4, 2, 0, torch.float32),
        (7, 3, 1, 1, torch.float16),
        (33, 5, 2, 0, torch.float32),
        (40, 3, 3, 2, torch.float32),
        (33, 2, 4, 0, torch.float16),
    ],
)
def test_the_kernel_is_as_accurate(
    monkeypatch: pytest.MonkeyPatch,
    n_tokens: int,
    width: int,
    order: int,
    lowest: int,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    if device.type == "cpu":  # two blocks a chunk, two chunks: enough to go wrong, and the interpreter is slow
        monkeypatch.setattr(chunked, "chunk_size", lambda _: 32)
    q, k, v, S = (z.to(device) for z in arguments(n_tokens, width, order, lowest))
    ops = (partial(taylor_attention, order=order, lowest=lowest, backend=b) for b in ("triton", "reference"))  # type: ignore[arg-type]
    assert_as_accurate(*ops, [q.to(dtype), k.to(dtype), v.to(dtype), S.float()])


@pytest.mark.parametrize("backend", ["torch", "reference", "triton"])
def test_no_state_is_one_of_zeros(backend: Backend, device: torch.device) -> None:
    q, k, v, S = (z.float().to(device) for z in arguments(5))
    given = taylor_attention(q, k, v, torch.zeros_like(S), order=2, backend=backend)
    for a, b in zip(taylor_attention(q, k, v, order=2, backend=backend), given, strict=True):
        torch.testing.assert_close(a, b)
    o, last = taylor_attention(q[:, :, :0], k[:, :, :0], v[:, :, :0], order=2, backend=backend)
    assert o.shape == (2, 2, 0, 4)
    assert not last.any()


def test_orders_may_be_kept_apart_or_together() -> None:
    """Invariant 7: the answers of one state an order add up to those of all orders' features."""
    q, k, v, _ = arguments(7)

    def answers(order: int, lowest: int) -> Tensor:
        return taylor_attention(
            q, k, v, v.new_zeros(2, 2, n_features(3, order, lowest), 4), order=order, lowest=lowest
        )[0]

    torch.testing.assert_close(answers(3, 0), answers(1, 0) + answers(2, 2) + answers(3, 3))


def test_order_1_without_its_constant_is_linear_attention() -> None:
    """Invariant 3, with the identity for a feature map."""
    q, k, v, _ = arguments(7)
    o, _ = taylor_attention(q, k, v, v.new_zeros(2, 2, 3, 4), order=1, lowest=1)
    torch.testing.assert_close(o, (q @ k.transpose(-1, -2)).tril() @ v)


def test_order_2_has_the_kernel_of_based() -> None:
    """Invariant 4: Zoology's TaylorExp features, [1, x / d^(1/4), vec(x x^T) / (sqrt 2 sqrt d)]."""
    d = 4
    q, k = torch.randn(2, 6, d, dtype=torch.float64)

    def based(x: Tensor) -> Tensor:
        squares = (x[:, :, None] * x[:, None]).flatten(1) / math.sqrt(2 * d)
        return torch.cat([torch.ones_like(x[:, :1]), x / d**0.25, squares], -1)

    torch.testing.assert_close(features(q * d**-0.25, 2) @ features(k * d**-0.25, 2).T, based(q) @ based(k).T)


def test_what_does_not_fit_is_refused() -> None:
    q, k, v, S = arguments(3)
    with pytest.raises(ValueError, match=r"S is \(2, 2, 9, 4\), expected \(2, 2, 10, 4\)"):
        taylor_attention(q, k, v, S[:, :, 1:], order=2)
    with pytest.raises(ValueError, match="orders 3 to 2"):
        taylor_attention(q, k, v, S, order=2, lowest=3)
    with pytest.raises(ValueError, match="do not fit together"):
        taylor_attention(q, k[:, :, 1:], v, S, order=2)
    q, k = torch.randn(2, 2, 2, 3, 300)
    with pytest.raises(BackendUnavailable, match="they are 300 and 4 wide"):
        taylor_attention(q, k, v, order=1, backend="triton")


def test_monomials_are_the_combinations_with_repetition() -> None:
    x = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    products = [math.prod(c) for c in itertools.combinations_with_replacement([2.0, 3.0, 5.0], 2)]
    ours = features(x, 2, 2)
    torch.testing.assert_close(ours[[1, 2, 4]], torch.tensor([6.0, 10.0, 15.0], dtype=torch.float64))
    assert len(ours) == len(products)
