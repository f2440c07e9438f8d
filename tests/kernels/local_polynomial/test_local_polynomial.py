"""Local polynomial regression against its definition, and what it must reproduce."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import BackendUnavailable
from kernels.local_polynomial import implicit, local_polynomial_attention

B, H, K, V = 2, 2, 3, 4
ORDERS: list[dict[str, Any]] = [{"order": 0}, {"order": 1}, {"order": 2}, {"order": 2, "quadratic": "full"}]


def arguments(n: int, slots: int) -> list[Tensor]:
    torch.manual_seed(n)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    return [draw(B, H, n, K), draw(B, H, slots, K), draw(B, H, slots, V), draw(H).exp(), draw(H).exp()]


def start(*slots: int) -> Tensor:
    return torch.tensor(slots)


@pytest.mark.parametrize("fields", ORDERS, ids=lambda f: "-".join(map(str, f.values())))
@pytest.mark.parametrize(("n", "slots", "begin"), [(1, 1, 0), (7, 7, 0), (5, 12, 6), (19, 19, 0)])
def test_output_and_every_gradient_equal_the_reference(
    fields: dict[str, Any], n: int, slots: int, begin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implicit, "BLOCK", 8)
    monkeypatch.setattr(implicit, "ELEMENTS", 2000)
    leaves = [z.requires_grad_() for z in arguments(n, slots)]
    results = []
    for backend in ("torch", "reference"):
        o = local_polynomial_attention(*leaves, start(0, begin), **fields, backend=backend)  # type: ignore[arg-type]
        results.append([o, *torch.autograd.grad(o.sin().sum(), leaves, materialize_grads=True)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-8)


def test_order_zero_and_an_endless_ridge_are_softmax_attention() -> None:
    q, k, v, _, ridge = arguments(9, 9)
    scale = torch.full((H,), K**-0.5, dtype=torch.float64)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    for order, much in ((0, ridge), (1, ridge + 1e12), (2, ridge + 1e12)):
        o = local_polynomial_attention(q, k, v, scale, much, start(0, 0), order=order)  # type: ignore[arg-type]
        torch.testing.assert_close(o, expected)


@pytest.mark.parametrize("fields", ORDERS[1:], ids=lambda f: "-".join(map(str, f.values())))
def test_without_a_ridge_a_polynomial_of_its_order_is_reproduced(fields: dict[str, Any]) -> None:
    q, k, _, scale, ridge = (0.5 * z for z in arguments(30, 30))
    slope, bend = torch.randn(K, V, dtype=torch.float64), torch.randn(K, V, dtype=torch.float64)

    def polynomial(x: Tensor) -> Tensor:
        y = 2.0 + x @ slope
        if fields["order"] == 2:
            y = y + x.square() @ bend
        return y + 3 * x[..., :1] * x[..., 1:2] if fields.get("quadratic") == "full" else y

    o = local_polynomial_attention(q, k, polynomial(k), scale, 1e-10 * ridge, start(0, 0), **fields)
    torch.testing.assert_close(o[:, :, 20:], polynomial(q)[:, :, 20:], rtol=1e-4, atol=1e-4)


def test_the_weights_sum_to_one_and_the_order_of_the_past_does_not_matter() -> None:
    q, k, v, scale, ridge = arguments(12, 12)
    ones = local_polynomial_attention(q, k, torch.ones_like(v), scale, ridge, start(0, 0))
    torch.testing.assert_close(ones, torch.ones_like(ones))
    o = local_polynomial_attention(q[:, :, -1:], k, v, scale, ridge, start(0, 0))
    order = torch.randperm(12)
    again = local_polynomial_attention(q[:, :, -1:], k[:, :, order], v[:, :, order], scale, ridge, start(0, 0))
    torch.testing.assert_close(again, o)


def test_weights_of_keys_on_one_side_of_the_query_may_be_negative() -> None:
    k = torch.tensor([1.0, 2.0, 3.0]).double().view(1, 1, 3, 1)
    one = torch.ones(1, dtype=torch.float64)
    weights = [
        local_polynomial_attention(torch.zeros(1, 1, 1, 1).double(), k, v.view(1, 1, 3, 1), one, 1e-6 * one, start(0))
        for v in torch.eye(3, dtype=torch.float64)
    ]
    assert min(float(w) for w in weights) < 0


def test_single_precision_stays_close_on_keys_of_length_one() -> None:
    q, k, v, _, _ = arguments(64, 64)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    given = [q, k, v, torch.full((H,), 4.0).double(), torch.full((H,), 0.01).double()]
    for fields in ORDERS:
        whole = local_polynomial_attention(*given, start(0, 0), **fields)
        single = local_polynomial_attention(*(z.float() for z in given), start(0, 0), **fields)
        assert (single - whole).abs().max() < 1e-3


def test_shapes_orders_and_kernels_that_are_not_there_are_refused() -> None:
    given = arguments(3, 3)
    with pytest.raises(ValueError, match=r"ridge is \(1,\), expected \(2,\)"):
        local_polynomial_attention(*given[:4], given[4][:1], start(0, 0))
    with pytest.raises(ValueError, match="order is 3"):
        local_polynomial_attention(*given, start(0, 0), order=3)  # type: ignore[arg-type]
    with pytest.raises(BackendUnavailable, match="no kernel"):
        local_polynomial_attention(*given, start(0, 0), backend="triton")
