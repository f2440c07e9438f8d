"""Recycled attention: what it is with full steps alone, what it keeps between two, and when a full step is due."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.mixers import build_mixer
from models.mixers.base import SequenceMixer
from models.mixers.recycled import Recycled
from tests.models.mixers.projections import randomised

T = 17


def recycled(**fields: Any) -> Recycled:
    torch.manual_seed(0)
    mixer = randomised(build_mixer("recycled", **({"d_model": 16, "n_heads": 4, "n_kv_heads": 2} | fields))).eval()
    assert isinstance(mixer, Recycled)
    return mixer


def softmax_like(mixer: Recycled) -> SequenceMixer[Any]:
    c = mixer.config
    softmax = build_mixer("softmax", d_model=16, n_heads=4, n_kv_heads=2, positions=c.positions).double().eval()
    weights = torch.cat([z.weight for z in (mixer.query, mixer.key, mixer.value)])
    softmax.load_state_dict({"project.weight": weights, "out.weight": mixer.out.weight})
    return softmax


def tokens(n: int = T) -> Tensor:
    return torch.randn(2, n, 16, dtype=torch.float64)


@pytest.mark.parametrize(
    "fields",
    [
        {"stride": 1},
        {"stride": 1, "evict": "running"},
        {"keep": T},
        {"keep": T, "evict": "none", "stride": 6},
        {"keep": T, "evict": "running", "stride": 6},
        {"keep": 2, "evict": "running", "refresh": "query", "threshold": 1.1},
        {"keep": T, "evict": "running", "refresh": "query", "threshold": -1.1},
    ],
    ids=lambda f: " ".join(f"{k}={v}" for k, v in f.items()),
)
def test_full_steps_alone_and_room_for_every_key_are_softmax_attention(fields: dict[str, Any]) -> None:
    mixer, x = recycled(**fields), tokens()
    torch.testing.assert_close(mixer(x)[0], softmax_like(mixer)(x)[0])


@pytest.mark.parametrize("evict", ["rank", "none", "running"])
def test_anchors_answer_as_softmax_attention_and_others_do_not(evict: str) -> None:
    mixer, x = recycled(keep=2, stride=4, evict=evict), tokens()
    y, whole = mixer(x)[0], softmax_like(mixer)(x)[0]
    alike = (y - whole).abs().amax((0, 2)) < 1e-9
    assert alike[::4].all()
    assert not alike[9:12].any()


@pytest.mark.parametrize("evict", ["rank", "none"])
def test_between_anchors_a_token_sees_the_anchors_best_and_those_since(evict: str) -> None:
    """The rule in words, token by token."""
    mixer, x = recycled(keep=3, stride=4, evict=evict, positions="none"), tokens()
    q = mixer.query(x).unflatten(-1, (2, 2, 4))  # two heads a group
    k, v = (z(x).unflatten(-1, (2, 4)) for z in (mixer.key, mixer.value))
    p = torch.einsum("btgrk,bsgk->bgrts", q, k) / 2
    rows = []
    for t in range(T):
        a, r = t - t % 4, t % 4
        liked = p[..., a, : a + 1].softmax(-1).mean(2)
        best = liked.argsort(-1, descending=True)[..., : (3 - r if evict == "rank" else 3)]  # (B, G, .)
        seen = torch.zeros(2, 2, T, dtype=torch.bool).scatter(-1, best, True)
        seen[..., a + 1 : t + 1] = True
        if r == 0:
            seen[..., : t + 1] = True
        weights = p[..., t, :].masked_fill(~seen[:, :, None], -torch.inf).softmax(-1)
        rows.append(torch.einsum("bgrs,bsgk->bgrk", weights, v).flatten(1))
    torch.testing.assert_close(mixer(x)[0], mixer.out(torch.stack(rows, 1)))


def test_mean_and_max_are_one_where_a_head_has_keys_of_its_own() -> None:
    x = tokens()
    mean, most = (recycled(n_kv_heads=4, keep=2, aggregate=a)(x)[0] for a in ("mean", "max"))
    assert torch.equal(mean, most)
    mean, most = (recycled(n_kv_heads=1, keep=2, aggregate=a)(x)[0] for a in ("mean", "max"))
    assert not torch.allclose(mean, most)


def test_a_full_step_is_due_by_count_or_where_the_query_has_turned() -> None:
    mixer, x = recycled(evict="running", stride=5), tokens()
    never = recycled(evict="running", refresh="query", threshold=-1.1)
    turned = recycled(evict="running", refresh="query", threshold=0.9, check=3, positions="none")
    same = x[:, :1].expand(-1, T, -1)
    anchors = []
    for one, given in ((mixer, x), (never, x), (turned, same), (turned, torch.cat([same[:, :7], -same[:, 7:]], 1))):
        state, found = one.initial_state(2), []
        for t in range(T):
            _, state = one.step(given[:, t], state)
            found.append(int(state.anchor[0]))
        anchors.append(sorted(set(found)))
    assert anchors == [[0, 5, 10, 15], [0], [0], [0, 9]]  # it looks at 3, 6 and 9


def test_sinks_and_the_most_recent_are_always_kept() -> None:
    for evict in ("rank", "running"):
        mixer = recycled(keep=4, stride=6, n_sinks=1, n_recent=2, evict=evict)
        _, state = mixer(tokens(13))  # the last token is an anchor
        assert (state.chosen == 0).any(-1).all()
        for recent in (11, 12):
            assert (state.chosen == recent).any(-1).all()


def test_a_prompt_is_read_by_full_attention_and_its_last_token_is_the_anchor() -> None:
    mixer, x = recycled(evict="running", stride=6, keep=3), tokens()
    mask = torch.arange(T) < torch.tensor([T, 9])[:, None]
    y, state = mixer.prefill(x, mask=mask)
    torch.testing.assert_close(y, softmax_like(mixer)(x, mask=mask)[0])
    assert state.anchor.tolist() == [T - 1, 8]
    z, _ = mixer.step(x[:, 0], state)
    _, other = mixer.prefill(x[1:, :9])
    torch.testing.assert_close(z[1:], mixer.step(x[1:, 0], other)[0])
    with pytest.raises(ValueError, match="evict 'running', got 17 and 'rank'"):
        recycled().prefill(x)


def test_queries_that_stay_find_their_keys_again_and_queries_that_jump_do_not() -> None:
    """How much of full attention's weight is on the keys that are left: the paper's measure."""
    torch.manual_seed(0)
    n, keep, stride = 512, 32, 8
    k = torch.randn(n, 32)
    topics = 2.5 * torch.randn(n // 16, 32)
    runs, jumps = topics.repeat_interleave(16, 0) + 0.3 * torch.randn(n, 32), 2.5 * torch.randn(n, 32)
    found = {}
    for name, q in (("runs", runs), ("jumps", jumps)):
        p = (q @ k.T / 32**0.5 + torch.full((n, n), -torch.inf).triu(1)).softmax(-1)
        kept, window = [], []
        for t in range(256, n):
            a = t - t % stride
            if t == a:
                continue
            seen = set(p[a].topk(keep).indices.tolist()) | set(range(a + 1, t + 1))
            kept.append(float(p[t, sorted(seen)].sum()))
            window.append(float(p[t, [*range(4), *range(t - keep + 5, t + 1)]].sum()))
        found[name] = sum(kept) / len(kept), sum(window) / len(window)
    assert found["runs"][0] > 0.8 > 3 * found["runs"][1]
    assert found["jumps"][0] < 0.5 * found["runs"][0]


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"refresh": "query"}, "goes with evict 'running'"),
        ({"n_sinks": 9}, "more than keep 8"),
        ({"keep": 0}, "keep 0"),
    ],
)
def test_numbers_that_disagree_are_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        recycled(**fields)
