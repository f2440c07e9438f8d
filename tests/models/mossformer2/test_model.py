"""The separator: its size as published, and what holds whatever its weights are."""

from dataclasses import replace

import pytest
import torch

from models.mossformer2 import MossFormer2, MossFormer2Config
from models.mossformer2.si_snr import best_assignment, separation_loss, si_snr

SMALL = MossFormer2Config(n_filters=12, kernel=16, stride=8, d_model=8, n_blocks=2, d_key=6, chunk=4, order=3)


def _model(**fields: object) -> MossFormer2:
    torch.manual_seed(0)
    return MossFormer2(replace(SMALL, **fields)).double().eval()  # type: ignore[arg-type]


def test_the_published_network_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        n = sum(p.numel() for p in MossFormer2(MossFormer2Config()).parameters())
    # The authors' code has 55,735,393: a PReLU a channel where ours has one a memory, 510 a block, and one more.
    assert n + 24 * 510 - 1 == 55_735_393
    assert round(n / 1e6, 1) == 55.7


@pytest.mark.parametrize("n_samples", [0, 1, 7, 15, 16, 17, 24, 333])
def test_voices_are_as_long_as_the_mixture(n_samples: int) -> None:
    assert _model()(torch.randn(2, n_samples, dtype=torch.float64)).shape == (2, 2, n_samples)


@pytest.mark.parametrize("n_speakers", [1, 3])
def test_there_are_as_many_voices_as_asked_for(n_speakers: int) -> None:
    assert _model(n_speakers=n_speakers)(torch.randn(1, 50, dtype=torch.float64)).shape == (1, n_speakers, 50)


def test_silence_stays_silent_and_masks_are_never_below_zero() -> None:
    model = _model()
    assert model(torch.zeros(1, 100, dtype=torch.float64)).abs().max() == 0
    assert model.masks(model.encode(torch.randn(2, 100, dtype=torch.float64))).min() >= 0


def test_a_clip_does_not_hear_the_others_of_its_batch() -> None:
    model, x = _model(), torch.randn(3, 120, dtype=torch.float64)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


@pytest.mark.parametrize("memory", ["dense", "dilated", "plain"])
def test_the_causal_form_does_not_hear_what_comes(memory: str) -> None:
    model, x = _model(causal=True, memory=memory), torch.randn(1, 400, dtype=torch.float64)
    later = torch.cat([x[:, :200], torch.randn(1, 200, dtype=torch.float64)], 1)
    safe = 200 - SMALL.kernel  # the last frame that ends before the change
    torch.testing.assert_close(model(later)[..., :safe], model(x)[..., :safe])
    whole = _model(memory=memory)
    assert not torch.allclose(whole(later)[..., :safe], whole(x)[..., :safe])


@pytest.mark.parametrize("memory", ["dense", "dilated", "plain", "none"])
@pytest.mark.parametrize("gated", [True, False])
def test_a_gradient_reaches_every_parameter(memory: str, gated: bool) -> None:
    model, x = _model(memory=memory, gated=gated, d_model=48), torch.randn(2, 300, dtype=torch.float64)
    separation_loss(model(x), torch.randn(2, 2, 300, dtype=torch.float64)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"n_speakers": 0}, "must be positive"),
        ({"d_model": 7}, "d_model is 7, expected an even number"),
        ({"kernel": 10}, "kernel 10 is not a multiple of stride 8"),
        ({"memory": "lstm"}, "memory is 'lstm'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
    ],
)
def test_a_config_names_what_disagrees(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **fields)  # type: ignore[arg-type]


def test_a_mixture_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a mixture is \(1, 2, 3\), expected \(B, n\)"):
        _model()(torch.zeros(1, 2, 3, dtype=torch.float64))


def test_the_ratio_forgets_scale_and_offset_and_bounds_perfection() -> None:
    s, e = torch.randn(2, 3, 400, dtype=torch.float64)
    torch.testing.assert_close(si_snr(e * 7 + 3, s), si_snr(e, s))
    assert (si_snr(-2 * s, s) > 70).all()
    assert si_snr(s, s).isfinite().all()
    assert si_snr(torch.zeros_like(s), s).isfinite().all()


def test_the_ratio_is_ten_times_the_logarithm_of_the_powers() -> None:
    s = torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)
    noise = torch.tensor([1.0, 1, -1, -1], dtype=torch.float64)  # at a right angle to s
    torch.testing.assert_close(si_snr(s + noise / 10, s), torch.tensor(20.0, dtype=torch.float64), atol=1e-4, rtol=0)


def test_the_loss_does_not_care_which_voice_is_first() -> None:
    estimates, targets = torch.randn(2, 4, 3, 200, dtype=torch.float64)
    torch.testing.assert_close(separation_loss(estimates, targets), separation_loss(estimates, targets[:, [2, 0, 1]]))


def test_each_target_is_given_the_estimate_that_is_it() -> None:
    targets = torch.randn(2, 3, 200, dtype=torch.float64)
    order = torch.tensor([2, 0, 1])
    score, which = best_assignment(targets[:, order] + 0.01 * torch.randn_like(targets), targets)
    assert which.tolist() == [order.argsort().tolist()] * 2
    assert (score > 35).all()
    with pytest.raises(ValueError, match="estimates are"):
        best_assignment(targets[:, :2], targets)
