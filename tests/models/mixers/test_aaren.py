"""Aaren against its sheet's invariants."""

from typing import Any

import pytest
import torch

from models.mixers.aaren import Aaren, AarenConfig


def build(d_model: int = 8, n_heads: int = 2, **fields: Any) -> Aaren:
    return Aaren(AarenConfig(d_model=d_model, n_heads=n_heads, **fields)).double()


def tokens(n: int = 9) -> torch.Tensor:
    return torch.randn(2, n, 8, dtype=torch.float64)


@pytest.mark.parametrize("keep_wq", [False, True])
def test_the_last_token_is_cross_attention_of_one_query(keep_wq: bool) -> None:
    """Invariant 4."""
    mixer, x = build(keep_wq=keep_wq), tokens()
    query = mixer.w_query(mixer.query) if keep_wq else mixer.query
    k, v = (w(x).unflatten(-1, (2, 4)).transpose(1, 2) for w in (mixer.w_key, mixer.w_value))
    weights = ((query.view(2, 1, 4) * k).sum(-1) / 2).softmax(-1)
    o = (weights[..., None] * v).sum(2).flatten(1)
    torch.testing.assert_close(mixer(x)[0][:, -1], mixer.out(o))


def test_an_edit_changes_no_earlier_output_in_a_single_bit() -> None:
    """Invariant 2, token by token."""
    mixer, x = build(), tokens()
    edited = x.clone()
    edited[:, 5:] += 1.0
    state, other = mixer.initial_state(2), mixer.initial_state(2)
    for t in range(5):
        a, state = mixer.step(x[:, t], state)
        b, other = mixer.step(edited[:, t], other)
        assert torch.equal(a, b)


def test_a_query_of_zero_is_a_running_mean() -> None:
    """Invariant 3."""
    mixer, x = build(query="zero"), tokens()
    means = mixer.w_value(x).cumsum(1) / torch.arange(1, 10, dtype=x.dtype)[:, None]
    torch.testing.assert_close(mixer(x)[0], mixer.out(means))
    mixer(x)[0].square().sum().backward()
    assert mixer.query.grad.any()  # it trains from there


def test_a_great_scale_picks_the_best_key_so_far() -> None:
    """Invariant 6."""
    mixer, x = build(scale=1e6), tokens()
    k, v = (w(x).unflatten(-1, (2, 4)) for w in (mixer.w_key, mixer.w_value))
    best = (k * mixer.query.view(2, 4)).sum(-1).cummax(1).indices  # (B, T, H)
    torch.testing.assert_close(mixer(x)[0], mixer.out(v.gather(1, best[..., None].expand_as(v)).flatten(2)))


def test_only_differences_between_scores_matter() -> None:
    """Invariant 5: a direction that every token shares adds the same to every score."""
    mixer, x = build(), tokens()
    with torch.no_grad():
        mixer.w_value.weight[:, 0] = 0.0
    shifted = x + torch.tensor([3.0] + 7 * [0.0])
    torch.testing.assert_close(mixer(shifted)[0], mixer(x)[0])


def test_one_token_is_its_own_value() -> None:
    """Invariant 7."""
    mixer, x = build(), tokens(1)
    torch.testing.assert_close(mixer(x)[0], mixer.out(mixer.w_value(x)))


def test_the_order_of_the_past_does_not_matter() -> None:
    """Invariant 8."""
    mixer, x = build(), tokens()
    torch.testing.assert_close(mixer(x.flip(1))[0][:, -1], mixer(x)[0][:, -1])


def test_it_has_the_papers_number_of_parameters() -> None:
    """A transformer layer's attention and one vector more; without the query's projection, D^2 fewer."""
    assert sum(p.numel() for p in build(keep_wq=True).parameters()) == 4 * 64 + 8
    assert sum(p.numel() for p in build().parameters()) == 3 * 64 + 8


def test_the_state_is_a_vector_and_a_number_a_head() -> None:
    assert build().state_floats(10**6) == 8 + 2


def test_a_config_checks_itself() -> None:
    with pytest.raises(ValueError, match="d_model 8 is not a multiple of n_heads 3"):
        build(n_heads=3)
    with pytest.raises(ValueError, match="query is 'one'"):
        build(query="one")
