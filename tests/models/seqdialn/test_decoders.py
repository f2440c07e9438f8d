"""The decoders, their losses, and ensembles."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.seqdialn.beam import beam_search
from models.seqdialn.config import SeqDialNConfig
from models.seqdialn.decoders import (
    END,
    START,
    Discriminative,
    Generative,
    adjusted_relevance,
    dense_loss,
    n_pair_loss,
)
from models.seqdialn.ensemble import HOW, How, combine, ranks

CONFIG = SeqDialNConfig(d_text=6, d_region=4, d_answer=8, n_words=4, n_decoder_layers=2)


@pytest.fixture
def generative() -> Generative:
    return Generative(CONFIG).double().eval()


def answers(n: int, length: int) -> tuple[Tensor, Tensor]:
    """Random answers of different lengths, each closed by END."""
    lengths = torch.arange(n) % length + 1
    tokens = torch.randint(2, 7, (n, length))
    tokens[torch.arange(n), lengths - 1] = END
    return tokens, torch.arange(length) < lengths[:, None]


@torch.no_grad()
@pytest.mark.parametrize("n_option_layers", [0, 1, 2])
def test_permuting_the_candidates_permutes_their_scores(n_option_layers: int) -> None:
    config = SeqDialNConfig(d_text=6, d_region=4, d_answer=8, n_option_layers=n_option_layers)
    decoder = Discriminative(config).double().eval()
    words, mask = torch.randn(100, 4, 6, dtype=torch.float64), torch.arange(4) < torch.randint(1, 5, (100, 1))
    z, order = torch.randn(3, 8, dtype=torch.float64), torch.randperm(100)
    scores = decoder(z, decoder.options(words, mask))
    mixed = decoder(z, decoder.options(words[order], mask[order]))
    torch.testing.assert_close(mixed, scores[:, order])
    torch.testing.assert_close(ranks(mixed), ranks(scores)[:, order])
    own = decoder(z, decoder.options(words, mask).expand(3, -1, -1))
    torch.testing.assert_close(own, scores)


def test_the_n_pair_loss_is_cross_entropy_at_a_quarter_of_the_temperature() -> None:
    scores, gt = torch.randn(5, 9, dtype=torch.float64), torch.randint(9, (5,))
    published = torch.stack([((s - s[i]) / 0.25).logsumexp(0) for s, i in zip(scores, gt, strict=True)]).mean()
    torch.testing.assert_close(n_pair_loss(scores, gt), published)
    torch.testing.assert_close(n_pair_loss(scores, gt), F.cross_entropy(scores / 0.25, gt))


def test_adjusted_relevance_keeps_the_human_answer_strictly_on_top() -> None:
    relevance, gt = torch.rand(50, 100), torch.randint(100, (50,))
    adjusted = adjusted_relevance(relevance, gt)
    human = adjusted.gather(1, gt[:, None])
    others = adjusted.scatter(1, gt[:, None], -1.0).amax(1, keepdim=True)
    assert float(human.min()) >= 2 / 3
    assert float(others.max()) <= 1 / 3
    assert float(adjusted.min()) >= 0
    assert float(adjusted.max()) <= 1


def test_the_dense_loss_is_its_formula_and_leaves_out_absent_options() -> None:
    scores, relevance = torch.randn(2, 4, dtype=torch.float64), torch.tensor([[0, 0.5, 1, 0], [1, 0, 0, 0.0]]).double()
    by_hand = -(relevance * scores.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(dense_loss(scores, relevance), by_hand)
    longer = F.pad(scores, (0, 3), value=-torch.inf).requires_grad_()
    loss = dense_loss(longer, F.pad(relevance, (0, 3)))
    torch.testing.assert_close(loss, by_hand)
    loss.backward()
    assert longer.grad is not None
    assert bool(longer.grad.isfinite().all())


@torch.no_grad()
def test_teacher_forcing_gives_what_stepping_gives(generative: Generative) -> None:
    tokens, mask = answers(6, 4)
    z = torch.randn(6, 8, dtype=torch.float64)
    forced, stepped = generative.log_p(z, tokens, mask), torch.zeros(6, 4, dtype=torch.float64)
    state, before = generative.initial_state(z), torch.full((6,), START)
    for i in range(4):
        logits, state = generative.step(before, state)
        stepped[:, i] = logits.log_softmax(-1).gather(-1, tokens[:, i : i + 1])[:, 0]
        before = tokens[:, i]
    torch.testing.assert_close(forced, stepped.masked_fill(~mask, 0.0))
    torch.testing.assert_close(generative.rank(z, tokens, mask), forced.sum(1) / mask.sum(1).double().sqrt())
    torch.testing.assert_close(generative.loss(z, tokens, mask), -forced.sum() / mask.sum())


@torch.no_grad()
def test_a_wide_enough_beam_finds_the_best_of_all_answers(generative: Generative) -> None:
    z = torch.randn(1, 8, dtype=torch.float64)
    found = beam_search(generative, generative.initial_state(z), START, END, width=400, max_tokens=4)
    every = [(*body, END) for n in range(4) for body in itertools.product((0, 2, 3, 4, 5, 6), repeat=n)]
    scores = {}
    for answer in every:
        tokens = torch.tensor([answer])
        log_p = float(generative.log_p(z, tokens, torch.ones_like(tokens, dtype=torch.bool)).sum())
        scores[answer[:-1]] = log_p / math.sqrt(len(answer))
    best = max(scores, key=scores.__getitem__)
    assert found[0].tokens == best
    assert found[0].score == pytest.approx(scores[best], abs=1e-5)
    assert all(h.score == pytest.approx(scores[h.tokens], abs=1e-5) for h in found[:20])


def test_a_beam_that_never_ends_still_answers(generative: Generative) -> None:
    with torch.no_grad():
        generative.head.bias[END] = -1e4
    z = torch.randn(1, 8, dtype=torch.float64)
    found = beam_search(generative, generative.initial_state(z), START, END, width=2, max_tokens=3)
    assert len(found[0].tokens) == 3
    with pytest.raises(ValueError, match="width"):
        beam_search(generative, generative.initial_state(z), START, END, width=0)


def test_ties_count_against_an_option() -> None:
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [2, 4, 2, 3]
    assert ranks(torch.zeros(2, 5)).tolist() == [[5] * 5] * 2


def test_ensembles_by_hand() -> None:
    """Two models, one list of three options: s = [2, 0, -1] and [0, 1, -3]."""
    scores = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, -3.0]])
    p = [[math.exp(s) / sum(math.exp(t) for t in row) for s in row] for row in scores.tolist()]
    means = [(p[0][i] + p[1][i]) / 2 for i in range(3)]
    assert combine(scores).tolist() == pytest.approx(means)
    assert combine(scores, "rank").tolist() == pytest.approx([-1.5, -1.5, -3.0])
    assert combine(scores, "reciprocal_rank").tolist() == pytest.approx([0.75, 0.75, 1 / 3])
    assert combine(scores, "score").tolist() == pytest.approx([(1 + 0.75) / 2, (1 / 3 + 1) / 2, 0.0])
    assert combine(scores, "rank", power=2.0).tolist() == pytest.approx([-2.5, -2.5, -9.0])
    with pytest.raises(ValueError, match="magic"):
        combine(scores, "magic")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", HOW)
def test_an_ensemble_of_one_ranks_as_its_member_and_absent_options_stay_absent(how: How) -> None:
    scores = torch.randn(1, 4, 6)
    scores[..., -1] = -torch.inf
    combined = combine(scores, how)
    assert torch.equal(ranks(combined), ranks(scores[0]))
    assert bool(combined[..., -1].isneginf().all())
