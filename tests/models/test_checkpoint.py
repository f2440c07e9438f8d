"""A model on disk is the model that was saved, or an error that says why not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models import checkpoint
from models import tensors as files
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


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", b"not safetensors", "model.safetensors: it is cut off or damaged, so copy or train"),
        ("model.safetensors", b"", "model.safetensors: it is cut off or damaged, so copy or train"),
        ("model.safetensors", None, "model.safetensors: there is no such file"),
        ("config.json", None, "config.json: No such file or directory; expected a model's folder"),
        ("config.json", b"{", "config.json does not describe a FeedForwardConfig: not json"),
        ("config.json", b"\xff\xfe", "config.json does not describe a FeedForwardConfig: "),
        ("config.json", b'{"config": "Other"}', "describe a FeedForwardConfig: no config is called"),
        ("config.json", b'{"config": "FeedForwardConfig"}', "FeedForwardConfig needs d_model"),
    ],
)
def test_a_damaged_folder_is_one_line_that_names_the_file(
    tmp_path: Path, file: str, content: bytes | None, said: str
) -> None:
    checkpoint.save(tmp_path, MLP(CONFIG), CONFIG)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path, MLP, FeedForwardConfig)
    assert said in str(caught.value)
    assert str(tmp_path / file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_where_a_file_should_be_is_named(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, MLP(CONFIG), CONFIG)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="it is a folder, expected a file"):
        checkpoint.load(tmp_path, MLP, FeedForwardConfig)


def test_weights_that_end_early_are_never_half_loaded(tmp_path: Path) -> None:
    weights = checkpoint.save(tmp_path, MLP(CONFIG), CONFIG) / "model.safetensors"
    whole = weights.read_bytes()
    for n in (4, 8, 60, len(whole) - 1):
        weights.write_bytes(whole[:n])
        with pytest.raises(CheckpointError, match="cut off or damaged"):
            checkpoint.load(tmp_path, MLP, FeedForwardConfig)


def test_a_write_that_breaks_off_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLP(CONFIG)
    checkpoint.save(tmp_path, model, CONFIG)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(tensors: Any, path: str, metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(files, "save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(tmp_path, MLP(CONFIG), CONFIG)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
