"""The best weights of a run."""

import torch

from dialog.training.best import Best


def test_it_gives_back_the_weights_that_scored_best() -> None:
    weights = {"w.x": torch.zeros(2), "n": torch.tensor(3)}
    best = Best(weights)
    best.copy_to(weights)
    assert weights["w.x"].tolist() == [0, 0]
    for score, value in ((1.0, 1.0), (3.0, 2.0), (2.0, 3.0), (3.0, 4.0)):
        weights["w.x"].fill_(value)
        best.consider(score, weights)
    best.copy_to(weights)
    assert weights["w.x"].tolist() == [2, 2]


def test_a_checkpoint_has_them() -> None:
    weights = {"w": torch.ones(1)}
    best = Best(weights)
    best.consider(5.0, weights)
    again = Best({"w": torch.zeros(1)})
    again.load_state_dict(best.state_dict())
    again.consider(4.0, {"w": torch.zeros(1)})
    again.copy_to(weights)
    assert weights["w"].item() == 1
