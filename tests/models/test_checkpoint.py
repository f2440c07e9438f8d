"""A model on disk is the model that was saved, or an error that says why not."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models import checkpoint
from models.checkpoint import CheckpointError
from models.feedforward import MLP, FeedForwardConfig

CONFIG = FeedForwardConfig(d_model=4, kind="mlp", d_hidden=6)


class Tied(nn.Module):
    """Two names for one weight, as a token model has."""

    def __init__(self, config: FeedForwardConfig) -> None:
        super().__init__()
        self.first = nn.Linear(config.d_model, config.d_model)
        self.second = nn.Linear(config.d_model, config.d_model)
        self.second.weight = self.first.weight


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = MLP(CONFIG)
    checkpoint.save(tmp_path / "m", model, CONFIG)
    again = checkpoint.load(tmp_path / "m", MLP, FeedForwardConfig)
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_weights_stored_in_half_are_read_into_the_models_own_dtype(tmp_path: Path) -> None:
    model = MLP(CONFIG)
    checkpoint.save(tmp_path, model, CONFIG, dtype=torch.float16)
    again = checkpoint.load(tmp_path, MLP, FeedForwardConfig)
    assert again.expand.weight.dtype == torch.float32
    torch.testing.assert_close(again.expand.weight, model.expand.weight, atol=1e-3, rtol=1e-3)


def test_a_shared_weight_is_stored_once_and_stays_shared(tmp_path: Path) -> None:
    model = Tied(CONFIG)
    checkpoint.save(tmp_path, model, CONFIG)
    again = checkpoint.load(tmp_path, Tied, FeedForwardConfig)
    assert again.second.weight is again.first.weight
    assert torch.equal(again.second.weight, model.first.weight)


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    model = MLP(CONFIG)
    one = checkpoint.content_hash(checkpoint.save(tmp_path / "a", model, CONFIG))
    assert checkpoint.content_hash(checkpoint.save(tmp_path / "b", model, CONFIG)) == one
    with torch.no_grad():
        model.expand.weight[0, 0] += 1
    assert checkpoint.content_hash(checkpoint.save(tmp_path / "b", model, CONFIG)) != one


def test_a_folder_that_does_not_fit_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.load(tmp_path / "absent", MLP, FeedForwardConfig)
    checkpoint.save(tmp_path, MLP(CONFIG), CONFIG)
    with pytest.raises(CheckpointError, match=r"expand.weight is \(6, 4\), expected \(8, 4\)"):
        checkpoint.load_weights(MLP(FeedForwardConfig(d_model=4, kind="mlp", d_hidden=8)), tmp_path)
    with pytest.raises(CheckpointError, match=r"expand.weight is not in the model.*first.weight is missing"):
        checkpoint.load_weights(Tied(CONFIG), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.load(tmp_path, MLP, FeedForwardConfig)
