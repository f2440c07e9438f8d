"""Taps along time: the quick way against the loop, values and gradients."""

import pytest
import torch

from kernels.taps import reference, taps
from tests.kernels.accuracy import assert_as_accurate


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize(("n_frames", "width"), [(1, 1), (7, 3), (33, 5), (20, 7)])
def test_the_quick_way_is_the_loop(n_frames: int, width: int, dilation: int) -> None:
    if n_frames < (width - 1) * dilation:
        pytest.skip("too short for these taps, which another test refuses")
    found = []
    for backend in ("reference", "torch"):
        torch.manual_seed(0)
        u = torch.randn(2, n_frames, 6, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(6, width, dtype=torch.float64, requires_grad=True)
        y = taps(u, weight, dilation, backend=backend)  # type: ignore[arg-type]
        assert y.shape == (2, n_frames - (width - 1) * dilation, 6)
        grads = torch.autograd.grad((y * torch.arange(1, 7)).square().sum() + (u.sum() + weight.sum()), (u, weight))
        found.append((y, *grads))
    for quick, slow in zip(*found, strict=True):
        torch.testing.assert_close(quick, slow)


def test_gradients_are_those_of_differences() -> None:
    u = torch.randn(1, 9, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: taps(a, b, 2), (u, weight))
    assert torch.autograd.gradgradcheck(lambda a, b: taps(a, b, 2), (u, weight))


def test_gradients_of_each_row_are_made_at_once() -> None:
    u, weight = torch.randn(3, 1, 9, 2, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    one = torch.func.grad(lambda w, row: taps(row, w, 2).square().sum())
    apart = torch.stack([one(weight, row) for row in u])
    torch.testing.assert_close(torch.func.vmap(one, (None, 0))(weight, u), apart)


def test_no_gradient_is_made_that_nobody_asked_for() -> None:
    weight = torch.randn(4, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(taps(torch.ones(1, 5, 4), weight).sum(), weight)
    torch.testing.assert_close(grad, torch.full((4, 3), 3.0))


@pytest.mark.parametrize(
    ("u", "weight", "dilation", "said"),
    [
        ((2, 9, 4), (5, 3), 1, r"u is \(2, 9, 4\) and weight \(5, 3\)"),
        ((2, 9, 4), (4, 3), 0, "dilation is 0"),
        ((2, 3, 4), (4, 3), 2, "3 frames long, expected at least 4"),
    ],
)
def test_what_does_not_fit_is_refused(u: tuple[int, ...], weight: tuple[int, ...], dilation: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        taps(torch.zeros(u), torch.zeros(weight), dilation)


@pytest.mark.parametrize(
    ("n_frames", "channels", "width", "dilation", "dtype"),
    [
        (1, 3, 1, 1, torch.float32),
        (7, 5, 3, 2, torch.float32),
        (73, 20, 5, 4, torch.float32),
        (150, 70, 2, 3, torch.float32),
        (33, 6, 4, 1, torch.float16),
    ],
)
def test_the_kernel_is_as_accurate_as_its_dtype_allows(
    n_frames: int, channels: int, width: int, dilation: int, dtype: torch.dtype, device: torch.device
) -> None:
    u = torch.randn(2, n_frames, channels, dtype=dtype, device=device)
    weight = torch.randn(channels, width, dtype=dtype, device=device)
    assert_as_accurate(
        lambda u, w: taps(u, w, dilation, backend="triton"),
        lambda u, w: reference.taps(u, w, dilation),
        (u, weight),
        floor=torch.finfo(dtype).eps if dtype == torch.float16 else 1e-6,
    )


def test_the_kernel_is_exact_in_double_precision(device: torch.device) -> None:
    u, weight = (torch.randn(*s, dtype=torch.float64, device=device) for s in ((2, 90, 4), (4, 3)))
    assert_as_accurate(
        lambda u, w: taps(u, w, 5, backend="triton"), lambda u, w: reference.taps(u, w, 5), (u, weight), floor=1e-14
    )
