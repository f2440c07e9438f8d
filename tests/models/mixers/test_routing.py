"""Routing attention against its definition, and how its centroids move."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from models.mixers import build_mixer
from models.mixers.centroids import k_means
from models.mixers.routing import Routing


def routing(**fields: object) -> Routing:
    mixer = build_mixer("routing", d_model=16, n_heads=2, **fields).double()
    assert isinstance(mixer, Routing)
    return mixer


def test_a_token_attends_to_the_last_tokens_of_its_own_cluster() -> None:
    mixer = routing(n_clusters=3, window=4, positions="none").eval()
    x = torch.randn(1, 20, 16, dtype=torch.float64)
    heads = lambda z: F.layer_norm(z.unflatten(-1, (2, 8)), (8,))  # noqa: E731
    q, k, v = heads(mixer.query(x))[0], heads(mixer.key(x))[0], mixer.value(x).unflatten(-1, (2, 8))[0]
    cluster = mixer.clusters(q[None])[0, ..., 0]
    rows = []
    for t in range(20):
        found = []
        for h in range(2):
            mine = [j for j in range(t + 1) if cluster[j, h] == cluster[t, h]][-4:]
            weights = (k[mine, h] @ q[t, h] * 8**-0.5).softmax(0)
            found.append(weights @ v[mine, h])
        rows.append(torch.cat(found))
    torch.testing.assert_close(mixer(x)[0][0], mixer.out(torch.stack(rows)))
    assert len(cluster.unique()) > 1


def test_one_cluster_and_a_wide_window_is_softmax_attention_on_normed_queries_and_keys() -> None:
    mixer = routing(n_clusters=1, window=30, positions="none").eval()
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    q, k = (F.layer_norm(z(x).unflatten(-1, (2, 8)), (8,)).transpose(1, 2) for z in (mixer.query, mixer.key))
    v = mixer.value(x).unflatten(-1, (2, 8)).transpose(1, 2)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixer(x)[0], mixer.out(expected))


def test_the_order_of_the_centroids_does_not_matter_nor_the_scale_of_the_input_to_the_clustering() -> None:
    mixer = routing(n_clusters=4, window=3).eval()
    x = torch.randn(1, 12, 16, dtype=torch.float64)
    before, clusters = mixer(x)[0], mixer.clusters(mixer._heads(mixer.query(x)))
    assert torch.equal(mixer.clusters(mixer._heads(mixer.query(5 * x))), clusters)
    order = torch.tensor([2, 0, 3, 1])
    mixer.centroids.sums.copy_(mixer.centroids.sums[:, order])
    torch.testing.assert_close(mixer(x)[0], before)


def test_training_moves_the_centroids_to_the_mean_of_their_queries_and_evaluation_does_not() -> None:
    mixer = routing(n_clusters=1, window=2, decay=0.0)
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([6, 2])[:, None]
    queries = F.layer_norm(mixer.query(x).unflatten(-1, (2, 8)), (8,))
    mixer.train()(x, mask=mask)
    torch.testing.assert_close(mixer.centroids.means[:, 0], queries[mask].mean(0).detach())
    assert mixer.commitment_loss is not None
    mixer.commitment_loss.backward()
    assert mixer.query.weight.grad is not None
    kept = mixer.centroids.means.clone()
    mixer.eval()(x)
    assert torch.equal(mixer.centroids.means, kept)


def test_a_token_in_several_clusters_answers_with_their_mean() -> None:
    mixer = routing(n_clusters=4, window=3, n_nearest=2, positions="none").eval()
    x = torch.randn(1, 15, 16, dtype=torch.float64)
    q, k = (F.layer_norm(z(x).unflatten(-1, (2, 8)), (8,))[0] for z in (mixer.query, mixer.key))
    v, cluster = mixer.value(x).unflatten(-1, (2, 8))[0], mixer.clusters(q[None])[0]  # (T, H, 2)
    rows = []
    for t in range(15):
        found = []
        for h in range(2):
            answers = []
            for c in cluster[t, h]:
                mine = [j for j in range(t + 1) if (cluster[j, h] == c).any()][-3:]
                answers.append((k[mine, h] @ q[t, h] * 8**-0.5).softmax(0) @ v[mine, h])
            found.append(sum(answers) / 2)
        rows.append(torch.cat(found))
    y, state = mixer(x)
    torch.testing.assert_close(y[0], mixer.out(torch.stack(rows)))
    assert state.seen.sum((0, 2)).tolist() == [30, 30]  # every token has a place in two clusters of each head


def test_local_heads_see_their_neighbours() -> None:
    mixer = routing(n_clusters=4, window=3, n_local=2, positions="none").eval()
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    q, k = (F.layer_norm(z(x).unflatten(-1, (2, 8)), (8,)).transpose(1, 2) for z in (mixer.query, mixer.key))
    v = mixer.value(x).unflatten(-1, (2, 8)).transpose(1, 2)
    near = torch.ones(9, 9).tril().triu(-2).bool()
    expected = mixer.out(F.scaled_dot_product_attention(q, k, v, attn_mask=near).transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixer(x)[0], expected)
    paper = routing(mode="paper", window=3, n_local=2, n_clusters=4, positions="none").eval()
    paper.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(paper(x)[0], expected)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_in_the_papers_mode_clusters_choose_their_tokens_from_the_whole_sequence(bidirectional: bool) -> None:
    mixer = routing(mode="paper", n_clusters=3, window=4, positions="none", bidirectional=bidirectional).eval()
    x = torch.randn(1, 14, 16, dtype=torch.float64)
    n = 11  # the rest is padding
    q, k = (F.layer_norm(z(x).unflatten(-1, (2, 8)), (8,))[0, :n] for z in (mixer.query, mixer.key))
    v = mixer.value(x).unflatten(-1, (2, 8))[0, :n]
    total, members = torch.zeros(n, 2, 8, dtype=torch.float64), torch.zeros(n, 2)
    for h in range(2):
        for mean in mixer.centroids.means[h]:
            mine = (q[:, h] @ mean).argsort(descending=True)[:4].sort().values.tolist()
            told = (k[:, h] @ mean).argsort(descending=True)[:4].tolist() if bidirectional else mine
            for t in mine:
                seen = told if bidirectional else [j for j in told if j <= t]
                total[t, h] += (k[seen, h] @ q[t, h] * 8**-0.5).softmax(0) @ v[seen, h]
                members[t, h] += 1
    expected = mixer.out((total / members.clamp(min=1)[..., None]).flatten(1))
    mask = torch.arange(14)[None] < n
    torch.testing.assert_close(mixer(x, mask=mask)[0][0, :n], expected)
    assert members.sum(0).tolist() == [12, 12]  # three clusters of four
    assert (members == 0).any()


def test_the_papers_mode_hears_of_later_tokens_even_where_members_see_earlier_ones_alone() -> None:
    """What the sheet of the paper warns of: a later token pushes an earlier one out of its cluster."""
    mixer = routing(mode="paper", n_clusters=4, window=4).eval()
    assert not mixer.streams
    x = torch.randn(40, 16, 16, dtype=torch.float64)
    other = x.clone()
    other[:, -1] = torch.randn(40, 16, dtype=torch.float64)
    moved = (mixer(x)[0] - mixer(other)[0])[:, :-1].abs().amax((1, 2)) > 1e-9
    assert float(moved.double().mean()) > 0.5
    causal = routing(n_clusters=4, window=4).eval()
    torch.testing.assert_close(causal(x)[0][:, :-1], causal(other)[0][:, :-1], rtol=0, atol=1e-12)


def test_one_cluster_of_all_is_softmax_attention_in_the_papers_mode_too() -> None:
    causal, paper = (routing(n_clusters=1, window=30, mode=mode).eval() for mode in ("causal", "paper"))
    paper.load_state_dict(causal.state_dict())
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    torch.testing.assert_close(paper(x)[0], causal(x)[0])


def test_k_means_finds_clusters_that_are_there_and_begins_at_the_first_batch_alone() -> None:
    truth = F.layer_norm(torch.randn(2, 5, 8, dtype=torch.float64), (8,))
    vectors = truth.repeat_interleave(20, 1) + 0.01 * torch.randn(2, 100, 8, dtype=torch.float64)
    found = k_means(vectors, 5)
    for head in range(2):
        assert float(torch.cdist(truth[head], found[head]).amin(1).max()) < 0.05
    mixer = routing(n_clusters=3, window=2, start="k_means", decay=0.9)
    before = mixer.centroids.means.clone()
    x = torch.randn(4, 9, 16, dtype=torch.float64)
    assert mixer.eval()(x)[0].isfinite().all()  # it answers before it has seen a batch
    assert torch.equal(mixer.centroids.means, before)
    mixer.train()(x, mask=torch.zeros(4, 9, dtype=torch.bool))
    assert not mixer.centroids.started
    mixer(x)
    q = mixer._heads(mixer.query(x)).detach()
    spread = mixer.centroids.away(q, mixer.clusters(q)[..., 0]).mean()
    assert mixer.centroids.started
    assert spread < 0.8 * (q - q.mean((0, 1))).square().sum(-1).mean()
    again = routing(n_clusters=3, window=2, start="k_means")
    again.load_state_dict(mixer.state_dict())
    assert again.centroids.started


def test_a_centroid_that_nobody_is_near_begins_anew_where_it_is_asked_for() -> None:
    for revive, alive in ((0.0, False), (0.1, True)):
        mixer = routing(n_clusters=2, window=2, decay=0.5, revive=revive).train()
        mixer.centroids.sums[:, 1] = -100 * mixer.centroids.sums[:, 0]
        x = torch.randn(1, 1, 16, dtype=torch.float64).expand(4, 6, 16)  # one query, again and again
        for _ in range(8):
            mixer(x)
        assert bool((mixer.centroids.counts.amin(-1) > 0.5).all()) == alive


def test_a_forward_made_again_for_its_gradients_does_not_learn_again() -> None:
    mixer = routing(n_clusters=2, window=2, decay=0.5).train()
    x = torch.randn(1, 6, 16, dtype=torch.float64, requires_grad=True)
    y = checkpoint(lambda z: mixer(z)[0], x, use_reentrant=False)
    kept = mixer.centroids.counts.clone()
    y.sum().backward()
    assert torch.equal(mixer.centroids.counts, kept)


def test_centroids_stay_wide_in_a_narrow_model() -> None:
    mixer = routing(n_clusters=2, window=2).to(torch.bfloat16).train()
    mixer(torch.randn(1, 6, 16, dtype=torch.bfloat16))
    assert mixer.centroids.sums.dtype == mixer.centroids.counts.dtype == torch.float32
    assert float(mixer.centroids.counts.sum()) != 4.0  # decayed by a thousandth


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"mode": "both"}, "mode 'both' must be"),
        ({"n_nearest": 9}, "n_nearest 9 must be 1 to n_clusters 8"),
        ({"mode": "paper", "n_nearest": 2}, "is for mode 'causal'"),
        ({"bidirectional": True}, "is for mode 'paper'"),
        ({"revive": 1.0}, "revive is 1.0"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(fields: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        routing(**fields)
