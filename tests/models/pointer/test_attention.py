"""Pointer attention is its equation, and masks hide what they say."""

import pytest
import torch

from models.pointer.attention import PointerAttention


def test_it_is_the_papers_equation() -> None:
    pointer = PointerAttention(3, 4, 5)
    d, e, bias = torch.randn(2, 6, 3), torch.randn(2, 7, 4), torch.randn(2, 6, 7, 5)
    w1, w2, v = pointer.w1.weight, pointer.w2.weight, pointer.v.weight[0]
    plain, biased = pointer(d, pointer.keys(e)), pointer(d, pointer.keys(e), bias)
    assert plain.shape == (2, 6, 7)
    for b, i, j in [(0, 0, 0), (1, 5, 6), (1, 2, 3)]:
        inside = w1 @ e[b, j] + w2 @ d[b, i]
        torch.testing.assert_close(plain[b, i, j], v @ inside.tanh())
        torch.testing.assert_close(biased[b, i, j], v @ (inside + bias[b, i, j]).tanh())


def test_probability_falls_on_exactly_what_is_allowed() -> None:
    pointer = PointerAttention(3, 4, 5)
    allowed = torch.rand(2, 6, 7) < 0.5
    allowed[..., 0] = True
    p = pointer(torch.randn(2, 6, 3), pointer.keys(torch.randn(2, 7, 4)), allowed=allowed).softmax(-1)
    assert bool(((p > 0) == allowed).all())
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 6))


def test_more_inputs_need_no_new_weights_and_hidden_ones_change_nothing() -> None:
    pointer = PointerAttention(3, 4, 5)
    d, e = torch.randn(2, 6, 3), torch.randn(2, 90, 4)
    few = pointer(d, pointer.keys(e[:, :7])).softmax(-1)
    many = pointer(d, pointer.keys(e), allowed=torch.arange(90) < 7).softmax(-1)
    torch.testing.assert_close(many[..., :7], few)


def test_gradients_reach_every_parameter() -> None:
    pointer = PointerAttention(3, 4, 5)
    pointer(torch.randn(2, 6, 3), pointer.keys(torch.randn(2, 7, 4))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pointer.parameters())


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="key 0"):
        PointerAttention(3, 0, 5)
