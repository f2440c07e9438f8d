"""The pointer at causes: backwards only, by content, the same in any batch, in any stretch, under any name."""

import pytest
import torch
from torch import Tensor

from models.mixers.base import leaves, rebuilt
from models.pointer.causes import Candidates, CausePointer, CausesConfig, join, pad_tokens

D, E, N = 16, 3, 9


@pytest.fixture(params=["gru", "softmax"])
def model(request: pytest.FixtureRequest) -> CausePointer:
    torch.manual_seed(0)
    config = CausesConfig(
        n_emotions=E,
        d_encoder=D,
        d_model=8,
        d_hidden=12,
        d_token=6,
        d_span=8,
        mixers=(request.param,),
        window=5,
        span_cap=3,
        n_habits=2,
    )
    model = CausePointer(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.5)
    return model


def inputs(n: int = N, batch: int = 1) -> list[Tensor]:
    """Vectors, emotions, speakers, tokens and their mask; some utterance has no token at all."""
    lengths = torch.randint(0, 5, (batch, n))
    lengths[:, 0] = 0
    tokens, mask = pad_tokens(torch.randn(int(lengths.sum()), 6), lengths)
    emotions = torch.randn(batch, n, E).softmax(-1)
    return [torch.randn(batch, n, D), emotions, torch.randint(0, 3, (batch, n)), tokens, mask]


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_it_never_points_forward_nor_beyond_the_window(model: CausePointer) -> None:
    pairs, latent, _, _ = model(*inputs())
    far = torch.arange(N)[:, None] - torch.arange(N)
    assert torch.equal(pairs[0].isfinite(), (far >= 0) & (far < 5))
    assert latent.isfinite().all()


def test_adding_future_turns_changes_nothing(model: CausePointer) -> None:
    whole = inputs()
    pairs, latent, _, _ = model(*whole)
    part, part_latent, _, _ = model(*(leaf[:, :4] for leaf in whole))
    same(part, pairs[:, :4, :4])
    same(part_latent, latent[:, :4])


def test_padding_changes_nothing_and_rows_do_not_mix(model: CausePointer) -> None:
    rows = inputs(batch=3)
    lengths = [N, 4, 1]
    mask = torch.arange(N) < torch.tensor(lengths)[:, None]
    pairs, latent, _, _ = model(*rows, mask)
    for b, n in enumerate(lengths):
        alone, alone_latent, _, _ = model(*(leaf[b : b + 1, :n] for leaf in rows))
        same(pairs[b : b + 1, :n, :n], alone)
        same(latent[b : b + 1, :n], alone_latent)
        assert (pairs[b, :, n:] == -torch.inf).all()


def test_only_the_equality_of_speakers_matters(model: CausePointer) -> None:
    given = inputs()
    other = [*given[:2], torch.tensor([70, 5, 123456789])[given[2]], *given[3:]]
    same(model(*given)[0], model(*other)[0])
    one_voice = [*given[:2], torch.zeros_like(given[2]), *given[3:]]
    assert not torch.allclose(model(*given)[0][0, 4, :4], model(*one_voice)[0][0, 4, :4])


def test_an_utterance_said_twice_is_told_apart_by_distance(model: CausePointer) -> None:
    given = inputs()
    for leaf in given:
        leaf[:, 3] = leaf[:, 2]
    scores = model(*given)[0][0, 4]
    assert abs(scores[2] - scores[3]) > 1e-3


def test_a_conversation_read_in_stretches_is_the_same(model: CausePointer) -> None:
    given = inputs()
    expected, latent, _, _ = model(*given)
    state, before = None, None
    for first, last in ((0, 1), (1, 2), (2, 6), (6, N)):
        part = [leaf[:, first:last] for leaf in given]
        new, state = model.read(*part, state=state)
        state = rebuilt(state, iter([leaf.clone() for leaf in leaves(state)]))
        everyone = new if before is None else join(before, new)
        known = everyone.speakers.shape[1] - (last - first)
        place, places = torch.arange(first, last), torch.arange(first - known, last)
        pairs, part_latent = model.pairs(model.queries(new), new.speakers, everyone, place, places)
        same(pairs, expected[:, first:last, first - known : last])
        same(part_latent, latent[:, first:last])
        before = Candidates(*(leaf[:, -4:] for leaf in everyone))


def test_each_corpus_has_a_habit_of_its_own_and_the_first_is_the_default(model: CausePointer) -> None:
    given = inputs(batch=2)
    default, default_latent, default_q, _ = model(*given)
    one, latent, q, _ = model(*given, habits=torch.tensor([0, 1]))
    same(one[0], default[0])
    same(latent[0], default_latent[0])
    possible = default[1].isfinite()
    assert torch.equal(one[1].isfinite(), possible)
    assert (one[1] - default[1])[possible].abs().min() > 1e-4
    assert (latent[1] - default_latent[1]).abs().min() > 1e-4
    assert not torch.allclose(q[1], default_q[1])


def test_spans_of_pairs_anywhere_are_those_of_each_pair_alone(model: CausePointer) -> None:
    _, _, q, read = model(*inputs(batch=2))
    where = torch.tensor([[1, 5, 3], [0, 4, 4], [1, 8, 1]])
    together = model.spans(q, read, read, where)
    for row, (b, t, j) in zip(together, where.tolist(), strict=True):
        k = int(read.token_mask[b, j].sum())
        one = Candidates(*(leaf[b : b + 1] for leaf in read))
        (alone,) = model.spans(q[b : b + 1], one, one, torch.tensor([[0, t, j]]))
        same(row[:k, :k], alone[:k, :k])


def test_gradients_reach_every_parameter(model: CausePointer) -> None:
    vectors, emotions, speakers, tokens, mask = inputs()
    kept = model.keep_token(torch.randn(*tokens.shape[:3], D))
    pairs, latent, q, read = model(vectors, emotions, speakers, kept, mask)
    other, other_latent, _, _ = model(vectors, emotions, speakers, kept, mask, habits=torch.tensor([1]))
    where = [(0, N - 1, j) for j in range(N) if mask[0, j].any()]
    spans = model.spans(q, read, read, torch.tensor(where))
    finite = [z[z.isfinite()] for z in (pairs, other, spans)]
    (sum(z.square().sum() for z in finite) + latent.square().sum() + other_latent.square().sum()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert silent == []


def test_configs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        CausesConfig(n_emotions=E, window=0)
    with pytest.raises(ValueError, match="dropout 1"):
        CausesConfig(n_emotions=E, dropout=1.0)
    with pytest.raises(ValueError, match="backwards only"):
        CausePointer(CausesConfig(n_emotions=E, d_encoder=D, d_model=8, mixers=("brnn",)))
