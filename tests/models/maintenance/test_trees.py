"""Trees as tensors: a leaf is reached as a walk reaches it, whatever the block, and a curve never rises."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from models import checkpoint
from models.catalogue import path_of
from models.maintenance import trees as module
from models.maintenance.features import Features, FeaturesConfig
from models.maintenance.model import MaintenanceConfig, MaintenanceModel
from models.maintenance.trees import HazardTrees, TreesConfig, drifts, n_inputs
from tests.models.maintenance.test_stepping import config


def grown() -> HazardTrees:
    """Two trees by hand, of inputs 0 and 1 and the bin (2): a full one of three splits, and one of a single split."""
    trees = HazardTrees(TreesConfig(n_inputs=2, n_bins=3, n_trees=2, n_leaves=4))
    trees.bias.fill_(-1.0)
    trees.inputs.copy_(torch.tensor([[0, 1, 2], [2, 0, 0]]))
    trees.thresholds.copy_(torch.tensor([[0.5, -1.0, 0.5], [1.5, 0.0, 0.0]]))
    trees.ways[0].copy_(torch.tensor([[1, 1, 0], [1, -1, 0], [-1, 0, 1], [-1, 0, -1]]))
    trees.ways[1, :2, 0] = torch.tensor([1, -1], dtype=torch.int8)
    trees.values.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 0.0, 0.0]]))
    return trees


def walked(a: float, b: float, k: int) -> float:
    first = (1.0 if b <= -1.0 else 2.0) if a <= 0.5 else (3.0 if k <= 0 else 4.0)
    return -1.0 + first + (10.0 if k <= 1 else 20.0)


def test_every_leaf_is_reached_as_by_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor(list(itertools.product([0.0, 0.5, 0.6], [-2.0, -1.0, 3.0])))
    said = grown().logits(x)
    assert said.tolist() == [[walked(a, b, k) for k in range(3)] for a, b in x.tolist()]
    curves = grown()(x)
    monkeypatch.setattr(module, "_AT_ONCE", 1)  # a row at a time
    torch.testing.assert_close(grown()(x[None]), curves[None])
    assert curves.shape == (9, 4)
    assert (curves[:, 0] == 1).all()
    assert (np.diff(curves.numpy(), axis=1) <= 0).all()


def test_what_is_worked_out_once_is_what_is_worked_out_every_time() -> None:
    x = torch.randn(5, 2)
    assert (grown().eval().logits(x) == grown().logits(x)).all()
    shipped = checkpoint.load(path_of("telemetry/fd001"), MaintenanceModel, MaintenanceConfig, device="cpu").trees
    assert shipped is not None
    x = torch.randn(5, shipped.config.n_inputs)
    once = shipped.logits(x)
    assert once.std() > 0
    torch.testing.assert_close(shipped.train().logits(x), once)


def test_trees_that_do_not_fit_are_refused() -> None:
    plain: MaintenanceConfig = config()
    fitting = TreesConfig(n_inputs=plain.features.n_features, n_bins=3, n_trees=1)
    assert replace(plain, life_by="trees", trees=fitting).trees == fitting
    with pytest.raises(ValueError, match="expected trees where they are asked"):
        replace(plain, life_by="trees")
    with pytest.raises(ValueError, match="expected trees where they are asked"):
        replace(plain, trees=fitting)
    with pytest.raises(ValueError, match=r"trees of 2 inputs and 3 bins: expected 5 and 3"):
        replace(plain, life_by="trees", trees=replace(fitting, n_inputs=2))
    with pytest.raises(ValueError, match="n_leaves 2 or more"):
        TreesConfig(n_inputs=1, n_bins=1, n_trees=1, n_leaves=1)


@pytest.mark.parametrize("smooth", [(), (5.0, 20.0)])
def test_drifts_are_the_differences_of_means(smooth: tuple[float, ...]) -> None:
    plain = FeaturesConfig(levels=("fleet",) * 2, centre=(0.0, 0.0), scale=(1.0, 1.0), smooth=smooth, age=True)
    features, times = Features(plain), np.arange(3000.0)
    got, _ = features.read(times, np.stack([0.1 * times, -0.2 * times], 1), features.initial_state())
    x = torch.from_numpy(got.features)
    found = drifts(plain, x)
    assert found.shape == (3000, n_inputs(plain))
    torch.testing.assert_close(found[:, : x.shape[1]], x)
    if smooth:  # a mean over a span lags a line by span - 1 samples
        lags = np.array([0.1 * 4, -0.2 * 4, 0.1 * 15, -0.2 * 15])
        np.testing.assert_allclose(found[-1, x.shape[1] :].numpy(), lags, rtol=1e-3)
