"""EmotionIC over utterance vectors: what it promises as a whole, and with each of its parts left out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.emotionic.config import EmotionICConfig
from models.emotionic.model import EmotionIC

PARTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "two layers each": {"n_attention_layers": 2, "n_gru_layers": 2},
    "no attention": {"n_attention_layers": 0},
    "no GRU": {"n_gru_layers": 0},
    "CRF alone": {"n_attention_layers": 0, "n_gru_layers": 0},
    "linear chain": {"crf": "linear"},
    "no CRF": {"crf": "none"},
    "classifier alone": {"n_attention_layers": 0, "n_gru_layers": 0, "crf": "none"},
}


def build(**fields: Any) -> EmotionIC:
    """A small model in float64 with random weights everywhere; none of the parts that start silent stays so."""
    small = {"n_labels": 4, "d_encoder": 12, "d_model": 8, "n_heads": 2, "window": 3, "dropout": 0.0}
    model = EmotionIC(EmotionICConfig(**(small | fields))).double()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return model.eval()


@pytest.fixture(params=PARTS, ids=str)
def model(request: pytest.FixtureRequest) -> EmotionIC:
    return build(**PARTS[request.param])


def batch(n_rows: int = 3, n: int = 9, width: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors, speakers and a mask with rows of different length."""
    lengths = torch.tensor([n, 1, n // 2, *[n] * max(0, n_rows - 3)])[:n_rows]
    x = torch.randn(n_rows, n, width, dtype=torch.float64)
    return x, torch.randint(3, (n_rows, n)), torch.arange(n) < lengths[:, None]


def live_steps(model: EmotionIC, x: Tensor, speakers: Tensor) -> Tensor:
    state, steps = model.initial_state(len(x)), []
    for x_t, speaker in zip(x.unbind(1), speakers.unbind(1), strict=True):
        p, state = model.step(x_t, speaker, state)
        steps.append(p)
    return torch.stack(steps, 1)


def test_training_and_use_agree_without_dropout(model: EmotionIC) -> None:
    x, speakers, mask = batch()
    for live in (False, True):
        model.train()
        trained = model(x, speakers, mask, live=live)
        decoded = model.viterbi(trained, speakers, mask)
        model.eval()
        used = model(x, speakers, mask, live=live)
        assert torch.equal(trained, used)
        assert torch.equal(decoded, model.viterbi(used, speakers, mask))


def test_dropout_reaches_the_causal_twin_and_leaves_with_training() -> None:
    model = build(dropout=0.5)
    x, speakers, mask = batch()
    for live in (False, True):
        model.train()
        assert not torch.equal(model(x, speakers, mask, live=live), model(x, speakers, mask, live=live))
        model.eval()
        assert torch.equal(model(x, speakers, mask, live=live), model(x, speakers, mask, live=live))


@pytest.mark.parametrize("live", [False, True])
def test_vectors_may_come_in_pieces_of_any_size(model: EmotionIC, live: bool) -> None:
    x, speakers, _ = batch(1, 40)
    whole = model(x, speakers, live=live)
    for sizes in ([40], [1] * 40, [17, 2, 21], [5] * 8, [39, 1]):
        pieces = iter(x[0].split(sizes))
        torch.testing.assert_close(model.in_pieces(pieces, speakers, live=live), whole, rtol=0, atol=1e-12)
    assert model.in_pieces(iter(()), speakers[:, :0], live=live).shape == (1, 0, 4)


def test_of_vectors_in_pieces_no_more_than_a_piece_and_its_neighbours_is_held() -> None:
    model, widths = build(window=3, n_attention_layers=2), list[int]()
    model.project.register_forward_hook(lambda _, args, __: widths.append(len(args[0])))
    x, speakers, _ = batch(1, 400)
    model.in_pieces(iter(x[0].split(20)), speakers)
    assert len(widths) > 15
    assert max(widths) <= 20 + 2 * 2 * 3


def test_steps_equal_the_live_run(model: EmotionIC) -> None:
    x, speakers, _ = batch(2, 14)
    mask = torch.ones_like(speakers, dtype=torch.bool)
    expected = model.marginals(model(x, speakers, mask, live=True), speakers, mask, live=True)
    torch.testing.assert_close(live_steps(model, x, speakers), expected)


@pytest.mark.parametrize("n", [1, 2, 129, 500])
def test_dialogues_of_any_length_run(n: int) -> None:
    model = build()
    x, speakers = torch.randn(1, n, 12, dtype=torch.float64), torch.randint(4, (1, n))
    mask = torch.ones(1, n, dtype=torch.bool)
    for live in (False, True):
        emissions = model(x, speakers, mask, live=live)
        p = model.marginals(emissions, speakers, mask, live=live)
        torch.testing.assert_close(p.sum(-1), torch.ones(1, n, dtype=torch.float64))
    torch.testing.assert_close(live_steps(model, x[:, :20], speakers[:, :20]), p[:, :20])
    assert model.viterbi(emissions, speakers, mask).shape == (1, n)


def test_live_the_future_changes_nothing_and_offline_it_does(model: EmotionIC) -> None:
    x, speakers, _ = batch(2, 9)
    mask = torch.ones_like(speakers, dtype=torch.bool)
    changed, other = x.clone(), speakers.clone()
    changed[:, -1], other[:, -1] = 5.0, 7
    live = [model(*z, mask, live=True)[:, :-1] for z in ((x, speakers), (changed, other))]
    assert torch.equal(*live)
    if model.attention is not None:
        offline = [model(*z, mask)[:, :-1] for z in ((x, speakers), (changed, other))]
        assert not torch.allclose(*offline)


def test_padding_is_invisible(model: EmotionIC) -> None:
    x, speakers, mask = batch()
    noise = torch.where(mask[..., None], x, 1e3)
    for live in (False, True):
        whole = model(noise, speakers, mask, live=live)
        assert (whole[~mask] == 0).all()
        p = model.marginals(whole, speakers, mask, live=live)
        paths = model.viterbi(whole, speakers, mask)
        assert (p[~mask] == 0).all()
        assert (paths[~mask] == -1).all()
        for b, n in enumerate(mask.sum(1).tolist()):
            real = torch.ones(1, n, dtype=torch.bool)
            one = model(x[b : b + 1, :n], speakers[b : b + 1, :n], real, live=live)
            torch.testing.assert_close(one[0], whole[b, :n])
            torch.testing.assert_close(model.marginals(one, speakers[b : b + 1, :n], real, live=live)[0], p[b, :n])
            assert torch.equal(model.viterbi(one, speakers[b : b + 1, :n], real)[0], paths[b, :n])


def test_only_the_equality_of_speakers_matters(model: EmotionIC) -> None:
    x, speakers, mask = batch()
    other = torch.tensor([91, -4, 2**61])[speakers]
    for live in (False, True):
        one, two = model(x, speakers, mask, live=live), model(x, other, mask, live=live)
        assert torch.equal(one, two)
        p = [model.marginals(one, s, mask, live=live) for s in (speakers, other)]
        assert torch.equal(*p)


def test_permuting_a_batch_permutes_what_comes_out(model: EmotionIC) -> None:
    x, speakers, mask = batch(5)
    order = torch.randperm(5)
    whole, mixed = model(x, speakers, mask), model(x[order], speakers[order], mask[order])
    torch.testing.assert_close(mixed, whole[order])


def test_saved_and_loaded_it_says_the_same(model: EmotionIC, tmp_path: Path) -> None:
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "m.safetensors")
    again = EmotionIC(model.config).double().eval()
    again.load_state_dict(load_file(tmp_path / "m.safetensors"))
    x, speakers, mask = batch()
    for live in (False, True):
        assert torch.equal(model(x, speakers, mask, live=live), again(x, speakers, mask, live=live))
    assert torch.equal(live_steps(model, x, speakers), live_steps(again, x, speakers))


def test_the_causal_twin_has_the_same_parameters_and_they_are_counted_once() -> None:
    model = build()
    (twin,) = model._twin
    assert model.attention is not None
    ours = dict(model.attention.named_parameters())
    assert {name: id(p) for name, p in twin.named_parameters()} == {name: id(p) for name, p in ours.items()}
    assert not any("twin" in name for name in model.state_dict())
    assert all(torch.equal(p, model.state_dict()[f"attention.{name}"]) for name, p in twin.named_parameters())


def test_both_readings_teach_the_same_weights() -> None:
    x, speakers, mask = batch()
    for live in (False, True):
        model = build()
        model(x, speakers, mask, live=live).sum().backward()
        assert model.attention is not None
        assert all(p.grad is not None for p in model.attention.parameters())


def test_gradients_reach_every_parameter(model: EmotionIC) -> None:
    x, speakers, mask = batch(3, 9)
    speakers[:] = torch.tensor([0, 1, 0, 0, 2, 1, 0, 1, 2])
    tags = torch.randint(4, mask.shape)
    model.log_likelihood(model(x, speakers, mask), tags, speakers, mask).sum().backward()
    for name, p in model.named_parameters():
        if name.startswith("project") and model.contribute is None:
            continue  # Without branches nothing reads the projection.
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().sum() > 0, name


def test_the_likelihood_of_known_labels_sums_over_the_unknown_ones(model: EmotionIC) -> None:
    x, speakers, mask = batch(3, 5)
    emissions = model(x, speakers, mask)
    tags = torch.randint(4, mask.shape)
    hidden = tags.clone()
    hidden[:, 2], hidden[0, 4] = -100, -100
    got = model.log_likelihood(emissions, hidden, speakers, mask)
    # Enumerate what is hidden: p(known) = sum of p(all) over the hidden labels.
    total = torch.full_like(got, -torch.inf)
    for third in range(4):
        for fifth in range(4):
            filled = tags.clone()
            filled[:, 2], filled[0, 4] = third, fifth
            whole = model.log_likelihood(emissions, filled, speakers, mask)
            # In rows where a place is padding or known, every value of that variable counts the same labelling again.
            again = torch.tensor([1, 16, 16 if not mask[2, 2] else 4], dtype=torch.float64)
            total = torch.logaddexp(total, whole - again.log())
    torch.testing.assert_close(got, total)
    assert (got <= 1e-9).all()


def test_no_label_known_says_nothing_and_teaches_nothing(model: EmotionIC) -> None:
    x, speakers, mask = batch()
    emissions = model(x, speakers, mask)
    got = model.log_likelihood(emissions, torch.full_like(speakers, -100), speakers, mask)
    torch.testing.assert_close(got, torch.zeros_like(got))
    (gradient,) = torch.autograd.grad(got.sum(), emissions, allow_unused=True)
    assert gradient is None or gradient.abs().max() < 1e-9


def test_temperature_flattens_every_marginal_and_keeps_the_best_labelling(model: EmotionIC) -> None:
    x, speakers, mask = batch()

    def read() -> tuple[Tensor, Tensor]:
        emissions = model(x, speakers, mask)
        return model.marginals(emissions, speakers, mask), model.viterbi(emissions, speakers, mask)

    (p, path), _ = read(), model.temper(1.0)
    torch.testing.assert_close(read()[0], p)
    model.temper(1e6)
    torch.testing.assert_close(read()[0][mask], torch.full_like(p[mask], 0.25), atol=1e-3, rtol=0)
    model.temper(1e-6)
    torch.testing.assert_close(read()[0], p)
    model.temper(1.7)
    assert torch.equal(read()[1], path)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="expected more than 0"):
            model.temper(wrong)


def test_at_first_it_says_what_its_classifier_says() -> None:
    model = EmotionIC(EmotionICConfig(n_labels=3, d_encoder=6, d_model=8, n_heads=2)).eval()
    x, speakers = torch.randn(2, 5, 6), torch.randint(2, (2, 5))
    torch.testing.assert_close(model(x, speakers), model.classify(model.norm(x)))


def test_the_window_bounds_what_is_seen_and_the_state() -> None:
    model = build(n_gru_layers=0, crf="none", window=3)
    x, speakers, _ = batch(1, 12)
    mask = torch.ones_like(speakers, dtype=torch.bool)
    changed = x.clone()
    changed[:, 0] = torch.randn(12)
    for live in (False, True):
        one, two = model(x, speakers, mask, live=live), model(changed, speakers, mask, live=live)
        differs = (one != two).any(-1)[0]
        assert differs[:4].all()
        assert not differs[4:].any()

    def numbers(state: Any) -> int:
        return sum(numbers(part) if isinstance(part, tuple) else part.numel() for part in state)

    model = build()
    state = model.initial_state(1)
    size = numbers(state)
    for t in range(12):
        _, state = model.step(x[:, t], speakers[:, t], state)
        assert numbers(state) == size


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_labels": 1}, "n_labels 1"),
        ({"d_model": 10, "n_heads": 4}, "d_model 10 is not a multiple of n_heads 4"),
        ({"n_gru_layers": -1}, "expected 0 or more"),
        ({"window": 0}, "window 0"),
        ({"dropout": 1.0}, "dropout 1.0"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EmotionICConfig(**({"n_labels": 3} | fields))


def test_vectors_and_speakers_must_agree() -> None:
    with pytest.raises(ValueError, match="differ in batch or length"):
        build()(torch.randn(2, 3, 12, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.long))


def test_every_module_is_reached_by_train_and_eval() -> None:
    model = build(dropout=0.5)
    for mode in (True, False):
        model.train(mode)
        for part in (model, *model._twin):
            assert all(m.training == mode for m in part.modules() if isinstance(m, nn.Module))
