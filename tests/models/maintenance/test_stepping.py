"""A step without a framework says what the networks say, and there is none where they are of another kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.maintenance.autoencoder import AutoencoderConfig
from models.maintenance.features import FeaturesConfig
from models.maintenance.forecaster import ForecasterConfig
from models.maintenance.life import LifeConfig
from models.maintenance.model import LifeBy, MaintenanceConfig, MaintenanceModel, paper_chain
from models.maintenance.stepping import Stepper
from models.maintenance.trees import TreesConfig
from models.mixers.base import leaves


def config(members: int = 1, window: int = 5, mixer: str = "gru") -> MaintenanceConfig:
    features = FeaturesConfig(levels=("fleet", "offset"), centre=(0.0, 0.0), scale=(1.0, 1.0))
    f = features.n_features
    return MaintenanceConfig(
        channels=("a", "b"),
        time_unit="h",
        features=features,
        forecaster=ForecasterConfig(n_features=f, n_channels=2, d_model=12, window=window, mixer=mixer),
        autoencoder=AutoencoderConfig(n_channels=2, window=16),
        life=LifeConfig(n_features=f, edges=(1.0, 2.0, 5.0), d_model=9, window=window, n_members=members, mixer=mixer),
    )


@pytest.mark.parametrize(("members", "window"), [(1, 1), (1, 5), (3, 4)])
@torch.inference_mode()
def test_a_stream_of_steps_says_what_the_networks_say(members: int, window: int) -> None:
    torch.manual_seed(0)
    model = MaintenanceModel(config(members, window)).eval()
    for parameter in model.parameters():  # norms and biases too: fresh ones hide what is left out
        parameter.add_(0.3 * torch.randn_like(parameter))
    stepper = Stepper.of(model)
    assert stepper is not None
    rng = np.random.default_rng(0)
    forecast, life = model.forecaster.initial_state(1), model.life.initial_state(1)
    ours, theirs = forecast, life
    for _ in range(12):
        x, values = (rng.normal(0.0, 3.0, n).astype(np.float32) for n in (model.config.features.n_features, 2))
        before = [leaf.clone() for leaf in leaves(ours)]
        said = stepper.step(x, values, ours, theirs)
        for leaf, kept in zip(leaves(ours), before, strict=True):
            assert torch.equal(leaf, kept)  # a state is a value
        wide, tall = torch.from_numpy(x)[None, None], torch.from_numpy(values)[None, None]
        y, forecast = model.forecaster(wide, tall, state=forecast)
        curve, life = model.life(wide, state=life)
        torch.testing.assert_close(said.forecast, y[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(said.curve, curve[0].numpy(), rtol=1e-4, atol=1e-4)
        ours, theirs = said.forecast_state, said.life_state
        for own, its in ((ours, forecast), (theirs, life)):
            for a, b in zip(leaves(own), leaves(its), strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("life_by", ["trees", "network and trees"])
def test_trees_are_heard_in_a_step_as_they_are_in_a_stretch(life_by: LifeBy) -> None:
    torch.manual_seed(0)
    plain = config()
    trees = TreesConfig(n_inputs=plain.features.n_features, n_bins=3, n_trees=4, n_leaves=3)
    model = MaintenanceModel(replace(plain, life_by=life_by, trees=trees)).eval()
    assert model.trees is not None
    model.trees.ways.copy_(torch.tensor([[1, 1], [1, -1], [-1, 0]]))
    model.trees.inputs.random_(0, plain.features.n_features + 1)
    model.trees.values.normal_()
    stepper = Stepper.of(model)
    assert stepper is not None
    x = torch.randn(7, plain.features.n_features)
    whole, _ = model.lives(x[None])
    state, forecast = model.life.initial_state(1), model.forecaster.initial_state(1)
    for t in range(7):
        told = stepper.step(x[t].numpy(), np.zeros(2, np.float32), forecast, state)
        np.testing.assert_allclose(told.curve, whole[:, t].numpy(), rtol=1e-4, atol=1e-4)
        state, forecast = told.life_state, told.forecast_state


def test_there_is_none_for_another_mixer_or_head_or_precision() -> None:
    assert Stepper.of(MaintenanceModel(config())) is not None
    assert Stepper.of(MaintenanceModel(config(mixer="min_rnn"))) is None
    assert Stepper.of(MaintenanceModel(paper_chain(config()))) is None
    assert Stepper.of(MaintenanceModel(config()).double()) is None
    deep = config()
    deep = replace(deep, forecaster=replace(deep.forecaster, n_layers=2))
    assert Stepper.of(MaintenanceModel(deep)) is None
