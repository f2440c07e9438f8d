"""SkipCRF against every labelling written out, against what must hold of it, and against its original's faults."""

import random
import resource
from collections.abc import Sequence

import pytest
import torch
import torchcrf
from torch import Tensor

from models.emotionic.skip_chain_crf import SkipChainCRF
from models.mixers.base import state_bytes, take_rows
from tests.kernels.crf.enumeration import Answers, Array, enumerate_labellings, skip_chain_edges, speaker_patterns

EXACT = {"rtol": 0.0, "atol": 1e-9}


def crf_of(n_labels: int, max_skip: int = 1) -> SkipChainCRF:
    """With parameters of a size that shows, in float64."""
    crf = SkipChainCRF(n_labels, max_skip=max_skip).double()
    for p in crf.parameters():
        torch.nn.init.normal_(p)
    return crf


def batch_of(patterns: Sequence[Sequence[int]], n_labels: int) -> tuple[Tensor, Tensor, Tensor]:
    """emissions (B, N, L), speakers, mask (B, N), with nonsense on the padding."""
    lengths = torch.tensor([len(p) for p in patterns])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    speakers = torch.full(mask.shape, 5)
    for row, pattern in zip(speakers, patterns, strict=True):
        row[: len(pattern)] = torch.tensor(pattern, dtype=torch.long)
    return torch.randn(*mask.shape, n_labels, dtype=torch.float64) * 2, speakers, mask


def tables_of(crf: SkipChainCRF) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in crf.named_parameters()}


def truth_of(crf: SkipChainCRF, emissions: Tensor, speakers: Sequence[int], *, final: bool = True) -> Answers:
    edges = list(skip_chain_edges(list(speakers), crf.max_skip))
    return enumerate_labellings(emissions.detach().double().numpy(), edges, tables_of(crf), final=final)


def assert_equals_enumeration(crf: SkipChainCRF, patterns: Sequence[Sequence[int]]) -> None:
    """log Z, marginals, Viterbi and scores of a padded batch, each row against its own labellings."""
    emissions, speakers, mask = batch_of(patterns, crf.n_labels)
    with torch.no_grad():
        totals, marginals = crf.log_partition(emissions, speakers, mask), crf.marginals(emissions, speakers, mask)
        paths, best = crf.viterbi(emissions, speakers, mask)
        path_scores = crf.score(emissions, paths, speakers, mask)
    assert (marginals[~mask] == 0).all()
    assert (paths.eq(-1) == ~mask).all()
    torch.testing.assert_close(best, path_scores, **EXACT)
    assert (path_scores <= totals + 1e-9).all()
    for row, pattern in enumerate(patterns):
        n = len(pattern)
        truth = truth_of(crf, emissions[row, :n], pattern)
        assert abs(totals[row].item() - truth.log_partition) < 1e-9, pattern
        torch.testing.assert_close(marginals[row, :n], torch.from_numpy(truth.marginals), **EXACT)
        assert tuple(paths[row, :n].tolist()) == truth.best, pattern
        assert abs(best[row].item() - truth.best_score) < 1e-9, pattern


@pytest.mark.parametrize("max_skip", [0, 1, 2, 3])
@pytest.mark.parametrize("n_labels", [1, 2, 3])
def test_every_speaker_pattern_of_up_to_five_utterances_equals_enumeration(n_labels: int, max_skip: int) -> None:
    patterns = [pattern for n in range(6) for pattern in speaker_patterns(n)]
    assert len(patterns) == 1 + 1 + 2 + 5 + 15 + 52
    assert_equals_enumeration(crf_of(n_labels, max_skip), patterns)


@pytest.mark.parametrize("max_skip", [1, 2, 3])
def test_longer_dialogues_equal_enumeration(max_skip: int) -> None:
    patterns = [p for n in (6, 7) for p in random.Random(n).sample(list(speaker_patterns(n)), 6)]
    assert_equals_enumeration(crf_of(3, max_skip), [*patterns, (0, 1, 2, 0, 1, 2, 0), (0, 1, 2, 3, 0, 1, 2)])


@pytest.mark.slow
@pytest.mark.parametrize("max_skip", [1, 2])
def test_every_speaker_pattern_of_six_and_seven_utterances_equals_enumeration(max_skip: int) -> None:
    assert_equals_enumeration(crf_of(3, max_skip), [p for n in (6, 7) for p in speaker_patterns(n)])


def test_the_score_of_every_labelling_is_the_sum_of_its_parts() -> None:
    crf, speakers = crf_of(3), (0, 1, 0, 0, 2, 0)
    emissions, ids, _ = batch_of([speakers], 3)
    truth = truth_of(crf, emissions[0], speakers)
    tags = torch.tensor(list(truth.scores))
    found = crf.score(emissions.expand(len(tags), -1, -1), tags, ids.expand(len(tags), -1))
    torch.testing.assert_close(found, torch.tensor(list(truth.scores.values()), dtype=torch.float64), **EXACT)
    likelihood = crf.log_likelihood(emissions.expand(len(tags), -1, -1), tags, ids.expand(len(tags), -1))
    assert (likelihood <= 0).all()
    assert abs(likelihood.exp().sum().item() - 1) < 1e-9


@pytest.mark.parametrize("max_skip", [1, 2])
def test_gradients_are_those_of_finite_differences(max_skip: int) -> None:
    crf = crf_of(2, max_skip)
    emissions, speakers, mask = batch_of([(0, 1, 0, 1), (0, 0, 1), (0,)], 2)
    emissions.requires_grad_()
    tags = torch.randint(0, 2, speakers.shape)
    inputs = (emissions, *crf.parameters())  # gradcheck moves them where they stand
    assert torch.autograd.gradcheck(lambda *_: crf.log_likelihood(emissions, tags, speakers, mask), inputs)
    assert torch.autograd.gradcheck(lambda *_: crf.marginals(emissions, speakers, mask), inputs)
    assert torch.autograd.gradcheck(lambda *_: crf.filtered(emissions, speakers, mask), inputs)


def test_the_gradient_of_log_z_is_the_marginals() -> None:
    crf = crf_of(3)
    emissions, speakers, mask = batch_of([(0, 1, 0, 2, 0), (1, 1)], 3)
    emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(crf.log_partition(emissions, speakers, mask).sum(), emissions)
    torch.testing.assert_close(gradient, crf.marginals(emissions, speakers, mask), **EXACT)


def test_a_monologue_is_a_linear_chain() -> None:
    crf, ordinary = crf_of(4), torchcrf.CRF(4, batch_first=True).double()
    with torch.no_grad():
        ordinary.start_transitions.copy_(crf.start)
        ordinary.end_transitions.copy_(crf.end)
        ordinary.transitions.copy_(crf.same)
    assert_equals_ordinary(crf, ordinary, [(3,) * 7, (3,) * 2, (3,)])


def test_strict_alternation_without_inertia_is_a_linear_chain_of_contagion() -> None:
    crf, ordinary = crf_of(4), torchcrf.CRF(4, batch_first=True).double()
    with torch.no_grad():
        crf.same.zero_()
        ordinary.start_transitions.copy_(crf.start)
        ordinary.end_transitions.copy_(crf.end)
        ordinary.transitions.copy_(crf.other)
    assert_equals_ordinary(crf, ordinary, [(0, 1, 0, 1, 0, 1, 0), (1, 0, 1), (1,)])


def assert_equals_ordinary(crf: SkipChainCRF, ordinary: torchcrf.CRF, patterns: Sequence[Sequence[int]]) -> None:
    emissions, speakers, mask = batch_of(patterns, crf.n_labels)
    tags = torch.randint(0, crf.n_labels, speakers.shape)
    likelihood = crf.log_likelihood(emissions, tags, speakers, mask)
    torch.testing.assert_close(likelihood, ordinary(emissions, tags, mask, reduction="none"), **EXACT)
    paths, _ = crf.viterbi(emissions, speakers, mask)
    assert [path[path >= 0].tolist() for path in paths] == ordinary.decode(emissions, mask)


def test_without_transitions_each_utterance_stands_alone() -> None:
    crf = crf_of(5)
    for p in crf.parameters():
        torch.nn.init.zeros_(p)
    emissions, speakers, mask = batch_of([(0, 1, 0, 1, 2), (0, 0)], 5)
    alone = emissions.logsumexp(-1).masked_fill(~mask, 0.0).sum(1)
    torch.testing.assert_close(crf.log_partition(emissions, speakers, mask), alone, **EXACT)
    assert torch.equal(crf.viterbi(emissions, speakers, mask)[0], emissions.argmax(-1).masked_fill(~mask, -1))
    assert torch.equal(crf.posterior_decode(emissions, speakers, mask), emissions.argmax(-1).masked_fill(~mask, -1))
    normalised = crf.log_partition(emissions.log_softmax(-1), speakers, mask)
    torch.testing.assert_close(normalised, torch.zeros(2, dtype=torch.float64), **EXACT)


def test_a_constant_on_one_utterance_moves_log_z_by_it_and_nothing_else() -> None:
    crf = crf_of(3)
    emissions, speakers, mask = batch_of([(0, 1, 0, 1)], 3)
    moved = emissions.clone()
    moved[0, 2] += 1234.5
    totals = [crf.log_partition(e, speakers, mask) for e in (emissions, moved)]
    torch.testing.assert_close(totals[1] - totals[0], torch.tensor([1234.5], dtype=torch.float64), rtol=0, atol=1e-8)
    assert torch.equal(crf.viterbi(emissions, speakers, mask)[0], crf.viterbi(moved, speakers, mask)[0])
    torch.testing.assert_close(crf.marginals(moved, speakers, mask), crf.marginals(emissions, speakers, mask))


def test_only_the_equality_of_speakers_matters() -> None:
    crf = crf_of(3, max_skip=2)
    emissions, speakers, mask = batch_of([(0, 1, 0, 2, 1, 0)], 3)
    renamed = torch.tensor([-7, 900, 2**40])[speakers.clamp(max=2)]
    assert torch.equal(crf.log_partition(emissions, speakers, mask), crf.log_partition(emissions, renamed, mask))
    assert torch.equal(crf.filtered(emissions, speakers, mask), crf.filtered(emissions, renamed, mask))


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_emissions_of_any_size_are_exact(size: float) -> None:
    crf, pattern = crf_of(3), (0, 1, 0, 2, 0, 0)
    emissions, speakers, mask = batch_of([pattern, pattern], 3)
    emissions *= size
    # Ties at a great height and depth, which only the small transitions break.
    emissions[1] = torch.where(torch.rand_like(emissions[1]) < 0.3, -size, size)
    totals, marginals = crf.log_partition(emissions, speakers, mask), crf.marginals(emissions, speakers, mask)
    paths, _ = crf.viterbi(emissions, speakers, mask)
    for row in range(2):
        truth = truth_of(crf, emissions[row], pattern)
        torch.testing.assert_close(totals[row].item(), truth.log_partition, rtol=1e-14, atol=1e-9)
        torch.testing.assert_close(marginals[row], torch.from_numpy(truth.marginals), rtol=0, atol=3e-15 * 6 * size)
        assert tuple(paths[row].tolist()) == truth.best


def test_single_precision_answers_in_single_and_is_as_good() -> None:
    crf = SkipChainCRF(7)
    emissions, speakers = torch.randn(2, 400, 7), torch.randint(0, 4, (2, 400))
    tags = torch.randint(0, 7, (2, 400))
    found = crf.log_likelihood(emissions, tags, speakers), crf.marginals(emissions, speakers)
    crf.double()
    truth = crf.log_likelihood(emissions.double(), tags, speakers), crf.marginals(emissions.double(), speakers)
    for single, double in zip(found, truth, strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-6)


# Live


@pytest.mark.parametrize("max_skip", [0, 1, 2])
def test_one_by_one_is_bit_for_bit_the_filtered_run(max_skip: int) -> None:
    crf = crf_of(3, max_skip)
    emissions, speakers, mask = batch_of([(0, 1, 0, 2, 1, 0, 0, 1), (0, 0, 1, 2, 0, 2, 1, 1), (4, 1, 1)], 3)
    with torch.no_grad():
        offline = crf.filtered(emissions, speakers, mask)
        state = crf.initial_state(3)
        for i in range(8):
            p, state = crf.step(emissions[:, i], speakers[:, i], state)
            assert torch.equal(p[mask[:, i]], offline[mask[:, i], i])
    assert (offline[~mask] == 0).all()


@pytest.mark.parametrize("max_skip", [1, 2])
def test_the_filtered_run_is_enumeration_of_what_has_been_said(max_skip: int) -> None:
    crf = crf_of(3, max_skip)
    patterns = random.Random(0).sample(list(speaker_patterns(6)), 12)
    emissions, speakers, mask = batch_of(patterns, 3)
    filtered = crf.filtered(emissions, speakers, mask)
    for row, pattern in enumerate(patterns):
        for n in (1, 3, 5, 6):
            truth = truth_of(crf, emissions[row, :n], pattern[:n], final=False)
            torch.testing.assert_close(filtered[row, n - 1], torch.from_numpy(truth.marginals[-1]), **EXACT)


def test_a_state_is_a_value_of_constant_size() -> None:
    crf = crf_of(3)
    with torch.no_grad():
        state = crf.initial_state(2)
        size = state_bytes(state)
        for i in range(30):
            _, state = crf.step(torch.randn(2, 3, dtype=torch.float64), torch.tensor([i % 2, i % 3]), state)
        assert state_bytes(state) == size
        emission, speaker = torch.randn(2, 3, dtype=torch.float64), torch.tensor([1, 1])
        once, _ = crf.step(emission, speaker, state)
        again, _ = crf.step(emission, speaker, state)
        one, _ = crf.step(emission[1:], speaker[1:], take_rows(state, torch.tensor([1])))
    assert torch.equal(once, again)
    assert torch.equal(once[1:], one)


# What the official code got wrong, by the number it has in the sheet's list of known weaknesses


def test_fault_1_single_utterance_dialogues_have_the_right_log_z() -> None:
    crf = crf_of(3)
    assert_equals_enumeration(crf, [(0, 1, 0, 1), (0,), (0, 0, 1)])  # one in a padded batch
    assert_equals_enumeration(crf, [(0,), (0,)])  # the longest has one
    emissions, speakers, mask = batch_of([(0,)], 3)
    expected = (crf.start + emissions[0, 0] + crf.end).logsumexp(0)
    torch.testing.assert_close(crf.log_partition(emissions, speakers, mask)[0], expected, **EXACT)


def test_fault_2_one_speaker_dialogues_of_three_and_more_have_the_right_log_z() -> None:
    assert_equals_enumeration(crf_of(3), [(0,) * n for n in range(3, 8)])


@pytest.mark.parametrize("n", [128, 129, 500])
def test_fault_4_dialogues_of_over_128_utterances_run_and_keep_their_links(n: int) -> None:
    crf = crf_of(3)
    emissions, speakers = torch.randn(1, n, 3, dtype=torch.float64), torch.arange(n)[None] % 2
    paths, best = crf.viterbi(emissions, speakers)
    torch.testing.assert_close(crf.score(emissions, paths, speakers), best, **EXACT)
    tables, y = tables_of(crf), paths[0].tolist()
    by_hand = float(emissions[0, torch.arange(n), paths[0]].sum() + tables["start"][y[0]] + tables["end"][y[-1]])
    by_hand += sum(tables["other"][y[i - 1], y[i]] for i in range(1, n))
    by_hand += sum(tables["same"][y[i - 2], y[i]] for i in range(2, n))  # each is linked to its speaker's last
    assert abs(best.item() - by_hand) < 1e-9
    marginals = crf.marginals(emissions, speakers)
    torch.testing.assert_close(marginals.sum(-1), torch.ones(1, n, dtype=torch.float64), **EXACT)


def test_fault_6_labels_ruled_out_give_no_nan_gradients() -> None:
    crf, pattern = crf_of(3), (0, 1, 0, 0, 2)
    emissions, speakers, mask = batch_of([pattern, (0,)], 3)
    emissions[0, 0, :2] = emissions[0, 3, 1] = emissions[1, 0, 2] = -torch.inf
    emissions.requires_grad_()
    for total in (crf.log_partition(emissions, speakers, mask), crf.filtered(emissions, speakers, mask)):
        for gradient in torch.autograd.grad(total.cos().sum(), [emissions, *crf.parameters()], allow_unused=True):
            assert gradient is None or gradient.isfinite().all()
    truth = truth_of(crf, emissions[0], pattern)
    assert abs(crf.log_partition(emissions, speakers, mask)[0].item() - truth.log_partition) < 1e-9
    marginals = crf.marginals(emissions, speakers, mask)
    torch.testing.assert_close(marginals[0], torch.from_numpy(truth.marginals), **EXACT)


# Edges


def test_a_dialogue_without_utterances_is_certain() -> None:
    crf = crf_of(3)
    emissions, speakers, mask = batch_of([(0, 1), ()], 3)
    tags = torch.zeros_like(speakers)
    assert crf.log_likelihood(emissions, tags, speakers, mask)[1] == 0
    assert crf.viterbi(emissions, speakers, mask)[0][1].tolist() == [-1, -1]
    assert crf.log_likelihood(emissions[:, :0], tags[:, :0], speakers[:, :0]).tolist() == [0, 0]


def test_what_does_not_fit_is_refused() -> None:
    crf = SkipChainCRF(3)
    emissions, speakers, mask = torch.zeros(2, 4, 3), torch.zeros(2, 4, dtype=torch.long), torch.ones(2, 4).bool()
    with pytest.raises(ValueError, match=r"ask for \(2, 3, 3\)"):
        crf.log_partition(emissions, speakers[:, :3])
    with pytest.raises(ValueError, match="tags are"):
        crf.score(emissions, speakers[:, :3], speakers)
    with pytest.raises(ValueError, match=r"torch\.bool"):
        crf.viterbi(emissions, speakers, mask.long())
    mask[0, 1] = False
    with pytest.raises(ValueError, match="padding goes on the right"):
        crf.marginals(emissions, speakers, mask)
    with pytest.raises(ValueError, match="n_labels"):
        SkipChainCRF(0)
    with pytest.raises(ValueError, match="max_skip"):
        SkipChainCRF(3, max_skip=-1)


@pytest.mark.slow
def test_a_hundred_thousand_utterances_are_labelled_in_bounded_memory() -> None:
    crf, n = SkipChainCRF(7), 100_000
    emissions, speakers = torch.randn(1, n, 7).log_softmax(-1), torch.randint(0, 5, (1, n))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.no_grad():
        marginals = crf.marginals(emissions, speakers)
        paths, best = crf.viterbi(emissions, speakers)
        filtered = crf.filtered(emissions, speakers)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert used < 600 * 1024, f"{used} KiB"
    torch.testing.assert_close(marginals.sum(-1), torch.ones(1, n))
    torch.testing.assert_close(filtered.sum(-1), torch.ones(1, n))
    torch.testing.assert_close(crf.score(emissions, paths, speakers), best)
