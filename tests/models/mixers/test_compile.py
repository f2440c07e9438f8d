"""Mixers whose PyTorch path is one graph for torch.compile. DialogGRU breaks it once a layer, at its loop over time."""

import pytest
import torch

from models.mixers import build_mixer

WHOLE = ["aaren", "exp_norm", "identity_attention", "sigmoid", "softmax", "softmax_rnn"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_mixer_is_one_graph(name: str) -> None:
    torch._dynamo.reset()
    mixer = build_mixer(name, d_model=32).eval()
    x = torch.randn(2, 9, 32)
    ids = torch.randint(0, 3, (2, 9)) if mixer.takes_ids else None
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]
    compiled = torch.compile(mixer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, ids=ids, mask=mask)[0], mixer(x, ids=ids, mask=mask)[0])
