"""No launch has more programs on an axis than CUDA allows, with more rows times heads than its lesser axes have."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from triton.runtime.jit import KernelInterface

from kernels.grid import line

ROWS, HEADS = 2, 32_768
LARGEST = (2**31 - 1, 65_535, 65_535)


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


def attention() -> Tensor:
    from kernels.attention import Pattern, Structure, triton_kernel

    q, k, v = (randn(ROWS, HEADS, 1, 2) for _ in range(3))
    return triton_kernel.attention(q, k, v, Pattern(), Structure())


def gla() -> Tensor:
    from kernels.gla import triton_kernel

    q, k, v, log_f = (randn(ROWS, HEADS, 1, 2) for _ in range(4))
    with torch.no_grad():
        triton_kernel.gated_linear_attention(q, k, v, log_f, randn(ROWS, HEADS, 2, 2))
    return torch.cat(triton_kernel.gated_linear_attention(q, k, v, log_f, randn(ROWS, HEADS, 2, 2)), -2)


def value_gates() -> Tensor:
    from kernels.gla import triton_values

    q, k, v, log_g = (randn(ROWS, HEADS, 1, 2) for _ in range(4))
    return torch.cat(triton_values.value_gated_attention(q, k, v, log_g, randn(ROWS, HEADS, 2, 2)), -2)


def rat_between() -> Tensor:
    from kernels.rat import triton_kernel

    q, k, v, k_ends, v_ends = (randn(ROWS, 1, HEADS, 2) for _ in range(5))
    first, end = torch.zeros(ROWS, dtype=torch.long), torch.ones(ROWS, 1, dtype=torch.long)
    return triton_kernel.chunk_attention(q, k, v, k_ends, v_ends, first, end)


def rat_within() -> Tensor:
    from kernels.rat import triton_kernel

    k, v, g = (randn(ROWS * HEADS, 1, 1, 2) for _ in range(3))
    before = (torch.zeros(ROWS * HEADS, 1, 2) for _ in range(2))
    phase = torch.zeros(ROWS * HEADS, dtype=torch.long)
    return torch.cat(triton_kernel.chunk_scan(k, v, g, 16, phase, *before))


def prefix_softmax() -> Tensor:
    from kernels.prefix_softmax import triton_kernel

    scores, v = randn(ROWS, HEADS, 1), randn(ROWS, HEADS, 1, 2)
    return triton_kernel.prefix_softmax(scores, v, randn(ROWS, HEADS), randn(ROWS, HEADS, 2))[0]


def scan() -> Tensor:
    from kernels.scan import triton_kernel

    a, b = (randn(ROWS * HEADS, 1, 2) for _ in range(2))
    return triton_kernel.linear_scan(a, b, randn(ROWS * HEADS, 2))


def taylor() -> Tensor:
    from kernels.taylor import n_features, triton_kernel

    q, k, v = (randn(ROWS, HEADS, 1, 2) for _ in range(3))
    return triton_kernel.taylor_attention(q, k, v, randn(ROWS, HEADS, n_features(2, 2, 0), 2), 2, 0)[0]


def taps() -> Tensor:
    from kernels.taps import triton_kernel

    return triton_kernel.taps(randn(ROWS * HEADS, 3, 2), randn(2, 3), 1)


def landmark() -> Tensor:
    from kernels.landmark import triton_kernel

    q, k, v, marks = (randn(ROWS, HEADS, *last) for last in ((1, 2), (4, 2), (4, 2), (1, 1)))
    place = torch.zeros(ROWS, 1, dtype=torch.long)
    return triton_kernel.landmark_attention(q, k, v, marks, place, 4, True, None)


def neural_memory() -> Tensor:
    from kernels.neural_memory import Fast, Gates, Rule, Squared, triton_kernel

    q, k, v = (randn(ROWS, HEADS, 1, 2) for _ in range(3))
    weights = (randn(ROWS, HEADS, 2, 2),)
    gates = Gates(*(-randn(ROWS, HEADS, 1).square() for _ in range(3)))
    state = Fast(weights, weights, weights, torch.zeros(ROWS, dtype=torch.long))
    return triton_kernel.neural_memory(q, k, v, gates, state, Rule(error=Squared(2.0), chunk=1), None)[0]


def linear_crf() -> Tensor:
    from kernels.crf import linear_chain, triton_kernel

    emissions = randn(ROWS * HEADS, 1, 2)
    chain = linear_chain(torch.ones(ROWS * HEADS, 1, dtype=torch.bool), randn(2), randn(2), randn(2, 2))
    return triton_kernel.log_partition(emissions, chain)


def dialog_gru() -> Tensor:
    from kernels.rnn import triton_kernel

    weights = (randn(6, 2), randn(6), randn(6, 2), randn(6))
    n = ROWS * HEADS
    source, lengths = torch.zeros(n, 1, dtype=torch.long), torch.ones(n, dtype=torch.long)
    return triton_kernel.dialog_gru(randn(n, 1, 8), *weights, source, randn(n, 1), randn(n, 1), randn(n, 1, 2), lengths)


OPS = (
    attention, gla, value_gates, rat_between, rat_within, prefix_softmax, scan, taylor, taps, landmark, neural_memory,
    linear_crf, dialog_gru,
)  # fmt: skip


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_a_grid_has_room_for_any_number_of_rows_and_heads(
    monkeypatch: pytest.MonkeyPatch, op: Callable[[], Tensor]
) -> None:
    grids: list[tuple[int, ...]] = []

    def launch(_: Any, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *args, **named: grids.append(grid)

    monkeypatch.setattr(KernelInterface, "__getitem__", launch)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    op().sum().backward()
    assert len(grids) >= 2, "a launch forwards and one backwards"
    for grid in grids:
        assert all(n <= most for n, most in zip(grid, LARGEST, strict=False)), f"a grid of {grid}"


def test_a_line_has_a_program_for_every_block_of_every_row() -> None:
    assert line(3, 5) == (15,)
    assert line(2, 3, 65_536) == (393_216,)
