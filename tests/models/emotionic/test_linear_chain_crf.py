"""The linear-chain ablation: pytorch-crf and our own sums are one model, and enumeration agrees with both."""

import pytest
import torch
from torch import Tensor

from models.emotionic.linear_chain_crf import LinearChainCRF
from tests.kernels.crf.enumeration import Answers, enumerate_labellings

EXACT = {"rtol": 0.0, "atol": 1e-9}
LENGTHS = [5, 1, 0, 3]


@pytest.fixture
def crf() -> LinearChainCRF:
    crf = LinearChainCRF(3).double()
    for p in crf.parameters():
        torch.nn.init.normal_(p)
    return crf


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """emissions, speakers, mask."""
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    emissions = torch.randn(4, 5, 3, dtype=torch.float64)
    return emissions.masked_fill(~mask[..., None], torch.nan), torch.randint(0, 3, (4, 5)), mask


def truth_of(crf: LinearChainCRF, emissions: Tensor, *, final: bool = True) -> Answers:
    names = {"start": "start_transitions", "end": "end_transitions", "same": "transitions"}
    tables = {ours: getattr(crf.chain, theirs).detach().numpy() for ours, theirs in names.items()}
    edges = [(i - 1, i, "same") for i in range(1, len(emissions))]
    return enumerate_labellings(emissions.numpy(), edges, tables, final=final)


def test_it_equals_enumeration(crf: LinearChainCRF, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    emissions, _, mask = batch
    with torch.no_grad():
        totals, marginals = crf.log_partition(*batch), crf.marginals(*batch)
        paths, best = crf.viterbi(*batch)
        filtered = crf.filtered(*batch)
        assert torch.equal(crf.posterior_decode(*batch), marginals.argmax(-1).masked_fill(~mask, -1))
    assert (marginals[~mask] == 0).all()
    assert (paths.eq(-1) == ~mask).all()
    for row, n in enumerate(LENGTHS):
        truth = truth_of(crf, emissions[row, :n])
        assert abs(totals[row].item() - truth.log_partition) < 1e-9
        torch.testing.assert_close(marginals[row, :n], torch.from_numpy(truth.marginals), **EXACT)
        assert tuple(paths[row, :n].tolist()) == truth.best
        assert abs(best[row].item() - truth.best_score) < 1e-9
        for i in range(n):
            seen = truth_of(crf, emissions[row, : i + 1], final=False).marginals[-1]
            torch.testing.assert_close(filtered[row, i], torch.from_numpy(seen), **EXACT)


def test_the_library_and_our_sums_are_one_model(crf: LinearChainCRF, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    emissions, speakers, mask = batch
    tags = torch.randint(0, 3, speakers.shape)
    theirs = crf.log_likelihood(emissions, tags, speakers, mask)
    ours = crf.score(emissions, tags, speakers, mask) - crf.log_partition(emissions, speakers, mask)
    torch.testing.assert_close(theirs, ours, **EXACT)
    mixture = torch.randn(4, dtype=torch.float64)
    found, expected = (torch.autograd.grad(mixture @ x, list(crf.parameters())) for x in (theirs, ours))
    torch.testing.assert_close(found, expected)


def test_one_by_one_is_bit_for_bit_the_filtered_run(crf: LinearChainCRF) -> None:
    emissions, speakers = torch.randn(2, 6, 3, dtype=torch.float64), torch.randint(0, 3, (2, 6))
    with torch.no_grad():
        offline, state = crf.filtered(emissions, speakers), crf.initial_state(2)
        for i in range(6):
            p, state = crf.step(emissions[:, i], speakers[:, i], state)
            assert torch.equal(p, offline[:, i])


def test_who_speaks_does_not_matter(crf: LinearChainCRF) -> None:
    emissions = torch.randn(1, 4, 3, dtype=torch.float64)
    alone, together = torch.zeros(1, 4, dtype=torch.long), torch.arange(4)[None]
    assert torch.equal(crf.marginals(emissions, alone), crf.marginals(emissions, together))


def test_a_batch_of_empty_dialogues_is_certain(crf: LinearChainCRF) -> None:
    emissions, ids = torch.zeros(2, 3, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.long)
    for e, i in ((emissions, ids), (emissions[:, :0], ids[:, :0])):
        assert crf.log_likelihood(e, i, i, torch.zeros_like(i, dtype=torch.bool)).tolist() == [0, 0]
        paths, scores = crf.viterbi(e, i, torch.zeros_like(i, dtype=torch.bool))
        assert (paths == -1).all()
        assert scores.tolist() == [0, 0]
