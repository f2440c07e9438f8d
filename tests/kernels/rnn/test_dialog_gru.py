"""The recurrence of a DialogGRU: every backend against the reference, outputs and gradients."""

from functools import partial

import pytest
import torch
from torch import Tensor

from kernels.backend import BackendUnavailable
from kernels.rnn import dialog_gru, link, no_turns
from tests.kernels.accuracy import assert_as_accurate


def arguments(lengths: list[int], width: int, n_slots: int = 2, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    batch, n_tokens = len(lengths), max(lengths)
    ids, lens = torch.randint(0, 3, (batch, n_tokens)), torch.tensor(lengths)
    links, _, _ = link(ids, lens, no_turns(batch, n_slots))
    shapes = [(batch, n_tokens, 4 * width), (3 * width, width), (3 * width,), (3 * width, width), (3 * width,)]
    gates, w_c, b_c, w_i, b_i = (torch.randn(shape, dtype=dtype) / 3 for shape in shapes)
    p_inertia = torch.rand(batch, n_tokens, dtype=dtype) * links.inertia
    p_contagion = torch.rand(batch, n_tokens, dtype=dtype) * links.contagion
    memory = torch.randn(batch, n_slots, width, dtype=dtype)
    return [gates, w_c, b_c, w_i, b_i, links.source, p_inertia, p_contagion, memory, lens]


def run(*args: Tensor, backend: str) -> Tensor:
    return dialog_gru(*args[:-1], lengths=args[-1], backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("lengths", [[1], [7, 7], [33, 7, 1, 0], [2, 12, 5]])
@pytest.mark.parametrize("n_slots", [2, 4])
def test_the_quick_loop_equals_the_reference_in_output_and_gradient(lengths: list[int], n_slots: int) -> None:
    """Invariant 13, at 1e-10 in float64."""
    args = arguments(lengths, 6, n_slots)
    leaves = [a.requires_grad_() for a in args if a.is_floating_point()]
    results = []
    for backend in ("torch", "reference"):
        h = run(*args, backend=backend)
        weight = torch.linspace(-1, 1, h.numel(), dtype=h.dtype).view_as(h)
        results.append([h, *torch.autograd.grad((h * weight).sum(), leaves)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)


def test_the_quick_loop_is_as_accurate_in_single_precision() -> None:
    args = arguments([9, 4], 5, dtype=torch.float32)
    assert_as_accurate(partial(run, backend="torch"), partial(run, backend="reference"), args)


@pytest.mark.parametrize(("lengths", "width", "n_slots"), [([1], 5, 2), ([7, 3, 0], 20, 2), ([5] * 17, 3, 4)])
def test_the_kernel_is_as_accurate(lengths: list[int], width: int, n_slots: int, device: torch.device) -> None:
    args = [z.to(device) for z in arguments(lengths, width, n_slots, dtype=torch.float32)]
    assert_as_accurate(partial(run, backend="triton"), partial(run, backend="reference"), args)


def test_the_kernel_answers_without_keeping_anything(device: torch.device) -> None:
    args = [z.to(device) for z in arguments([4, 2], 5, dtype=torch.float32)]
    torch.testing.assert_close(run(*args, backend="triton"), run(*args, backend="torch"))


def test_sixteen_bits_are_computed_in_thirty_two() -> None:
    args = arguments([4, 2], 5, dtype=torch.float16)
    h = run(*args, backend="torch")
    assert h.dtype == torch.float32
    wide = [a.float() if a.is_floating_point() else a for a in args]
    assert torch.equal(h, run(*wide, backend="torch"))


def test_the_kernel_says_what_it_lacks() -> None:
    with pytest.raises(BackendUnavailable, match="float64"):
        run(*arguments([3], 4), backend="triton")


def test_its_gradient_is_the_slope() -> None:
    args = arguments([4, 2], 3)
    floating = [i for i, a in enumerate(args) if a.is_floating_point()]

    def f(*leaves: Tensor) -> Tensor:
        whole = list(args)
        for i, leaf in zip(floating, leaves, strict=True):
            whole[i] = leaf
        return run(*whole, backend="torch")

    assert torch.autograd.gradcheck(f, [args[i].requires_grad_() for i in floating])


def test_a_shape_that_does_not_fit_is_named() -> None:
    args = arguments([3], 4)
    args[1] = args[1][:-1]
    with pytest.raises(ValueError, match=r"w_contagion is \(11, 4\), expected \(12, 4\)"):
        run(*args, backend="torch")


def test_a_backend_nobody_knows_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="abacus"):
        run(*arguments([3], 4), backend="abacus")
