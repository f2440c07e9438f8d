"""Liger against its sheet; what every mixer promises is in test_contract.py."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from models.mixers.liger import Liger, LigerConfig
from models.positions import rotary
from tests.models.mixers.projections import TOKENS, finished, projected, randomised, tokens


def liger(**fields: Any) -> Liger:
    return randomised(Liger(LigerConfig(d_model=8, n_heads=2, **fields)))


@pytest.mark.parametrize("kind", ["gla", "hgrn2", "gsa", "head"])
def test_the_recurrent_half_is_its_equations(kind: Any) -> None:
    mixer, x = liger(kind=kind, linear_share=1.0), tokens()
    q, k, v = projected(mixer, x)
    logits = k.mean(-1, keepdim=True).expand_as(k) if kind == "head" else k
    alpha = logits.sigmoid() if kind == "hgrn2" else logits.sigmoid() ** (1 / 16)
    written = k.softmax(-1) if kind in ("gla", "head") else 1 - alpha
    S = K = torch.zeros(2, 2, 4, 4, dtype=torch.float64)
    outputs = []
    for t in range(TOKENS):
        S = alpha[:, :, t, :, None] * S + written[:, :, t, :, None] * v[:, :, t, None, :]
        K = alpha[:, :, t, :, None] * K + written[:, :, t, :, None] * k[:, :, t, None, :]
        p = (K @ q[:, :, t, :, None] / 2).softmax(-2) if kind == "gsa" else q[:, :, t, :, None].softmax(-2)
        outputs.append((p * S).sum(-2))
    torch.testing.assert_close(mixer(x)[0], finished(mixer, torch.stack(outputs, 2)))


@pytest.mark.parametrize("window", [1, 4, TOKENS, 40])
def test_the_window_half_is_softmax_over_exactly_that_many_keys(window: int) -> None:
    mixer, x = liger(linear_share=0.0, window=window), tokens()
    q, k, v = projected(mixer, x)
    positions = torch.arange(TOKENS).expand(2, TOKENS)
    q, k = (rotary(z.transpose(1, 2), positions).transpose(1, 2) for z in (q, k))
    distance = torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=(distance >= 0) & (distance < window))
    torch.testing.assert_close(mixer(x)[0], finished(mixer, y))


def test_the_halves_are_mixed_one_to_one() -> None:
    x, half = tokens(), liger(window=3)
    ends = []
    for share in (0.0, 1.0):
        end = liger(window=3, linear_share=share)
        end.load_state_dict(half.state_dict())
        ends.append(end(x)[0])
    torch.testing.assert_close(half(x)[0], (ends[0] + ends[1]) / 2)


def test_beyond_the_window_nothing_but_the_recurrence_remembers() -> None:
    mixer, x = liger(window=3), tokens()
    _, state = mixer(x)
    _, other = mixer(torch.cat([torch.randn_like(x[:, :-2]), x[:, -2:]], 1))
    state, other = (s._replace(S=torch.zeros_like(s.S)) for s in (state, other))
    torch.testing.assert_close(mixer(x, state=state)[0], mixer(x, state=other)[0])


def test_the_window_does_not_mind_where_the_sequence_stands() -> None:
    mixer, x = liger(window=4, linear_share=0.0), tokens()
    late = mixer.initial_state(2)
    late = late._replace(position=late.position + 1000, k=torch.full_like(late.k, -1e3))
    # Far along, the cache is full, here of keys that no query wants: the first tokens may differ, the rest may not.
    torch.testing.assert_close(mixer(x, state=late)[0][:, 3:], mixer(x)[0][:, 3:], rtol=1e-6, atol=1e-8)


def test_the_state_is_as_large_as_the_sheet_counts() -> None:
    with torch.device("meta"):
        mixer = Liger(LigerConfig(d_model=2048, n_heads=32, n_kv_heads=8))
    # The sheet stores S once a query head, and w keys; here S is kept once a key head, and w-1 keys beside the newest.
    assert mixer.state_floats(10**6) == 8 * 64**2 + 2 * 63 * 8 * 64 + 1
    assert sum(p.numel() for p in mixer.parameters()) == 2 * 2048**2 + 2 * 2048 * 512


def test_numbers_that_disagree_are_named() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        LigerConfig(d_model=8, window=0)
    with pytest.raises(ValueError, match="kind is 'mamba'"):
        LigerConfig(d_model=8, kind="mamba")  # type: ignore[arg-type]
