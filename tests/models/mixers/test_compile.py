"""The mixers' PyTorch path is one graph to torch.compile, with and without padding."""

import pytest
import torch
from torch import Tensor

from models.mixers import MIXERS, build_mixer

BREAKS = {"dialog_gru": "its loop runs in an autograd function of its own, which turns the compiler off"}
QUICK = {"gla", "rat", "min_rnn", "gam"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(MIXERS)]
)
def test_a_mixer_is_one_graph(name: str) -> None:
    if name in BREAKS:
        pytest.skip(BREAKS[name])
    torch.compiler.reset()
    mixer = build_mixer(name, d_model=16).eval()
    compiled = torch.compile(mixer, fullgraph=True, backend="eager")
    x = torch.randn(2, 9, 16)
    ids: Tensor | None = torch.randint(3, (2, 9)) if mixer.takes_ids else None
    mask = torch.arange(9) < torch.tensor([9, 4])[:, None]
    torch.testing.assert_close(compiled(x, ids=ids)[0], mixer(x, ids=ids)[0])
    torch.testing.assert_close(compiled(x, ids=ids, mask=mask)[0], mixer(x, ids=ids, mask=mask)[0])
