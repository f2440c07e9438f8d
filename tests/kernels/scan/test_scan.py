"""The linear scan: every implementation is the recurrence, forwards and backwards in time."""

import pytest
import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.scan import linear_scan, reference, scan_and_state
from tests.kernels.accuracy import assert_as_accurate

BACKENDS: list[Backend] = ["torch", "triton"]


def inputs(n_tokens: int, width: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Gates of both signs around zero, inputs and a first state."""
    return [
        torch.rand(2, n_tokens, width, dtype=dtype) * 2 - 1,
        torch.randn(2, n_tokens, width, dtype=dtype),
        torch.randn(2, width, dtype=dtype),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n_tokens", "width"), [(1, 3), (7, 40), (33, 5), (150, 3)])
def test_every_backend_is_as_accurate_as_its_dtype_allows(
    backend: Backend, n_tokens: int, width: int, device: torch.device
) -> None:
    args = [z.to(device) for z in inputs(n_tokens, width, torch.float32)]
    assert_as_accurate(lambda *a: linear_scan(*a, backend=backend), reference.linear_scan, args)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n_tokens", "width"), [(1, 3), (70, 3)])
@pytest.mark.parametrize("answer", [torch.float16, None])
def test_half_precision_in_and_out_costs_what_rounding_costs(
    backend: Backend, n_tokens: int, width: int, answer: torch.dtype | None, device: torch.device
) -> None:
    args = [z.to(device) for z in inputs(n_tokens, width, torch.float16)]
    args[2] = args[2].float()

    def rounded(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        wide = torch.promote_types(a.dtype, torch.float32)
        states = reference.linear_scan(a.to(wide), b.to(wide), h.to(wide))
        return states if answer is None or a.dtype == torch.float64 else states.to(answer)

    # In 16 bits the gates' gradients are products with states that were rounded, once more than the definition's.
    floor = torch.finfo(torch.float16).eps
    assert_as_accurate(lambda a, b, h: linear_scan(a, b, h, dtype=answer, backend=backend), rounded, args, floor=floor)


def test_the_kernel_holds_half_precision_in_single(device: torch.device) -> None:
    """A sum of a thousand small steps, which half precision would lose one by one."""
    a, b = torch.ones(1, 1000, 1, device=device).half(), torch.full((1, 1000, 1), 2.0**-11, device=device).half()
    states = linear_scan(a, b, torch.ones(1, 1, device=device), dtype=torch.float16, backend="triton")
    assert states.dtype == torch.float16
    torch.testing.assert_close(states[0, -1, 0].item(), 1.0 + 1000 * 2.0**-11, rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_tokens", [1, 70])
def test_the_last_state_is_whole_and_takes_a_gradient(backend: Backend, n_tokens: int, device: torch.device) -> None:
    args = [z.to(device).requires_grad_() for z in inputs(n_tokens, 3)]
    weight = torch.randn(2, 3, dtype=torch.float64, device=device)
    states, last = scan_and_state(*args, backend=backend)
    expected = reference.linear_scan(*args)
    torch.testing.assert_close(last, expected[:, -1])
    ours = torch.autograd.grad((states.sin().sum() + (last * weight).sum()), args)
    theirs = torch.autograd.grad(expected.sin().sum() + (expected[:, -1] * weight).sum(), args)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    (alone,) = torch.autograd.grad(scan_and_state(*args, backend=backend)[1].sum(), args[2:])  # nothing asks the others
    torch.testing.assert_close(alone, torch.autograd.grad(reference.linear_scan(*args)[:, -1].sum(), args[2:])[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_half_precision_the_last_state_is_not_rounded(backend: Backend, device: torch.device) -> None:
    a, b = torch.ones(1, 100, 1, device=device).half(), torch.full((1, 100, 1), 2.0**-12, device=device).half()
    states, last = scan_and_state(a, b, torch.ones(1, 1, device=device), dtype=torch.float16, backend=backend)
    assert (states.dtype, last.dtype) == (torch.float16, torch.float32)
    assert last.item() == 1.0 + 100 * 2.0**-12


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_backwards_in_time_is_the_flipped_scan(backend: Backend, device: torch.device) -> None:
    a, b, h = (z.to(device) for z in inputs(12, 4))
    expected = reference.linear_scan(a.flip(1), b.flip(1), h).flip(1)
    torch.testing.assert_close(linear_scan(a, b, h, reverse=True, backend=backend), expected)


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_half_precision_is_held_in_single(backend: Backend, device: torch.device) -> None:
    a, b, h = (z.to(device, torch.float16) for z in inputs(20, 4))
    states = linear_scan(a, b, h, backend=backend)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, reference.linear_scan(a.float(), b.float(), h.float()))


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_gates_are_broadcast_and_no_state_is_zero(backend: Backend, device: torch.device) -> None:
    a, b, h = (z.to(device) for z in inputs(9, 4))
    states = linear_scan(a[:1, :, :1], b, backend=backend)
    expected = reference.linear_scan(a[:1, :, :1].expand_as(b), b, torch.zeros_like(h))
    torch.testing.assert_close(states, expected)


def test_the_quick_version_can_be_differentiated_twice() -> None:
    args = [z.requires_grad_() for z in inputs(6, 2)]
    assert torch.autograd.gradcheck(lambda *a: linear_scan(*a, backend="torch"), args)
    assert torch.autograd.gradgradcheck(lambda *a: linear_scan(*a, backend="torch"), args)


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_gates_of_one_sum_and_gates_of_zero_forget(backend: Backend, device: torch.device) -> None:
    _, b, h = (z.to(device) for z in inputs(40, 3))
    torch.testing.assert_close(linear_scan(torch.ones_like(b), b, h, backend=backend), h[:, None] + b.cumsum(1))
    torch.testing.assert_close(linear_scan(torch.zeros_like(b), b, h, backend=backend), b)


def test_no_tokens_give_no_states() -> None:
    assert linear_scan(torch.zeros(2, 0, 3), torch.zeros(2, 0, 3), torch.zeros(2, 3)).shape == (2, 0, 3)


def test_shapes_that_disagree_and_unknown_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="do not broadcast"):
        linear_scan(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match=r"expected a, b \(B, T, D\) and h \(B, D\)"):
        linear_scan(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(2, 5))
    with pytest.raises(BackendUnavailable):
        linear_scan(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), backend="cuda")  # type: ignore[arg-type]
