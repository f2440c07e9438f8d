"""Routing attention against its definition, and how its centroids move."""

import torch
import torch.nn.functional as F

from models.mixers import build_mixer
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
    cluster = mixer.clusters(q[None])[0]
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
    mixer.sums.copy_(mixer.sums[:, order])
    torch.testing.assert_close(mixer(x)[0], before)


def test_training_moves_the_centroids_to_the_mean_of_their_queries_and_evaluation_does_not() -> None:
    mixer = routing(n_clusters=1, window=2, decay=0.0)
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([6, 2])[:, None]
    queries = F.layer_norm(mixer.query(x).unflatten(-1, (2, 8)), (8,))
    mixer.train()(x, mask=mask)
    torch.testing.assert_close(mixer.centroids[:, 0], queries[mask].mean(0).detach())
    assert mixer.commitment_loss is not None
    mixer.commitment_loss.backward()
    assert mixer.query.weight.grad is not None
    kept = mixer.centroids.clone()
    mixer.eval()(x)
    assert torch.equal(mixer.centroids, kept)
