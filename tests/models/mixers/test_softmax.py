"""Softmax attention against torch's own, and its variants against their definitions."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.mixers.base import state_numbers
from models.mixers.softmax import SoftmaxAttention, SoftmaxAttentionConfig
from models.positions import rotary


def build(d_model: int = 16, **fields: Any) -> SoftmaxAttention:
    return SoftmaxAttention(SoftmaxAttentionConfig(d_model=d_model, **fields)).double().eval()


def by_torch(mixer: SoftmaxAttention, x: Tensor, allowed: Tensor, bias: Tensor | None = None) -> Tensor:
    """The mixer with torch's attention in its middle; allowed (T, T), or (B, 1, T, T)."""
    c = mixer.config
    q, k, v = (z.unflatten(-1, (-1, c.head_width)) for z in mixer.project(x).split(mixer.widths, -1))
    q, k = mixer.q_norm(q), mixer.k_norm(k)
    if c.positions == "rotary":
        where = torch.arange(x.shape[1]).expand(x.shape[:2])
        q, k = rotary(q, where), rotary(k, where)
    repeats = c.n_heads // c.key_heads
    k, v = (z.repeat_interleave(repeats, 2) for z in (k, v))
    structure = torch.zeros(allowed.shape, dtype=x.dtype).masked_fill(~allowed, -torch.inf)
    o = scaled_dot_product_attention(
        *(z.transpose(1, 2) for z in (q, k, v)), attn_mask=structure if bias is None else structure + bias
    )
    return mixer.out(o.transpose(1, 2).flatten(2))


def distances(n: int) -> Tensor:
    return torch.arange(n)[:, None] - torch.arange(n)


@pytest.mark.parametrize("fields", [{}, {"n_kv_heads": 2}, {"n_kv_heads": 1, "d_head": 6}, {"qk_norm": "rms"}])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("causal", [True, False])
def test_it_is_torchs_attention(fields: dict[str, Any], window: int | None, causal: bool) -> None:
    mixer = build(window=window, causal=causal, **fields)
    x = torch.randn(2, 11, 16, dtype=torch.float64)
    d = distances(11)
    allowed = (d >= 0) if causal else torch.ones_like(d, dtype=torch.bool)
    if window is not None:
        allowed = allowed & (d.abs() <= window)
    torch.testing.assert_close(mixer(x)[0], by_torch(mixer, x, allowed))


def test_additive_structure_by_distance() -> None:
    x = torch.randn(2, 9, 16, dtype=torch.float64)
    d = distances(9)
    mixer = build(positions="alibi")
    slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8], dtype=torch.float64)
    torch.testing.assert_close(mixer(x)[0], by_torch(mixer, x, d >= 0, -slopes[:, None, None] * d.abs()))
    mixer = build(positions="learned", n_distances=4, causal=False)
    torch.nn.init.normal_(mixer.relative)
    bias = mixer.relative[0][:, (d.clamp(-3, 3) + 3)]
    torch.testing.assert_close(mixer(x)[0], by_torch(mixer, x, torch.ones_like(d, dtype=torch.bool), bias))


@pytest.mark.parametrize("only", ["same", "other"])
def test_boolean_structure_from_ids(only: str) -> None:
    mixer = build(only=only, positions="none")
    x, ids = torch.randn(2, 9, 16, dtype=torch.float64), torch.randint(0, 2, (2, 9))
    same = ids[:, None, :, None] == ids[:, None, None, :]
    allowed = (distances(9) >= 0) & (same if only == "same" else ~same)
    y, _ = mixer(x, ids=ids)
    sees = allowed.any(-1)[:, 0]
    torch.testing.assert_close(y[sees], by_torch(mixer, x, allowed)[sees])
    assert not y[~sees].any()


def test_packed_sequences_do_not_see_each_other() -> None:
    mixer = build(only="same")
    x = torch.randn(1, 10, 16, dtype=torch.float64)
    packed, _ = mixer(x, ids=torch.tensor([[0] * 6 + [1] * 4]))
    alone, _ = mixer(x[:, 6:], ids=torch.ones(1, 4, dtype=torch.long))
    torch.testing.assert_close(packed[:, 6:], alone)


def test_a_windowed_cache_is_a_ring_and_another_grows() -> None:
    x = torch.randn(1, 40, 16, dtype=torch.float64)
    for window, n_slots in ((4, 4), (None, 40)):
        mixer = build(window=window, n_kv_heads=2)
        _, state = mixer(x)
        assert state_numbers(state) == mixer.state_floats(40) == n_slots * 2 * 8 + 1


def test_dropout_is_for_training() -> None:
    mixer = build(dropout=0.5)
    x = torch.randn(1, 6, 16, dtype=torch.float64)
    assert torch.equal(mixer(x)[0], mixer(x)[0])
    mixer.train()
    assert not torch.equal(mixer(x)[0], mixer(x)[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_heads": 3}, "d_model 16 is not a multiple of n_heads 3"),
        ({"n_kv_heads": 3}, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ({"d_head": 5}, "5 wide"),
        ({"window": 0}, "window is 0"),
        ({"positions": "absolute"}, "positions is 'absolute'"),
        ({"only": "nobody"}, "only is 'nobody'"),
        ({"n_distances": 0}, "n_distances is 0"),
        ({"dropout": 1.5}, "dropout is 1.5"),
    ],
)
def test_a_config_checks_itself(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
