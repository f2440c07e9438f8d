"""Landmark attention's grouped softmax against its definition, and the softmax it contains."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable
from kernels.landmark import Blocks, Far, blockwise, landmark_attention
from tests.kernels.accuracy import assert_as_accurate

B, H, K, V = 2, 2, 4, 5


def arguments(n: int, size: int) -> tuple[list[Tensor], Tensor]:
    """q, k, v, marks of n tokens; place."""
    torch.manual_seed(n)
    blocks = -(-n // size)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    qkv = [draw(B, H, n, K), draw(B, H, blocks * size, K), draw(B, H, blocks * size, V)]
    return [*qkv, draw(B, H, n, blocks)], torch.arange(n).expand(B, n)


@pytest.mark.parametrize("with_far", [False, True])
@pytest.mark.parametrize("landmark_last", [False, True])
@pytest.mark.parametrize(("n", "size"), [(1, 2), (7, 3), (17, 4)])
def test_output_and_gradients_equal_the_reference(
    n: int, size: int, landmark_last: bool, with_far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockwise, "QUERIES", 8)
    given, place = arguments(n, size)
    distant = [torch.randn_like(z) for z in given[:2]]
    leaves = [z.requires_grad_() for z in (*given, *distant)]
    blocks = Blocks(size, landmark_last)
    results = []
    for backend in ("torch", "reference"):
        far = Far(leaves[4], leaves[5], 1) if with_far else None
        o = landmark_attention(*leaves[:4], place, blocks, far, backend=backend)  # type: ignore[arg-type]
        results.append([o, *torch.autograd.grad(o.sin().sum(), leaves, materialize_grads=True)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain)


def test_weights_sum_to_one_and_a_landmark_gives_no_value() -> None:
    (q, k, v, marks), place = arguments(16, 4)
    ones = landmark_attention(q, k, torch.ones_like(v), marks, place, Blocks(4, landmark_last=True))
    torch.testing.assert_close(ones, torch.ones_like(ones))
    k[:, :, 3::4], v[:, :, 3::4] = 1e3, 1e3
    given = landmark_attention(q, k, torch.ones_like(v).where(v != 1e3, v), marks, place, Blocks(4, landmark_last=True))
    torch.testing.assert_close(given, ones)


def test_one_block_is_softmax_attention() -> None:
    (q, k, v, marks), place = arguments(6, 6)
    o = landmark_attention(q, k, v, marks, place, Blocks(6))
    torch.testing.assert_close(o, F.scaled_dot_product_attention(q, k, v, is_causal=True))


def test_marks_that_sum_up_their_block_make_softmax_attention() -> None:
    (q, k, v, _), place = arguments(14, 4)
    scores = (q @ k.mT * K**-0.5).unflatten(-1, (-1, 4))
    o = landmark_attention(q, k, v, scores.logsumexp(-1), place, Blocks(4))
    expected = F.scaled_dot_product_attention(q, k[:, :, :14], v[:, :, :14], is_causal=True)
    torch.testing.assert_close(o, expected)


def test_a_block_without_a_mark_is_as_if_it_were_not_there() -> None:
    (q, k, v, marks), place = arguments(12, 4)
    marks[..., 0] = -torch.inf
    o = landmark_attention(q, k, v, marks, place, Blocks(4))
    later = landmark_attention(q[:, :, 4:], k[:, :, 4:], v[:, :, 4:], marks[:, :, 4:, 1:], place[:, :8], Blocks(4))
    torch.testing.assert_close(o[:, :, 4:], later)


def test_earlier_blocks_may_stand_in_any_order() -> None:
    (q, k, v, marks), place = arguments(16, 4)
    order = torch.tensor([2, 0, 1, 3])
    swap = lambda z: z.unflatten(2, (4, 4))[:, :, order].flatten(2, 3)  # noqa: E731
    o = landmark_attention(q[:, :, 12:], swap(k), swap(v), marks[:, :, 12:, order], place[:, 12:], Blocks(4))
    torch.testing.assert_close(o, landmark_attention(q, k, v, marks, place, Blocks(4))[:, :, 12:])


def test_what_does_not_fit_is_refused() -> None:
    (q, k, v, marks), place = arguments(8, 4)
    with pytest.raises(ValueError, match="8 slots are no whole number of blocks of 3"):
        landmark_attention(q, k, v, marks, place, Blocks(3))
    with pytest.raises(ValueError, match=r"marks is \(2, 2, 8, 1\), expected \(2, 2, 8, 2\)"):
        landmark_attention(q, k, v, marks[..., :1], place, Blocks(4))
    huge = [torch.zeros(B, H, n, K) for n in (2, 256, 256)]
    with pytest.raises(BackendUnavailable, match="blocks of at most 128 slots"):
        landmark_attention(*huge, torch.zeros(B, H, 2, 1), place[:, :2], Blocks(256), backend="triton")


@pytest.mark.parametrize("with_far", [False, True])
@pytest.mark.parametrize(
    ("n", "size", "landmark_last", "dtype"),
    [
        (1, 2, False, torch.float32),
        (7, 3, True, torch.float32),
        (33, 5, False, torch.float16),
        (37, 20, True, torch.float32),
    ],
)
def test_the_kernel_is_as_accurate_as_its_dtype_allows(
    n: int, size: int, landmark_last: bool, dtype: torch.dtype, with_far: bool, device: torch.device
) -> None:
    given, place = arguments(n, size)
    marks = given[3].index_fill(-1, torch.tensor(0), -torch.inf) if n > size else given[3]  # a block nobody sees
    tensors = [z.to(device, dtype) for z in (*given[:3], marks, *(torch.randn_like(z) for z in given[:2]))]
    place = place.flip(0) if n < 3 else torch.stack([place[0], place[0].flip(0)])  # queries in any order

    def op(backend: Backend) -> Callable[..., Tensor]:
        def run(q: Tensor, k: Tensor, v: Tensor, marks: Tensor, q_far: Tensor, k_far: Tensor) -> Tensor:
            far = Far(q_far, k_far, 1) if with_far else None
            where = place.to(device)
            return landmark_attention(q, k, v, marks, where, Blocks(size, landmark_last), far, backend=backend)

        return run

    floor = torch.finfo(dtype).eps if dtype == torch.float16 else 1e-6
    assert_as_accurate(op("triton"), op("reference"), tensors, floor=floor)
