"""Beam search against every sequence there is, and under the valid-tour constraint."""

import itertools
from typing import Any

import pytest
import torch

from models.mixers.softmax import SoftmaxAttentionConfig
from models.pointer.config import PointerConfig
from models.pointer.decoding import anything, beam_search, tour
from models.pointer.model import END, PointerNetwork


def network(seed: int = 0, **fields: Any) -> PointerNetwork:
    """Random weights, the pointer's ten times as large, so that sequences differ in likelihood."""
    torch.manual_seed(seed)
    model = PointerNetwork(PointerConfig(d_model=16, **fields)).double().eval()
    with torch.no_grad():
        model.pointer.v.weight.mul_(10)
    return model


@pytest.fixture(params=["lstm", "softmax", "gla"])
def model(request: pytest.FixtureRequest) -> PointerNetwork:
    return network(encoder=(request.param,), decoder=(request.param,))


def points(B: int = 3, n: int = 4) -> torch.Tensor:
    return torch.rand(B, n, 2, dtype=torch.float64)


def every_tour(model: PointerNetwork, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All n! tours and their log-probabilities, renormalised at each step over the cities that are left."""
    n = x.shape[1]
    tours = torch.tensor([[j + 1 for j in order] + [END] for order in itertools.permutations(range(n))])
    logits = model(x.expand(len(tours), -1, -1), tours)
    total = torch.zeros(len(tours), dtype=x.dtype)
    for i, row in enumerate(tours.tolist()):
        for step, pointer in enumerate(row):
            left = row[step:-1] or [END]
            total[i] += logits[i, step, pointer] - logits[i, step, left].logsumexp(0)
    return tours, total


def test_a_beam_as_wide_as_there_are_tours_is_exhaustive_search(model: PointerNetwork) -> None:
    x = points()
    found = beam_search(model, x, width=24, max_steps=5, constraint=tour)
    torch.testing.assert_close(found.log_prob.exp().sum(1), torch.ones(3, dtype=x.dtype))
    for b in range(3):
        tours, total = every_tour(model, x[b : b + 1])
        order = total.argsort(descending=True)
        torch.testing.assert_close(found.log_prob[b], total[order])
        torch.testing.assert_close(found.pointers[b], tours[order])


def test_a_wide_beam_finds_the_likeliest_of_all_free_sequences(model: PointerNetwork) -> None:
    x = points(1, 2)
    sequences = [s for m in range(4) for s in itertools.product((1, 2), repeat=m)]  # and END, within four steps
    ended = torch.zeros(len(sequences), 4, dtype=torch.long)
    for row, s in zip(ended, sequences, strict=True):
        row[: len(s)] = torch.tensor(s)
    targets = torch.where(torch.arange(4) <= torch.tensor([len(s) for s in sequences])[:, None], ended, -100)
    total = model.log_prob(x.expand(len(sequences), -1, -1), targets)
    found = beam_search(model, x, width=200, max_steps=4, constraint=anything)
    likelihood = {tuple(p): lp for p, lp in zip(found.pointers[0].tolist(), found.log_prob[0].tolist(), strict=True)}
    for row, lp in zip(ended.tolist(), total.tolist(), strict=True):
        assert likelihood[tuple(row)] == pytest.approx(lp)
    assert sum(torch.tensor(list(likelihood.values())).exp().tolist()) == pytest.approx(1)


def test_the_likelihood_of_a_free_sequence_is_the_models_own(model: PointerNetwork) -> None:
    x = points(3, 5)
    found = beam_search(model, x, width=3, max_steps=40)
    for b, k in itertools.product(range(3), range(3)):
        pointers = found.pointers[b, k].tolist()
        row = torch.tensor([pointers[: pointers.index(END) + 1] if END in pointers else pointers])
        torch.testing.assert_close(model.log_prob(x[b : b + 1], row)[0], found.log_prob[b, k])


def test_a_wider_beam_is_never_worse_where_it_matters_and_width_one_is_greedy(model: PointerNetwork) -> None:
    x = points(4, 6)
    greedy = beam_search(model, x, width=1, max_steps=7, constraint=tour)
    encoded = model.encode(x)
    heard, state, left = encoded.start, encoded.state, torch.ones(4, 7, dtype=torch.bool)
    left[:, END] = False
    for step in range(6):
        logits, state = model.step(heard[:, None], encoded, state)
        pointer = logits[:, 0].masked_fill(~left, -torch.inf).argmax(-1)
        assert greedy.pointers[:, 0, step].tolist() == pointer.tolist()
        left[torch.arange(4), pointer] = False
        heard = encoded.inputs[torch.arange(4), pointer]
    exhaustive = beam_search(model, x, width=720, max_steps=7, constraint=tour)
    assert bool((exhaustive.log_prob[:, 0] >= greedy.log_prob[:, 0] - 1e-12).all())


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_under_the_constraint_give_valid_tours_only(seed: int) -> None:
    model = network(seed, encoder=(SoftmaxAttentionConfig(d_model=16, causal=False, positions="none"),))
    mask = torch.tensor([9, 5, 1])[:, None] > torch.arange(9)
    found = beam_search(model, points(3, 9), mask, width=5, max_steps=10, constraint=tour)
    for b, n in enumerate((9, 5, 1)):
        for row, lp in zip(found.pointers[b].tolist(), found.log_prob[b].tolist(), strict=True):
            if lp > -torch.inf:
                assert sorted(row[:n]) == list(range(1, n + 1))
                assert set(row[n:]) == {END}
    assert bool((found.log_prob[:, 0] > -torch.inf).all())


def test_a_search_of_no_width_or_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 5"):
        beam_search(network(), points(), width=0, max_steps=5)
