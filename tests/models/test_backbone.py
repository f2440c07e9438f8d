"""A backbone is its blocks in a row, keeps the promises of one mixer, and survives the disk."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.backbone import Backbone, BackboneConfig, build_configured
from models.block import Block
from models.checkpoint import CheckpointError
from models.feedforward import MLP, FeedForwardConfig
from models.mixers import MIXERS
from models.mixers.base import detach, state_numbers, take_rows
from models.mixers.gla import GLA, GLAConfig
from models.residual import Residual

WIDTH, TOKENS = 16, 9
STREAMING = ("softmax", "gla", "gru", "gated_conv", "rat")


def backbone(*mixers: Any, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    return Backbone(BackboneConfig(d_model=WIDTH, mixers=mixers, **fields)).double().eval()


def tokens(batch: int = 3) -> Tensor:
    return torch.randn(batch, TOKENS, WIDTH, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("feedforward", ["swiglu", None])
def test_step_by_step_and_cut_anywhere_it_is_the_same(norm: Any, feedforward: Any) -> None:
    model = backbone(*STREAMING, norm=norm, feedforward=feedforward)
    x = tokens()
    whole, _ = model(x)
    head, state = model(x[:, :4])
    tail, _ = model(x[:, 4:], state=state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole)
    state, steps = model.initial_state(3), []
    for x_t in x.unbind(1):
        y, state = model.step(x_t, state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), whole)


def test_padding_is_zero_and_invisible() -> None:
    model, x = backbone(*STREAMING), tokens()
    lengths = [9, 4, 0]
    mask = torch.arange(TOKENS) < torch.tensor(lengths)[:, None]
    y, state = model(x, mask=mask)
    assert not y[~mask].any()
    after, _ = model(x[:, :2], state=state)
    for row, length in enumerate(lengths[:2]):
        alone, alone_state = model(x[[row], :length])
        torch.testing.assert_close(y[[row], :length], alone)
        torch.testing.assert_close(after[[row]], model(x[[row], :2], state=alone_state)[0])


def test_every_mixer_can_stand_in_it_by_name() -> None:
    model = backbone(*MIXERS)
    assert model.takes_ids
    assert not model.streams
    y, _ = model(tokens(), ids=torch.zeros(3, TOKENS, dtype=torch.long))
    assert y.isfinite().all()
    with pytest.raises(ValueError, match="needs later tokens"):
        model.step(tokens()[:, 0], model.initial_state(3))
    with pytest.raises(ValueError, match="ids"):
        model(tokens())


def test_a_config_is_of_one_mixer_so_that_a_name_and_its_config_build_the_same() -> None:
    built = {name: type(build_configured(config(d_model=WIDTH))) for name, (config, _) in MIXERS.items()}
    assert built == {name: mixer for name, (_, mixer) in MIXERS.items()}
    assert len({config for config, _ in MIXERS.values()}) == len(MIXERS)


def test_ids_are_refused_where_no_mixer_takes_them() -> None:
    model = backbone("gla", "gru")
    with pytest.raises(ValueError, match="takes no ids"):
        model(tokens(), ids=torch.zeros(3, TOKENS, dtype=torch.long))


def test_its_state_is_its_mixers_states() -> None:
    model = backbone("gla", "softmax", "rat")
    _, state = model(tokens(1))
    assert model.state_floats(TOKENS) == state_numbers(state)
    _, state = model(tokens(3))
    rows = torch.tensor([2, 0])
    x = tokens(3)
    torch.testing.assert_close(model(x[rows], state=take_rows(state, rows))[0], model(x, state=state)[0][rows])
    assert not any(leaf.requires_grad for block in detach(state).blocks for leaf in block if isinstance(leaf, Tensor))


@pytest.mark.parametrize("place", ["pre", "post"])
def test_a_block_norms_where_it_says(place: Any) -> None:
    mixer = GLA(GLAConfig(d_model=WIDTH)).double()
    ff = MLP(FeedForwardConfig(d_model=WIDTH, kind="mlp")).double()
    block = Block(WIDTH, mixer, ff, norm=place, norm_kind="layer").double()
    x, first, second = tokens(), block.mixer_norm, block.feedforward_norm
    with torch.no_grad():
        for norm in (first, second):
            nn.init.normal_(norm.weight)  # type: ignore[arg-type]
    if place == "pre":
        middle = x + mixer(first(x))[0]
        expected = middle + ff(second(middle))
    else:
        middle = first(x + mixer(x)[0])
        expected = second(middle + ff(middle))
    torch.testing.assert_close(block(x)[0], expected)


def test_dropout_falls_on_what_a_branch_adds() -> None:
    model = backbone("gla", feedforward=None, dropout=0.5, norm="post").train()
    with torch.no_grad():
        model.blocks[0].mixer.out.weight.zero_()  # type: ignore[union-attr]
    x = tokens()
    torch.testing.assert_close(model(x)[0], model.blocks[0].mixer_norm(x))  # type: ignore[operator]
    nn.init.normal_(model.blocks[0].mixer.out.weight)  # type: ignore[union-attr, arg-type]
    assert not torch.allclose(model(x)[0], model(x)[0])
    model.eval()
    torch.testing.assert_close(model(x)[0], model(x)[0])


def test_residual_gates_join_as_their_equations_say() -> None:
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(Residual("add", 4)(x, y), x + y)
    torch.testing.assert_close(Residual("rate", 4)(x, y), x + 0.5 * y)
    gate = Residual("input", 4)
    g = gate.gate(torch.cat([x, y], -1)).sigmoid()
    torch.testing.assert_close(gate(x, y), (1 - g) * x + g * y)
    assert g.mean() < 0.3
    with pytest.raises(ValueError, match="residual must be"):
        Residual("product", 4)  # type: ignore[arg-type]


def test_gradients_reach_every_parameter() -> None:
    model = backbone("gla", "lstm", residual="input").train()
    model(tokens())[0].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_it_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    model = backbone("softmax", GLAConfig(d_model=WIDTH, n_heads=2), norm="post", feedforward="geglu").float()
    model.save(tmp_path / "model")
    again = Backbone.load(tmp_path / "model")
    assert again.config == model.config
    assert not again.training
    x = tokens().float()
    assert torch.equal(again(x)[0], model(x)[0])


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    backbone("gla").save(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"GLAConfig"', '"Unheard"'))
    with pytest.raises(CheckpointError, match="no config is called 'Unheard'"):
        Backbone.load(tmp_path)
    (tmp_path / "config.json").write_text(config.replace('"gate_rank": 16', '"gate_rank": 8'))
    with pytest.raises(CheckpointError, match="does not fit the model"):
        Backbone.load(tmp_path)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mixers": ("nonesuch",)}, "no mixer 'nonesuch'"),
        ({"mixers": ()}, "one a block"),
        ({"mixers": "gla"}, "one a block"),
        ({"mixers": (GLAConfig(d_model=8),)}, "d_model is 16, but 8"),
        ({"mixers": ("gla",), "feedforward": FeedForwardConfig(d_model=8)}, "d_model is 16, but 8"),
        ({"mixers": ("gla",), "dropout": 1.0}, "dropout"),
    ],
)
def test_a_config_that_disagrees_with_itself_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        BackboneConfig(d_model=16, **fields)
