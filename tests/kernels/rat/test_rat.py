"""RAT's two ops: every implementation is the definition, and the definition is what the sheet says."""

import pytest
import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.rat import blockwise, chunk_attention, chunk_scan, reference
from tests.kernels.accuracy import assert_as_accurate

BACKENDS: list[Backend] = ["torch", "triton"]
PHASE = torch.tensor([0, 3])


def scan_inputs(n_tokens: int, size: int, dtype: torch.dtype, heads: int = 2, width: int = 5) -> list[object]:
    """Two rows that stand at different places in their first chunk; two heads share a key."""
    wide = torch.promote_types(dtype, torch.float32)
    k, v, g = (torch.randn(2, n_tokens, n, width, dtype=dtype) for n in (1, heads, heads))
    before = (torch.randn(2, heads, width, dtype=wide) for _ in range(2))
    return [k, v, g.sigmoid().to(wide), size, PHASE % size, *before]


def attention_inputs(n_tokens: int, n_slots: int, dtype: torch.dtype, width: int = 5) -> list[Tensor]:
    """Rows that see different slots: one none at first, one from the second slot on."""
    q, k_own, v_own = (torch.randn(2, n_tokens, 2, width, dtype=dtype) for _ in range(3))
    k_ends, v_ends = (torch.randn(2, n_slots, 2, width, dtype=dtype) for _ in range(2))
    first = torch.tensor([0, 1])
    end = first[:, None] + torch.tensor([[0], [n_slots // 2]]) + torch.arange(n_tokens) // 4
    return [q, k_own, v_own, k_ends, v_ends, first, end.clamp(max=n_slots)]


def on(device: torch.device, args: list[object]) -> list[object]:
    return [a.to(device) if isinstance(a, Tensor) else a for a in args]


@pytest.mark.parametrize(
    ("n_tokens", "size", "dtype"),
    [(1, 4, torch.float32), (7, 1, torch.float32), (13, 4, torch.float16), (10, 16, torch.float32)],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_scan_is_as_accurate_as_its_dtype_allows(
    backend: Backend, n_tokens: int, size: int, dtype: torch.dtype, device: torch.device
) -> None:
    args = on(device, scan_inputs(n_tokens, size, dtype))
    half = dtype == torch.float16  # a gradient is rounded to it once, however wide the sums
    assert_as_accurate(
        lambda *a: chunk_scan(*a, backend=backend),
        reference.chunk_scan,
        args,
        floor=torch.finfo(dtype).eps / 2 if half else 1e-6,
    )


@pytest.mark.parametrize(
    ("n_tokens", "n_slots", "width", "dtype"),
    [(1, 3, 4, torch.float32), (7, 0, 5, torch.float32), (33, 9, 5, torch.float32), (33, 20, 5, torch.float16)],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_attention_is_as_accurate_as_its_dtype_allows(
    backend: Backend,
    n_tokens: int,
    n_slots: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blockwise, "BLOCK", 10)
    args = on(device, list(attention_inputs(n_tokens, n_slots, dtype, width)))
    half = dtype == torch.float16
    assert_as_accurate(
        lambda *a: chunk_attention(*a, backend=backend),
        reference.chunk_attention,
        args,
        floor=torch.finfo(dtype).eps / 2 if half else 1e-6,
    )


def test_both_are_exact_in_double_precision() -> None:
    assert_as_accurate(
        blockwise.chunk_scan, reference.chunk_scan, scan_inputs(21, 4, torch.float64, heads=4), floor=1e-14
    )
    args = attention_inputs(21, 6, torch.float64)
    assert_as_accurate(blockwise.chunk_attention, reference.chunk_attention, args, floor=1e-14)


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_a_chunk_starts_from_nothing_and_goes_on_from_what_was_gathered(backend: Backend, device: torch.device) -> None:
    k, v, g, size, phase, k_before, v_before = on(device, scan_inputs(6, 4, torch.float32))
    _, states = chunk_scan(k, v, g, size, phase, k_before, v_before, backend=backend)  # type: ignore[arg-type]
    opened = (1 - g) * v  # type: ignore[operator]
    torch.testing.assert_close(states[0, [0, 4]], opened[0, [0, 4]])
    torch.testing.assert_close(states[1, [1, 5]], opened[1, [1, 5]])
    torch.testing.assert_close(states[1, 0], opened[1, 0] + g[1, 0] * v_before[1])  # type: ignore[index]


@pytest.mark.parametrize("backend", ["reference", *BACKENDS])
def test_a_token_without_slots_answers_its_own_vector(backend: Backend, device: torch.device) -> None:
    args = on(device, list(attention_inputs(5, 3, torch.float32)))
    y = chunk_attention(*args, backend=backend)  # type: ignore[arg-type]
    torch.testing.assert_close(y[0, :4], args[2][0, :4])  # type: ignore[index]


def test_a_long_chunk_is_scanned_as_a_sequence(device: torch.device) -> None:
    args = on(device, scan_inputs(12, 200, torch.float32))
    expected = reference.chunk_scan(*args)  # type: ignore[arg-type]
    torch.testing.assert_close(chunk_scan(*args, backend="triton"), expected)  # type: ignore[arg-type]


def test_shapes_that_disagree_are_refused() -> None:
    k, v, g, size, phase, *before = scan_inputs(4, 2, torch.float32)
    with pytest.raises(ValueError, match="phase is"):
        chunk_scan(k, v, g, size, phase[:1], *before)  # type: ignore[arg-type, index]
    with pytest.raises(ValueError, match="at least 1 token"):
        chunk_scan(k, v, g, 0, phase, *before)  # type: ignore[arg-type]
    args = attention_inputs(4, 2, torch.float32)
    with pytest.raises(ValueError, match="end is"):
        chunk_attention(*args[:-1], args[-1][:, :2])
    with pytest.raises(ValueError, match="several dtypes"):
        chunk_attention(args[0].half(), *args[1:])


def test_a_head_too_wide_for_the_kernel_is_refused_by_name_only() -> None:
    args = attention_inputs(2, 1, torch.float32, width=200)
    with pytest.raises(BackendUnavailable, match="a head is 200"):
        chunk_attention(*args, backend="triton")
    assert chunk_attention(*args).shape == (2, 2, 2, 200)
