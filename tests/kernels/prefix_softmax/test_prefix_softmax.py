"""Prefix softmax: every backend against the reference and against plain softmax."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from kernels.backend import BackendUnavailable
from kernels.prefix_softmax import chunked, prefix_softmax, reference
from tests.kernels.accuracy import assert_as_accurate

BACKENDS = ["torch", "reference", "triton"]


def arguments(n_tokens: int, width: int = 5, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    state_dtype = torch.promote_types(dtype, torch.float32)
    scores = torch.randn(2, 3, n_tokens, dtype=state_dtype) * 3
    v = torch.randn(2, 3, n_tokens, width, dtype=dtype)
    return [scores, v, torch.randn(2, 3, dtype=state_dtype), torch.randn(2, 3, width, dtype=state_dtype)]


def plain(*args: Tensor) -> tuple[Tensor, ...]:
    """The reference with all of it in the working dtype: what that dtype costs. The op's own states are float64."""
    o, log_sum, mean = reference.prefix_softmax(*args)
    return o, log_sum.double(), mean.double()


def test_it_is_softmax_over_every_prefix() -> None:
    scores, v, _, _ = arguments(9)
    o, log_sum, mean = prefix_softmax(scores, v, backend="reference")
    for t in range(9):
        expected = (scores[..., : t + 1].softmax(-1)[..., None] * v[:, :, : t + 1]).sum(2)
        torch.testing.assert_close(o[:, :, t], expected)
    torch.testing.assert_close(log_sum, scores.logsumexp(-1))
    torch.testing.assert_close(mean, o[:, :, -1])


@pytest.mark.parametrize("n_tokens", [1, 7, 33])
@pytest.mark.parametrize("chunk", [8, 64])
@pytest.mark.parametrize("hole", [False, True])
def test_chunks_equal_the_reference_in_output_and_gradient(
    monkeypatch: pytest.MonkeyPatch, n_tokens: int, chunk: int, hole: bool
) -> None:
    monkeypatch.setattr(chunked, "CHUNK", chunk)
    scores, v, log_sum, mean = arguments(n_tokens)
    if hole:  # tokens left out, a start from nothing, and rows that see nothing at all
        scores[0, :, : n_tokens // 2] = -torch.inf
        scores[1] = -torch.inf
        log_sum, mean = torch.full_like(log_sum, -torch.inf), torch.zeros_like(mean)
    leaves = [z.requires_grad_() for z in (scores, v, log_sum, mean)]
    results = []
    for backend in ("torch", "reference"):
        o, last_sum, last_mean = prefix_softmax(*leaves, backend=backend)  # type: ignore[arg-type]
        weight = torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o)
        loss = (o * weight).sum() + last_mean.square().sum() + last_sum[last_sum > -torch.inf].sum()
        results.append([o, last_mean, *torch.autograd.grad(loss, leaves)])
        assert torch.equal(last_sum > -torch.inf, ~(torch.isinf(leaves[0]).all(-1) & torch.isinf(leaves[2])))
    for fast, plain in zip(*results, strict=True):
        assert fast.isfinite().all()
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("n_tokens", [7, 33])
def test_chunks_are_as_accurate(dtype: torch.dtype, n_tokens: int) -> None:
    assert_as_accurate(partial(prefix_softmax, backend="torch"), plain, arguments(n_tokens, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("n_tokens", [1, 7, 33])
def test_the_kernel_is_as_accurate(dtype: torch.dtype, n_tokens: int, device: torch.device) -> None:
    values = [z.to(device) for z in arguments(n_tokens, dtype=dtype)]
    assert_as_accurate(partial(prefix_softmax, backend="triton"), plain, values)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_kernel_may_cut_time_and_width_anywhere(
    monkeypatch: pytest.MonkeyPatch, parts: int, device: torch.device
) -> None:
    from kernels.prefix_softmax import triton_kernel

    def cut(tiles: int, programs: int, on_gpu: bool) -> tuple[int, int]:
        return parts, -(-tiles // parts)

    monkeypatch.setattr(triton_kernel, "segments", cut)
    values = [z[:1].to(device) for z in arguments(34, width=20, dtype=torch.float32)]
    values[0][0, 0, :20], values[2][0, 0], values[3][0, 0] = -torch.inf, -torch.inf, 0.0  # a head that begins late
    values[0][0, 1] *= 30.0  # and one whose weight is on few
    assert_as_accurate(partial(prefix_softmax, backend="triton"), plain, values, floor=1e-5)


@pytest.mark.gpu
def test_the_kernel_is_as_accurate_in_bfloat16(device: torch.device) -> None:
    values = [z.to(device) for z in arguments(100, width=64, dtype=torch.bfloat16)]
    assert_as_accurate(partial(prefix_softmax, backend="triton"), plain, values)


def test_the_kernel_leaves_tokens_out_and_starts_from_nothing(device: torch.device) -> None:
    scores, v, _, _ = (z.to(device) for z in arguments(20, dtype=torch.float32))
    scores[0, :, :18] = -torch.inf
    scores[1] = -torch.inf
    results = []
    for backend in ("triton", "reference"):
        leaves = [scores.clone().requires_grad_(), v.clone().requires_grad_()]
        o, log_sum, mean = prefix_softmax(*leaves, backend=backend)  # type: ignore[arg-type]
        gradients = torch.autograd.grad(o.square().sum() + mean.sum(), leaves)
        results.append([o, log_sum, mean, *gradients])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)


def test_the_kernel_says_what_it_lacks() -> None:
    with pytest.raises(BackendUnavailable, match=r"in float32, and this in torch\.float64"):
        prefix_softmax(*arguments(3), backend="triton")


def test_no_tokens_leave_the_state_alone() -> None:
    scores, v, log_sum, mean = arguments(3)
    o, last_sum, last_mean = prefix_softmax(scores[:, :, :0], v[:, :, :0], log_sum, mean)
    assert o.shape == (2, 3, 0, 5)
    assert torch.equal(last_sum, log_sum)
    assert torch.equal(last_mean, mean)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_late_high_score_does_not_lose_the_early_tokens(backend: str) -> None:
    """One global maximum and a plain cumsum give 0/0 at the first positions."""
    scores = torch.zeros(1, 1, 8)
    scores[..., -1] = 200.0
    v = torch.arange(8.0)[None, None, :, None]
    o, _, _ = prefix_softmax(scores, v, backend=backend)  # type: ignore[arg-type]
    torch.testing.assert_close(o[0, 0, :, 0], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 7.0]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_very_low_scores_still_weigh_against_each_other(backend: str) -> None:
    scores = torch.tensor([[[-300.0, -300.0, -301.0]]])
    v = torch.tensor([[[[1.0], [3.0], [5.0]]]])
    o, _, _ = prefix_softmax(scores, v, backend=backend)  # type: ignore[arg-type]
    torch.testing.assert_close(o[0, 0, 1, 0], torch.tensor(2.0))


def test_a_state_that_does_not_fit_is_refused() -> None:
    scores, v, log_sum, mean = arguments(3)
    with pytest.raises(ValueError, match="both or neither"):
        prefix_softmax(scores, v, log_sum)
    with pytest.raises(ValueError, match=r"mean \(2, 3, 4\)"):
        prefix_softmax(scores, v, log_sum, mean[..., :-1])
    with pytest.raises(ValueError, match="v is"):
        prefix_softmax(scores, v[:, :, :-1])


@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_a_stream_does_not_drift(backend: Any) -> None:
    one, state = torch.ones(1, 1, 1, 1), (None, None)
    torch.manual_seed(0)
    for score in (torch.randn(3000) * 2).tolist():
        o, *state = prefix_softmax(torch.full((1, 1, 1), score), one, *state, backend=backend)  # type: ignore[assignment]
    assert abs(float(o) - 1.0) < 1e-6
    assert abs(float(state[1]) - 1.0) < 1e-6  # type: ignore[arg-type]


def test_a_state_in_double_precision_stays_so() -> None:
    scores, v, log_sum, mean = arguments(7, dtype=torch.float32)
    for backend in ("torch", "reference"):
        o, last_sum, last_mean = prefix_softmax(scores, v, log_sum, mean, backend=backend)  # type: ignore[arg-type]
        assert (o.dtype, last_sum.dtype, last_mean.dtype) == (torch.float32, torch.float64, torch.float64)
