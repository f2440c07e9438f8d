"""MQAR: the generator keeps the sheet's invariants, the metric counts what it says, the protocol tells mixers apart."""

from pathlib import Path

import pytest
import torch

from dialog.evaluation.recall import (
    COMPARED,
    NO_LABEL,
    TIERS,
    Task,
    Tier,
    evaluate_recall,
    mqar,
    recall_accuracy,
    recall_config,
    recall_model,
    train_recall,
)
from models.mixers import MIXERS
from models.token_model import TokenModel

TINY = Tier(train=(Task(T=16, N=2, V=32),), test=(Task(T=16, N=2, V=32),), steps=150, batch=64, n_test=128, every=50)


@pytest.mark.parametrize(("V", "T", "N"), [(512, 64, 4), (512, 64, 16), (32, 16, 1), (8192, 128, 32)])
@pytest.mark.parametrize("a", [0.01, 1.0])
def test_every_label_is_the_value_of_its_key(V: int, T: int, N: int, a: float) -> None:
    inputs, labels = mqar(V, T, N, a, False, 20, 0)
    assert inputs.shape == labels.shape == (20, T)
    for x, y in zip(inputs.tolist(), labels.tolist(), strict=True):
        keys, values = x[0 : 2 * N : 2], x[1 : 2 * N : 2]
        asked = [t for t in range(T) if y[t] != NO_LABEL]
        assert len(set(keys)) == len(set(values)) == len(asked) == N
        assert all(1 <= k < V // 2 <= v < V for k, v in zip(keys, values, strict=True))
        assert all(t >= 2 * N and t % 2 == 0 for t in asked)
        pairs = dict(zip(keys, values, strict=True))
        assert sorted(x[t] for t in asked) == sorted(keys)
        assert all(y[t] == pairs[x[t]] for t in asked)
        assert all(x[t] == 0 for t in range(2 * N, T) if t not in asked)


def test_as_many_pairs_as_fit_are_asked_for_at_every_even_place_of_the_second_half() -> None:
    _, labels = mqar(512, 64, 16, 0.01, False, 5, 0)
    assert (labels[:, 32::2] != NO_LABEL).all()


def test_a_small_a_asks_soon_and_one_asks_anywhere() -> None:
    first = [mqar(512, 64, 4, a, False, 500, 0)[1].ne(NO_LABEL).float().argmax(1).float().mean() for a in (0.01, 1.0)]
    assert first[0] < 10 < 14 < first[1]
    # The first key drawn is the one most often asked first: context and queries keep some of their order.
    inputs, labels = mqar(512, 64, 4, 0.01, False, 500, 0)
    place = labels.ne(NO_LABEL).float().argmax(1)
    assert (inputs[torch.arange(500), place] == inputs[:, 0]).float().mean() > 0.3


def test_the_filler_is_random_and_the_questions_stay() -> None:
    plain, labels = mqar(512, 64, 4, 0.01, False, 50, 3)
    filled, same = mqar(512, 64, 4, 0.01, True, 50, 3)
    assert torch.equal(labels, same)
    assert torch.equal(filled[plain != 0], plain[plain != 0])
    assert filled[plain == 0].unique().numel() > 400


def test_a_seed_is_a_set_of_examples_and_another_seed_another() -> None:
    one, again, other = (mqar(512, 64, 4, 0.01, True, 10, seed)[0] for seed in (7, 7, 8))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("V", "T", "N"), [(512, 63, 4), (511, 64, 4), (64, 64, 4), (512, 64, 17), (512, 64, 0)])
def test_numbers_that_do_not_fit_are_refused(V: int, T: int, N: int) -> None:
    with pytest.raises(ValueError, match="4 N <= T"):
        mqar(V, T, N)


@pytest.mark.parametrize("name", [*COMPARED, *sorted(set(MIXERS) - {"brnn", "dialog_gru", "identity_attention"})])
def test_every_mixer_can_be_asked(name: str) -> None:
    torch.manual_seed(0)
    model = TokenModel(recall_config(name, 32)).eval()
    x, labels = Task(T=16, N=2, V=32).draw(3, 0)
    model.loss(x, labels).backward()
    logits, _ = model(x)
    state = model.initial_state(3)
    for t in range(16):
        step, state = model.step(x[:, t], state)
        torch.testing.assert_close(step, logits[:, t], rtol=1e-3, atol=1e-3)
    padded = torch.cat([x, torch.full((3, 5), 9)], 1)
    mask = torch.arange(21).expand(3, 21) < 16
    torch.testing.assert_close(model(padded, mask=mask)[0][:, :16], logits, rtol=1e-4, atol=1e-4)


def test_one_that_needs_the_future_or_speakers_is_refused() -> None:
    with pytest.raises(ValueError, match="'brnn' sees later tokens"):
        recall_config("brnn", 32)
    with pytest.raises(ValueError, match="there is no mixer 'nonesuch'"):
        recall_config("nonesuch", 32)


@pytest.mark.parametrize("name", ["rat_2", "gla", "lizard"])
def test_mixers_start_alike_whatever_width_their_papers_had_in_mind(name: str) -> None:
    torch.manual_seed(0)
    model = recall_model(name, 32)
    for linear in model.backbone.modules():
        if isinstance(linear, torch.nn.Linear) and linear.weight.numel() > 500:
            assert linear.weight.std().item() == pytest.approx((3 * linear.in_features) ** -0.5, rel=0.1)
    if name == "lizard":
        assert model.backbone.blocks[1].mixer.forget.bias.item() == 4.0


def test_attention_recalls_where_a_constant_query_cannot() -> None:
    softmax, aaren = (train_recall(name, TINY, learning_rate=1e-2) for name in ("softmax", "aaren"))
    assert softmax.accuracy > 95
    assert aaren.accuracy < 75  # it knows the two values and not which: a half
    tokens, _ = TINY.test[0].draw(16, 2**31)
    padded, mask = torch.nn.functional.pad(tokens, (0, 5)), torch.arange(21).expand(16, -1) < 16
    for model in (softmax.model, aaren.model):
        logits, _ = model(tokens)
        torch.testing.assert_close(model(padded, mask=mask)[0][:, :16], logits, rtol=1e-4, atol=1e-4)
        state, answers = model.initial_state(16), []
        for token in tokens.unbind(1):
            one, state = model.step(token, state)
            answers.append(one.argmax(-1))
        assert torch.equal(torch.stack(answers, 1), logits.argmax(-1))


def test_the_metric_counts_questions_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = TokenModel(recall_config("gla", 32)).eval()
    x, labels = TINY.test[0].draw(TINY.n_test, 2**31)
    answers = model(x)[0].argmax(-1)
    right = [(a[y >= 0] == y[y >= 0]).double().mean() for a, y in zip(answers, labels, strict=True)]
    assert recall_accuracy(model, TINY) == pytest.approx({"V=32 T=16 N=2": 100 * float(torch.stack(right).mean())})


def test_evaluate_answers_with_sizes_chance_and_the_mixer_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = Tier(train=TINY.train, test=TINY.test, steps=2, batch=8, n_test=16, every=2)
    monkeypatch.setitem(TIERS, "smoke", few)
    told: list[tuple[int, int]] = []
    result = evaluate_recall(model="gla", progress=lambda done, n: told.append((done, n)))
    assert told == [(1, 2), (2, 2)]
    assert {"task", "model", "data", "n", "seconds", "metrics", "baselines"} <= set(result)
    assert result["n"] == 32
    assert result["metrics"]["state_floats"] == 2 * 64 + 32 * 64
    assert result["metrics"]["state_bytes"] == 4 * result["metrics"]["state_floats"]
    assert result["baselines"]["any_value_of_the_example"]["accuracy"] == 50
    assert result["baselines"]["softmax"]["state_floats"] == 2 * 64 + 2 * 64 * 16 + 1
    saved = train_recall("gla", few).model.save(tmp_path / "gla")
    again = evaluate_recall(model=saved, beside=())
    assert again["metrics"]["accuracy"] == pytest.approx(recall_accuracy(TokenModel.load(saved), few)["V=32 T=16 N=2"])
    with pytest.raises(ValueError, match="reads no files"):
        evaluate_recall([tmp_path])
    with pytest.raises(ValueError, match="no tier 'huge'"):
        evaluate_recall(tier="huge")


@pytest.mark.slow
def test_softmax_passes_the_smoke_tier() -> None:
    assert train_recall("softmax", TIERS["smoke"]).accuracy > 99


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least", "most"), [("softmax", 99, 100), ("rat_2", 95, 100), ("rat_8", 0, 40)])
def test_the_rank_tier_ranks_as_the_sheet_measured(name: str, least: float, most: float) -> None:
    assert least <= train_recall(name, TIERS["rank"]).accuracy <= most
