"""Boosted trees that tell the remaining life: learned by scikit-learn, kept as tensors of our own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from dialog.telemetry.series import Floats
from dialog.training.telemetry.stages import Prepared
from models.maintenance.features import FeaturesConfig
from models.maintenance.trees import HazardTrees, TreesConfig, drifts, n_inputs

N_TREES, N_LEAVES, RATE = 200, 8, 0.1
MOST_SAMPLES = 20_000
"""Of the fleet, evenly over its units: each becomes a row a bin that it was at risk in."""


def learn_trees(
    units: Sequence[Prepared], config: FeaturesConfig, edges: Sequence[float], *, near: float | None = None
) -> HazardTrees:
    """Trees of the hazard in every bin of remaining life (its upper end an edge), where a unit was alive at its start.

    A unit that did not fail was at risk in the bins it lived through, half of one at least. `near`: lives asked about
    are at most so long, where a unit has any such. Raises ValueError where no sample of any unit can be asked.
    """
    ends = np.asarray(edges, np.float64)
    # As many of a unit as it has: with as many of each, those that failed early would be too large a part.
    every = max(1, sum(len(unit.series) for unit in units) // MOST_SAMPLES)
    inputs, hit = [], []
    for unit in units:
        left, failed = unit.series.remaining(), unit.series.failure is not None
        places = np.arange(len(left)) if near is None or not (left <= near).any() else np.flatnonzero(left <= near)
        places = places[::-1][::every][::-1]  # the last sample always
        at_risk, died = _at_risk(left[places], ends, failed)
        x = drifts(config, unit.features[places]).numpy()
        which, bins = np.nonzero(at_risk)
        inputs.append(np.concatenate([x[which], bins[:, None]], 1, dtype=np.float32))
        hit.append(died[at_risk])
    y = np.concatenate(hit) if hit else np.zeros(0, bool)
    if not y.any() or y.all():
        raise ValueError(f"{int(y.sum())} of {len(y)} spans of life ended: there is nothing to tell apart")
    # Small leaves are of a few units' neighbouring samples and tell of those units alone.
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        learning_rate=RATE,
        max_leaf_nodes=N_LEAVES,
        min_samples_leaf=max(20, len(y) // 1000),
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):  # on a busy machine threads that wait for one another take a hundred times as long
        model.fit(np.concatenate(inputs), y)
    return as_tensors(model, TreesConfig(n_inputs=n_inputs(config), n_bins=len(ends), n_trees=N_TREES))


def _at_risk(left: Floats, ends: Floats, failed: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Remaining lives (n,) and whether they ended to which bins were entered, and ended in, (n, K) each."""
    lower = np.concatenate([[0.0], ends[:-1]])
    last = np.searchsorted(ends, left, side="left")[:, None]  # bin K is (e_{K-1}, e_K]
    k = np.arange(len(ends))
    if failed:
        return k <= last, k == last
    lived = left[:, None] >= (lower + ends) / 2
    return lived, np.zeros_like(lived)


def as_tensors(model: HistGradientBoostingClassifier, config: TreesConfig) -> HazardTrees:
    """What scikit-learn learned of inputs and, the last of them, the bin's number."""
    trees = HazardTrees(config)
    t = config.n_trees
    trees.bias.fill_(float(np.ravel(model._baseline_prediction)[0]))
    leaves = np.zeros((t, config.n_leaves))
    splits, thresholds = np.zeros((t, config.n_leaves - 1), np.int64), np.zeros((t, config.n_leaves - 1))
    ways = np.zeros((t, config.n_leaves, config.n_leaves - 1), np.int8)
    for i, (tree,) in enumerate(model._predictors):
        nodes: Any = tree.nodes
        met: list[tuple[int, tuple[tuple[int, int], ...]]] = [(0, ())]
        n_splits = n_found = 0
        while met:
            at, way = met.pop()
            node = nodes[at]
            if node["is_leaf"]:
                leaves[i, n_found] = node["value"]
                for split, side in way:
                    ways[i, n_found, split] = side
                n_found += 1
                continue
            splits[i, n_splits], thresholds[i, n_splits] = node["feature_idx"], _down(node["num_threshold"])
            met += [(node["left"], (*way, (n_splits, 1))), (node["right"], (*way, (n_splits, -1)))]
            n_splits += 1
        # Of a tree with fewer leaves the others are led to by nothing, so reached by all, and worth nothing.
    for buffer, value in (
        (trees.inputs, splits),
        (trees.thresholds, thresholds),
        (trees.ways, ways),
        (trees.values, leaves),
    ):
        buffer.copy_(torch.from_numpy(value))
    return trees.eval()


def _down(threshold: float) -> np.float32:
    """The largest float32 that is no more: of float32 inputs the same ones are left of it."""
    near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


def first(trees: HazardTrees, n: int) -> HazardTrees:
    """The first n of them, as boosting was then."""
    fewer = HazardTrees(replace(trees.config, n_trees=n))
    fewer.load_state_dict({name: part if part.ndim == 0 else part[:n] for name, part in trees.state_dict().items()})
    return fewer.eval()
