"""Near and far attention: products of matrices against the sums they stand for."""

import pytest
import torch

from kernels.local_global import Sides, local_global_attention


def _sides(n_frames: int, seed: int = 0) -> tuple[Sides, Sides, torch.Tensor]:
    torch.manual_seed(seed)
    q, q_far, k, k_far = (torch.randn(2, n_frames, 5, dtype=torch.float64, requires_grad=True) for _ in range(4))
    return Sides(q, q_far), Sides(k, k_far), torch.randn(2, n_frames, 3, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n_frames", [1, 7, 8, 33])
def test_chunks_are_the_sums_frame_by_frame(n_frames: int, causal: bool) -> None:
    found = []
    for backend in ("reference", "torch"):
        q, k, v = _sides(n_frames)
        o = local_global_attention(q, k, v, 4, causal=causal, backend=backend)  # type: ignore[arg-type]
        grads = torch.autograd.grad(o.square().sum(), (*q, *k, v), allow_unused=True, materialize_grads=True)
        found.append((o, *grads))
    for quick, slow in zip(*found, strict=True):
        torch.testing.assert_close(quick, slow)


def test_the_far_part_is_a_double_sum() -> None:
    q, k, v = _sides(8)
    far = local_global_attention(Sides(q.near * 0, q.far), Sides(k.near * 0, k.far), v, 4)
    for t in range(8):
        expected = sum((q.far[:, t] * k.far[:, s]).sum(-1, keepdim=True) * v[:, s] / 8 for s in range(8))
        torch.testing.assert_close(far[:, t], expected)


def test_a_frame_that_is_not_there_weighs_nothing() -> None:
    q, k, v = _sides(6)
    zero = torch.zeros(2, 2, 5, dtype=torch.float64)
    longer = [Sides(*(torch.cat([z, zero], 1) for z in side)) for side in (q, k)]
    v_longer = torch.cat([v, torch.full((2, 2, 3), 7.0, dtype=torch.float64)], 1)
    near = [Sides(side.near, side.far * 0) for side in longer]
    short = local_global_attention(Sides(q.near, q.far * 0), Sides(k.near, k.far * 0), v, 4)
    torch.testing.assert_close(local_global_attention(near[0], near[1], v_longer, 4)[:, :6], short)


def test_the_causal_form_does_not_hear_what_comes() -> None:
    q, k, v = _sides(11)
    changed = [Sides(*(torch.cat([z[:, :6], z[:, 6:] + 1], 1) for z in side)) for side in (q, k)]
    v_changed = torch.cat([v[:, :6], v[:, 6:] - 2], 1)
    before = local_global_attention(q, k, v, 4, causal=True)[:, :6]
    torch.testing.assert_close(local_global_attention(changed[0], changed[1], v_changed, 4, causal=True)[:, :6], before)


def test_shapes_that_disagree_are_named() -> None:
    q, k, v = _sides(4)
    with pytest.raises(ValueError, match=r"expected \(B, T, K\) four times and \(B, T, V\)"):
        local_global_attention(q, k, v[:, :3], 2)
    with pytest.raises(ValueError, match="chunk is 0"):
        local_global_attention(q, k, v, 0)
