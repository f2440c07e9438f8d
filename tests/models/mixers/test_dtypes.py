"""Mixers in bfloat16 and under autocast: some digits fewer, and nothing else."""

from typing import Any

import pytest
import torch

from models.mixers import build_mixer

CASES: list[tuple[str, dict[str, Any]]] = [
    ("aaren", {}),
    ("dialog_gru", {"n_layers": 2, "d_hidden": 24}),
    ("exp_norm", {"normaliser": "count"}),
    ("identity_attention", {}),
    ("identity_attention", {"causal": True, "window": 4}),
    ("landmark", {"block": 4, "retrieve": 1}),
    ("mesa", {}),
    ("recycled", {"keep": 9}),
    ("regression", {}),
    ("sigmoid", {}),
    ("softmax", {"window": 4, "n_kv_heads": 2}),
    ("softmax", {"positions": "alibi", "qk_norm": "layer"}),
    ("softmax_rnn", {}),
]


@pytest.mark.parametrize(("name", "fields"), CASES)
@pytest.mark.parametrize("how", ["autocast", "bfloat16"])
def test_sixteen_bits_cost_some_digits_and_nothing_else(name: str, fields: dict[str, Any], how: str) -> None:
    mixer = build_mixer(name, d_model=32, **fields)
    x = torch.randn(3, 9, 32)
    ids = torch.randint(0, 3, (3, 9)) if mixer.takes_ids else None
    mask = torch.arange(9) < torch.tensor([9, 5, 0])[:, None]
    whole, state = mixer(x, ids=ids, mask=mask)
    after, _ = mixer(x, ids=ids, state=state) if mixer.streams else (whole, None)
    if how == "bfloat16":
        mixer, x = mixer.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        y, state = mixer(x, ids=ids, mask=mask)
        z, _ = mixer(x, ids=ids, state=state) if mixer.streams else (y, None)
    assert y.dtype == torch.bfloat16
    for narrow, wide in ((y, whole), (z, after)):
        assert (narrow.float() - wide).abs().max() <= 0.05 * wide.abs().max()


@pytest.mark.parametrize("name", ["aaren", "dialog_gru", "softmax_rnn"])
def test_what_adds_up_stays_in_single_precision_or_wider(name: str) -> None:
    mixer = build_mixer(name, d_model=32).bfloat16()
    ids = torch.zeros(1, 3, dtype=torch.long) if mixer.takes_ids else None
    _, state = mixer(torch.randn(1, 3, 32, dtype=torch.bfloat16), ids=ids)
    sums = [leaf for leaf in state if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]
    assert sums
    assert all(leaf.dtype in (torch.float32, torch.float64) for leaf in sums)
