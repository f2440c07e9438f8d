"""The one yardstick for numerical error: a kernel may cost twice what its dtype costs the reference.

The reference in float64 is the truth; the reference in the working dtype shows what that dtype costs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Op = Callable[..., Any]


def assert_as_accurate(
    kernel: Op, reference: Op, args: Sequence[Any], *, slack: float = 2.0, floor: float = 1e-6, gradients: bool = True
) -> None:
    """Compares every output, and with `gradients` the gradient of every floating argument.

    The arguments are tensors or None or what else both ops take; an op answers with a tensor or a tuple of tensors.
    The gradient is that of a fixed random mixture of all floating outputs. floor is an error always allowed, for
    numbers of order 1.
    """
    truths = _results(reference, [a.double() if _floating(a) else a for a in args], gradients)
    plains = _results(reference, args, gradients)
    for (name, fast), (_, plain), (_, truth) in zip(_results(kernel, args, gradients), plains, truths, strict=True):
        assert fast.shape == truth.shape, f"{name}: shape {tuple(fast.shape)}, expected {tuple(truth.shape)}"
        assert fast.dtype == plain.dtype, f"{name}: {fast.dtype}, expected {plain.dtype}"
        if not truth.numel():
            continue
        if not truth.is_floating_point():
            assert torch.equal(fast, truth), f"{name}: the whole numbers differ"
            continue
        allowed = slack * (plain.double() - truth).abs().max() + floor * max(1.0, truth.abs().max().item())
        error = (fast.double() - truth).abs().max()
        assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"


def _results(op: Op, args: Sequence[Any], gradients: bool) -> list[tuple[str, Tensor]]:
    args = [a.detach().clone().requires_grad_(gradients) if _floating(a) else a for a in args]
    outputs = op(*args)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    results = [(f"output {i}", y.detach()) for i, y in enumerate(outputs)]
    if gradients:
        random = torch.Generator().manual_seed(0)
        mixed = torch.zeros((), dtype=torch.float64, device=outputs[0].device)
        for y in outputs:
            if _floating(y):
                weight = torch.randn(y.shape, generator=random, dtype=torch.float64).to(y.device)
                mixed = mixed + (y.double() * weight).sum()
        where = [i for i, a in enumerate(args) if _floating(a)]
        found = torch.autograd.grad(mixed, [args[i] for i in where], allow_unused=True)
        for i, gradient in zip(where, found, strict=True):
            results.append((f"gradient of argument {i}", torch.zeros_like(args[i]) if gradient is None else gradient))
    return results


def _floating(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
