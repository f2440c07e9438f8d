"""The running mean of weights: it forgets the start, survives a checkpoint, and smooths what swings."""

import torch

from dialog.training.averaging import Average


def test_the_running_mean_forgets_the_start() -> None:
    layer = torch.nn.Linear(2, 2)
    average = Average(layer.state_dict(), 0.9)
    with torch.no_grad():
        layer.weight.fill_(3)
    for step in range(100):
        average.update(layer.state_dict(), step)
    other = torch.nn.Linear(2, 2)
    average.copy_to(other.state_dict())
    torch.testing.assert_close(other.weight, torch.full((2, 2), 3.0), atol=1e-3, rtol=0)


def test_what_swings_comes_out_in_the_middle() -> None:
    weight = {"a.weight": torch.zeros(1), "steps": torch.tensor(7)}  # A count has no mean.
    average = Average(weight, 0.95)
    for step in range(400):
        weight["a.weight"] = torch.tensor([1.0 if step % 2 else -1.0])
        average.update(weight, step)
    assert [name for name, _ in average.named_buffers()] == ["a__weight"]
    average.copy_to(weight)
    assert weight["a.weight"].abs() < 0.05
    assert int(weight["steps"]) == 7
