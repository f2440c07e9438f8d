"""Whole mixers on the Triton kernels, in the interpreter where there is no GPU."""

from typing import Any

import pytest
import torch

from kernels.backend import use_backend
from models.mixers import build_mixer

CASES: list[tuple[str, dict[str, Any]]] = [
    ("aaren", {"n_heads": 2}),
    ("dialog_gru", {"learned_distance": True}),
    ("identity_attention", {"n_heads": 2, "causal": True, "window": 3}),
    ("fsmn", {"order": 2, "conv_width": 2}),
    ("landmark", {"n_heads": 1, "block": 4}),
    ("liger", {"n_heads": 2, "n_kv_heads": 1, "kind": "gsa", "window": 3}),
    ("routing", {"n_heads": 1, "n_clusters": 2, "window": 3}),
    ("sigmoid", {"n_heads": 1, "positions": "learned", "n_distances": 3}),
    ("softmax", {"n_heads": 2, "n_kv_heads": 1}),
    ("softmax_rnn", {"n_heads": 2, "d_key": 4}),
    ("titans", {"n_heads": 1, "chunk": 4}),
]


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_kernels_give_the_same_mixer(name: str, fields: dict[str, Any], device: torch.device) -> None:
    mixer = build_mixer(name, d_model=12, **fields).to(device)
    x = torch.randn(2, 7, 12, device=device, requires_grad=True)
    ids = torch.randint(0, 3, (2, 7), device=device) if mixer.takes_ids else None
    mask = torch.arange(7, device=device) < torch.tensor([7, 4], device=device)[:, None]
    results = []
    for backend in ("triton", "reference"):
        with use_backend(backend):  # type: ignore[arg-type]
            y, state = mixer(x, ids=ids, mask=mask)
            z, _ = mixer(x[:, :2], ids=None if ids is None else ids[:, :2], state=state)
            loss = y.square().sum() + z.square().sum()
            results.append([y, z, *torch.autograd.grad(loss, [x, *mixer.parameters()])])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)
