import pytest
import torch

from dialog.bench import thinking
from dialog.training.replies.thinking import (
    Asked,
    Facts,
    ThinkingRecipe,
    of_test,
    one_layer,
    oracle,
    scored,
    small,
    train_decider,
    train_passes,
    train_thinking,
)
from models.decoder.model import Decoder
from models.thinking.model import ThinkAtHard

TASK = Facts(names=3, values=3, questions=4, batch=8)


def test_questions_are_answered_by_the_facts_before_them():
    task = Facts(batch=40, hard=0.5)
    asked, n, m = task.draw(1), task.names, task.values
    first = n * (m + n)
    assert int(asked.tokens.max()) < task.n_tokens
    for tokens, labels, hard in zip(*(z.tolist() for z in asked), strict=True):
        value = {t // m: t % m for t in tokens[: 2 * n] if t < n * m}
        link = {(t - n * m) // n: (t - n * m) % n for t in tokens[: 2 * n] if t >= n * m}
        assert len(value) == len(link) == n
        assert all(x != y for x, y in link.items())
        for at in range(2 * n, len(tokens), 2):
            kind, x = tokens[at] - first - m - n, tokens[at + 1] - first - m
            expected = (first + value[x], first + m + link[x], first + value[link[x]])[kind]
            assert labels[at : at + 2] == [-100, expected]
            assert hard[at : at + 2] == [False, kind == 2]


def test_the_same_seed_draws_the_same_and_another_does_not():
    assert torch.equal(TASK.draw(5).tokens, TASK.draw(5).tokens)
    assert not torch.equal(TASK.draw(5).tokens, TASK.draw(6).tokens)
    assert len(of_test(TASK, 3).tokens) == 3


def test_an_oracle_marks_the_references_mistakes_and_nothing_that_is_not_asked():
    asked = TASK.draw(0)
    marked = oracle(Decoder(one_layer(TASK.n_tokens)), asked)
    assert not marked[asked.labels == -100].any()
    thought = ThinkAtHard(small(TASK))(asked.tokens, policy=marked)[0]
    assert torch.equal(thought.depth == 2, marked)
    scores = scored(thought, asked)
    assert scores.passes == pytest.approx(1 + marked.double().mean().item())


def test_each_stage_trains_its_own_part_and_no_other():
    model = ThinkAtHard(small(TASK))

    def parts():
        return {
            name: [p.detach().clone() for p in getattr(model, name).parameters()]
            for name in ("decoder", "deltas", "decider")
        }

    def changed(before):
        return {
            name: any(not torch.equal(a, b) for a, b in zip(some, parts()[name], strict=True))
            for name, some in before.items()
        }

    def hard(asked: Asked) -> torch.Tensor:
        return asked.hard

    before = parts()
    train_passes(model, TASK.draw, 3, 1e-2, 0, hard)
    assert changed(before) == {"decoder": True, "deltas": True, "decider": False}
    before = parts()
    train_decider(model, TASK.draw, 3, 1e-2, 0, hard, 4.8)
    assert changed(before) == {"decoder": False, "deltas": False, "decider": True}


def test_it_is_trained_whole_and_measured(monkeypatch):
    recipe = ThinkingRecipe(base=2, passes=2, decider=2)
    found = train_thinking(recipe, TASK.draw, Decoder(one_layer(TASK.n_tokens)), small(TASK))
    assert not any(m.training for m in found)
    monkeypatch.setattr(thinking, "of_test", lambda task: of_test(task, 16))
    told = thinking.measure(steps=2, repeats=1)
    rows = {row["name"]: row for row in told["rows"]}
    assert rows["one pass"]["passes"] == 1
    assert rows["always two"]["passes"] == 2
    assert rows["one pass"]["ratio"] == 1
    assert 0 <= rows["Think-at-Hard, the decider decides"]["agreement"] <= 100
    assert all(0 <= row["hard"] <= 100 for row in rows.values())
