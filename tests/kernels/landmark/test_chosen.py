"""Blocks that each query brings of its own, against the op that sees all of them."""

import pytest
import torch

from kernels.landmark import Blocks, chosen_blocks, landmark_attention

SIZE, N = 4, 5


@pytest.mark.parametrize("landmark_last", [False, True])
@pytest.mark.parametrize("n_chosen", [1, 3, 4])
def test_bringing_blocks_is_seeing_all_and_hearing_those(n_chosen: int, landmark_last: bool) -> None:
    """In any order; the answer and every gradient."""
    torch.manual_seed(n_chosen)
    q, k, v = (torch.randn(2, 3, n, 6, dtype=torch.float64, requires_grad=True) for n in (SIZE, N * SIZE, N * SIZE))
    marks = torch.randn(2, 3, SIZE, N, dtype=torch.float64, requires_grad=True)
    place = torch.arange((N - 1) * SIZE, N * SIZE).expand(2, SIZE)  # all queries stand in the last block
    chosen = torch.rand(2, 3, SIZE, N - 1).argsort(-1)[..., :n_chosen]
    heard = torch.full_like(marks, -torch.inf).scatter(-1, chosen, marks.gather(-1, chosen))
    plain = landmark_attention(q, k, v, heard, place, Blocks(SIZE, landmark_last), backend="reference")

    which = torch.cat([chosen, torch.full_like(chosen[..., :1], N - 1)], -1)  # (B, H, T, C)
    row, head = torch.arange(2).view(2, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1)
    k_few, v_few = (z.unflatten(2, (N, SIZE))[row, head, which] for z in (k, v))
    asked = q[..., None, :].expand(*which.shape, -1)
    few = chosen_blocks(asked, k_few, v_few, marks.gather(-1, chosen), place % SIZE, landmark_last)
    torch.testing.assert_close(few, plain)
    wanted = [q, k, v, marks]
    pairs = zip(*(torch.autograd.grad(o.sin().sum(), wanted) for o in (few, plain)), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_a_half_precision_answer_is_summed_in_single() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 1, 1, 2, 8), torch.randn(1, 1, 1, 2, 64, 8), torch.full((1, 1, 1, 2, 64, 8), 3.0)
    marks, at = torch.zeros(1, 1, 1, 1), torch.tensor([[63]])
    q, k, v, marks = (z.half() for z in (q, k, v, marks))
    o = chosen_blocks(q, k, v, marks, at, False)
    assert o.dtype == torch.float16
    torch.testing.assert_close(o.float(), torch.full((1, 1, 1, 8), 3.0), rtol=1e-3, atol=1e-3)
