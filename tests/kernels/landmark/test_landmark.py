"""Landmark attention's grouped softmax against its definition, and the softmax it contains."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.backend import BackendUnavailable
from kernels.landmark import Blocks, Far, blockwise, landmark_attention

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
    with pytest.raises(BackendUnavailable, match="no kernel"):
        landmark_attention(q, k, v, marks, place, Blocks(4), backend="triton")
