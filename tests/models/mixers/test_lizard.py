"""Lizard against its sheet; what every mixer promises is in test_contract.py."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.mixers.lizard import Lizard, LizardConfig
from tests.models.mixers.projections import TOKENS, finished, projected, randomised, tokens


def lizard(**fields: Any) -> Lizard:
    return randomised(Lizard(LizardConfig(d_model=8, n_heads=2, **fields)))


def phi(mixer: Lizard, x: Tensor, weight: Tensor) -> Tensor:
    logits = x @ weight
    if mixer.config.features == "softmax":
        return torch.cat([logits.softmax(-1), (-logits).softmax(-1)], -1)
    return torch.cat([logits.exp(), (-logits).exp()], -1)


DISTANCE = torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)


@pytest.mark.parametrize("norm", ["row", "none"])
@pytest.mark.parametrize("features", ["softmax", "exp"])
def test_the_gated_branch_is_the_papers_parallel_form(features: Any, norm: Any) -> None:
    mixer, x = lizard(branches="linear", features=features, norm=norm), tokens()
    q, k, v = projected(mixer, x)
    log_gamma = F.logsigmoid(mixer.forget(x)[..., 0])  # type: ignore[misc]
    total = log_gamma.cumsum(1)
    G = torch.where(DISTANCE >= 0, (total[:, :, None] - total[:, None, :]).exp(), 0.0)[:, None]
    weights = G * (phi(mixer, q, mixer.query_features) @ phi(mixer, k, mixer.key_features).mT)
    if norm == "row":
        weights = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(mixer(x)[0], finished(mixer, weights @ v))


@pytest.mark.parametrize(("window", "n_sinks"), [(1, 4), (4, 2), (4, 0), (40, 3)])
def test_the_window_has_sinks_that_take_weight_and_give_nothing(window: int, n_sinks: int) -> None:
    mixer, x = lizard(branches="window", window=window, n_sinks=n_sinks), tokens()
    q, k, v = projected(mixer, x)
    scores = (q @ k.mT / 2).masked_fill((DISTANCE < 0) | (window <= DISTANCE), -torch.inf)
    below = scores.exp().sum(-1, keepdim=True)
    if mixer.sinks is not None:
        below = below + mixer.sinks.exp().sum()
    torch.testing.assert_close(mixer(x)[0], finished(mixer, scores.exp() / below @ v))


def test_the_gated_branch_is_a_convex_combination_and_the_window_at_most_one() -> None:
    """Invariant 7, by values of 1: a row's weights add up to 1 in the one branch and to rho <= 1 in the other."""
    for branches in ("linear", "window"):
        mixer, x = lizard(branches=branches, window=3, n_sinks=2), tokens()
        x[..., 0] = 1.0
        with torch.no_grad():
            mixer.value.weight.zero_()[:, 0] = 1.0
            mixer.out.weight.copy_(torch.eye(8))
        y = mixer(x)[0]
        if branches == "linear":
            torch.testing.assert_close(y, torch.ones_like(y))
        else:
            assert ((y > 0) & (y < 1)).all()


def test_the_window_knows_no_positions() -> None:
    """Invariant 9: equal tokens weigh alike wherever they stand."""
    mixer, x = lizard(branches="window", window=40), tokens()
    swapped = x.clone()
    swapped[:, [2, 5]] = x[:, [5, 2]]
    torch.testing.assert_close(mixer(swapped)[0][:, 6:], mixer(x)[0][:, 6:])


def test_the_branches_are_added_with_a_learned_weight() -> None:
    x, both = tokens(), lizard(window=3)
    with torch.no_grad():
        both.window_share.fill_(0.7)
    alone = []
    for branch in ("linear", "window"):
        one = Lizard(LizardConfig(d_model=8, n_heads=2, window=3, branches=branch)).double()  # type: ignore[arg-type]
        one.load_state_dict(both.state_dict(), strict=False)
        alone.append(one(x)[0])
    torch.testing.assert_close(both(x)[0], alone[0] + 0.7 * alone[1])


def test_a_gate_of_nothing_answers_the_own_value_and_one_of_all_is_linear_attention() -> None:
    mixer, x = lizard(branches="linear"), tokens()
    q, k, v = projected(mixer, x)
    with torch.no_grad():
        mixer.forget.weight.zero_()  # type: ignore[union-attr]
        mixer.forget.bias.fill_(-1e4)  # type: ignore[union-attr]
    torch.testing.assert_close(mixer(x)[0], finished(mixer, v))
    kept = Lizard(LizardConfig(d_model=8, n_heads=2, branches="linear", gate="none")).double()
    kept.load_state_dict(mixer.state_dict(), strict=False)
    weights = (phi(mixer, q, mixer.query_features) @ phi(mixer, k, mixer.key_features).mT).tril()
    torch.testing.assert_close(kept(x)[0], finished(mixer, weights / weights.sum(-1, keepdim=True) @ v))


def test_sinks_without_bound_leave_only_the_gated_branch() -> None:
    x, both = tokens(), lizard(window=4)
    linear = Lizard(LizardConfig(d_model=8, n_heads=2, branches="linear")).double()
    linear.load_state_dict(both.state_dict(), strict=False)
    with torch.no_grad():
        both.sinks.fill_(1e4)  # type: ignore[union-attr]
    torch.testing.assert_close(both(x)[0], linear(x)[0])


def test_strong_decay_and_large_features_stay_finite_in_single_precision() -> None:
    for features in ("softmax", "exp"):
        mixer = lizard(features=features, window=3).float()
        with torch.no_grad():
            mixer.forget.bias.fill_(-200.0)  # type: ignore[union-attr]
            mixer.key_features.mul_(100)
        x = (10 * tokens()).float().requires_grad_()
        y, _ = mixer(x)
        y.sum().backward()
        assert y.isfinite().all()
        assert x.grad is not None
        assert x.grad.isfinite().all()


def test_the_gate_starts_remembering() -> None:
    mixer = Lizard(LizardConfig(d_model=8))
    x = torch.randn(1, 5, 8)
    torch.testing.assert_close(mixer.log_gate(x, x).exp(), torch.full((1, 5, 1, 1), 0.982), atol=1e-4, rtol=0)
    assert mixer.sinks is not None
    assert len(mixer.sinks.unique()) == 4


def test_the_state_is_as_large_as_the_sheet_counts() -> None:
    with torch.device("meta"):
        mixer = Lizard(LizardConfig(d_model=2048, n_heads=32, n_kv_heads=8))
    # Kept once a key head, which divides the sheet's first term by 4; and w-1 keys, the newest being the token's own.
    assert mixer.state_floats(10**6) == 133_120 // 4 + 2 * 127 * 8 * 64 + 1


def test_numbers_that_disagree_are_named() -> None:
    with pytest.raises(ValueError, match="n_sinks -1"):
        LizardConfig(d_model=8, n_sinks=-1)
    with pytest.raises(ValueError, match="a gate made of the key has 4 channels, and phi 6"):
        LizardConfig(d_model=8, n_heads=2, n_features=3, gate="key")
    with pytest.raises(ValueError, match="norm is 'column'"):
        LizardConfig(d_model=8, norm="column")  # type: ignore[arg-type]
