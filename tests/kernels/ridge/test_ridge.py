"""Ridge regression against its definition, and against what it is a special case of or a limit of."""

import pytest
import torch
from torch import Tensor

from kernels.backend import BackendUnavailable
from kernels.gla import gated_linear_attention
from kernels.ridge import kernel_ridge, ridge_regression

B, H, K, V = 2, 3, 4, 5


def arguments(n: int) -> list[Tensor]:
    torch.manual_seed(n)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    q, k, v = draw(B, H, n, K), torch.nn.functional.normalize(draw(B, H, n, K), dim=-1), draw(B, H, n, V)
    log_f, weight = torch.nn.functional.logsigmoid(draw(B, H, n) + 2), draw(B, H, n).sigmoid()
    half = draw(B, H, K, K)
    return [q, k, v, log_f, weight, draw(H, K).exp(), half @ half.mT, draw(B, H, K, V)]


@pytest.mark.parametrize("n", [1, 7, 33])
def test_chunks_equal_the_reference_in_output_state_and_every_gradient(n: int) -> None:
    leaves = [z.requires_grad_() for z in arguments(n)]
    results = []
    for backend in ("torch", "reference"):
        o, (S, N) = ridge_regression(*leaves[:6], (leaves[6], leaves[7]), backend=backend)  # type: ignore[arg-type]
        loss = o.sin().sum() + S.square().sum() + N.sum()
        gradients = list(torch.autograd.grad(loss, leaves))
        # S is symmetric, so only the symmetric part of its gradient says anything.
        gradients[6] = gradients[6] + gradients[6].mT
        results.append([o, S, N, *gradients])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("cut", [1, 16, 20])
def test_it_goes_on_where_it_stopped(cut: int) -> None:
    *given, S, N = arguments(33)
    whole, last = ridge_regression(*given, (S, N))
    state, parts = (S, N), []
    for here in (slice(cut), slice(cut, None)):
        o, state = ridge_regression(*(z[:, :, here] for z in given[:5]), given[5], state)
        parts.append(o)
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    torch.testing.assert_close(state, last)


def test_without_forgetting_it_is_recursive_least_squares() -> None:
    """Sherman and Morrison's step on P = (S + ridge)^{-1}."""
    q, k, v, _, weight, ridge, _, _ = arguments(12)
    zero = torch.zeros(B, H, K, K, dtype=torch.float64), torch.zeros(B, H, K, V, dtype=torch.float64)
    o, _ = ridge_regression(q, k, v, torch.zeros_like(weight), weight, ridge, zero)
    P, M = torch.diag_embed(1 / ridge).expand(B, H, K, K), torch.zeros(B, H, V, K, dtype=torch.float64)
    for t in range(12):
        k_t, v_t, w = k[:, :, t, :, None], v[:, :, t, :, None], weight[:, :, t, None, None]
        Pk = P @ k_t
        P = P - Pk @ Pk.mT * w / (1 + w * (k_t.mT @ Pk))
        M = M + w * (v_t - M @ k_t) @ (P @ k_t).mT
        torch.testing.assert_close(o[:, :, t], (M @ q[:, :, t, :, None])[..., 0])


def test_a_large_ridge_times_the_answer_is_gated_linear_attention() -> None:
    q, k, v, log_f, weight, ridge, S, N = arguments(9)
    o, _ = ridge_regression(q, k, v, log_f, weight, torch.full_like(ridge, 1e9), (S, N))
    expected, _ = gated_linear_attention(q, weight[..., None] * k, v, log_f[..., None], N)
    torch.testing.assert_close(o * 1e9, expected, rtol=1e-6, atol=1e-6)


def test_order_does_not_matter_without_forgetting() -> None:
    q, k, v, log_f, weight, ridge, S, N = arguments(9)
    order = torch.randperm(9)
    _, whole = ridge_regression(q, k, v, 0 * log_f, weight, ridge, (S, N))
    _, mixed = ridge_regression(q, *(z[:, :, order] for z in (k, v, 0 * log_f, weight)), ridge, (S, N))
    torch.testing.assert_close(mixed, whole)


def test_a_linear_map_is_found_exactly_once_there_are_enough_keys() -> None:
    q, k, _, _, weight, ridge, S, N = arguments(9)
    true = torch.randn(H, K, V, dtype=torch.float64)
    o, _ = ridge_regression(q, k, k @ true, 0 * weight, weight, 1e-10 * ridge, (0 * S, 0 * N))
    torch.testing.assert_close(o[:, :, K:], (q @ true)[:, :, K:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [1, 7, 20])
def test_kernel_ridge_of_every_prefix_equals_the_reference(n: int) -> None:
    q, k, v, *_ = arguments(20)
    q = torch.nn.functional.normalize(q, dim=-1)[:, :, 20 - n :]
    scale, ridge = torch.tensor([1.0, 2.0, 5.0]).double(), torch.tensor([0.1, 0.5, 1.0]).double()
    start = torch.tensor([0, 20 - n])
    leaves = [z.requires_grad_() for z in (q, k, v, scale, ridge)]
    results = []
    for backend in ("torch", "reference"):
        o = kernel_ridge(*leaves, start, backend=backend)  # type: ignore[arg-type]
        results.append([o, *torch.autograd.grad(o.sin().sum(), leaves)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain)


def test_shapes_that_disagree_and_a_kernel_that_is_not_there_are_refused() -> None:
    *given, S, N = arguments(3)
    with pytest.raises(ValueError, match=r"weight is \(2, 3, 2\), expected \(2, 3, 3\)"):
        ridge_regression(*given[:4], given[4][:, :, 1:], given[5], (S, N))
    with pytest.raises(BackendUnavailable, match="no kernel"):
        ridge_regression(*given, (S, N), backend="triton")
