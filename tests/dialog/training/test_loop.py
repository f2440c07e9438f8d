"""The training loop: it learns, and a killed run goes on as if it had never stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dialog.training.loop import Progress, Schedule, finish, run

SCHEDULE = Schedule(steps=11, lr=1e-2, lr_new=3e-2, save_every=4)


class Problem(nn.Module):
    """A line to find, with dropout so that each step's randomness counts; a frozen part and one never used."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.old, self.new = nn.Linear(4, 4), nn.Linear(4, 1)
        self.frozen, self.unused = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(4)  # its running means are gathered beside the gradients

    def loss(self, step: int) -> Tensor:
        x = torch.randn(16, 4)
        return (self.new(nn.functional.dropout(self.norm(self.old(x)), 0.2)).squeeze(1) - x.sum(1)).pow(2).mean()


class Killed(Exception):
    pass


def train(
    folder: Path, schedule: Schedule = SCHEDULE, *, seed: int = 5, kill_at: int | None = None
) -> tuple[Problem, list[Progress]]:
    problem, told = Problem(), list[Progress]()

    def loss_at(step: int) -> Tensor:
        if step == kill_at:
            raise Killed
        return problem.loss(step)

    try:
        run(problem, list(problem.new.parameters()), loss_at, schedule, folder, seed, told.append)
    except Killed:
        assert kill_at is not None
    return problem, told


@pytest.mark.parametrize("kills", [[4], [5], [9], [2, 6, 7, 10]])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, kills: list[int]) -> None:
    expected, whole = train(tmp_path / "whole")
    for step in kills:
        train(tmp_path / "killed", kill_at=step)
    got, told = train(tmp_path / "killed")
    for name, p in got.state_dict().items():
        assert torch.equal(p, expected.state_dict()[name]), name
    saved = SCHEDULE.save_every * (kills[-1] // SCHEDULE.save_every)
    assert told[0].step == saved + 1, "it did not go on from the last checkpoint"
    assert told[-1] == whole[-1], "the running mean is another one"


def test_the_loss_falls_and_the_frozen_part_stays(tmp_path: Path) -> None:
    problem, told = train(tmp_path, replace(SCHEDULE, steps=150))
    assert told[-1].loss < told[0].loss / 2
    assert torch.equal(problem.frozen.weight, Problem().frozen.weight)
    assert [p.step for p in told] == list(range(1, 151))


def test_a_run_that_ended_need_not_be_run_again_until_it_is_finished_with(tmp_path: Path) -> None:
    expected, _ = train(tmp_path)
    got, told = train(tmp_path)
    assert told == []
    assert torch.equal(got.new.weight, expected.new.weight)
    finish(tmp_path)
    assert list(tmp_path.iterdir()) == []
    finish(tmp_path)


def test_a_checkpoint_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path, kill_at=6)
    for schedule, seed in ((SCHEDULE, 6), (replace(SCHEDULE, steps=12), 5)):
        with pytest.raises(ValueError, match="belongs to another run"):
            train(tmp_path, schedule, seed=seed)


def test_a_kill_while_saving_loses_nothing(tmp_path: Path) -> None:
    train(tmp_path, kill_at=6)
    (tmp_path / "checkpoint.safetensors.new").write_bytes(b"half of a checkp")
    got, told = train(tmp_path)
    assert told[0].step == 5
    expected, _ = train(tmp_path / "whole")
    assert torch.equal(got.new.weight, expected.new.weight)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    problem = Problem()

    def loss_at(step: int) -> Tensor:
        return problem.loss(step) * (torch.nan if step == 6 else 1.0)

    with pytest.raises(FloatingPointError, match="the loss is nan at step 6"):
        run(problem, [], loss_at, SCHEDULE, tmp_path, 5)
    header = (tmp_path / "checkpoint.safetensors").read_bytes()
    note = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]["note"]
    assert json.loads(note)["step"] == 4


def test_new_weights_learn_at_their_own_rate_which_rises_and_falls(tmp_path: Path) -> None:
    schedule = Schedule(steps=20, lr=0.0, lr_new=1e-2, warm_up=0.25, weight_decay=0.0)
    problem, moved = Problem(), list[float]()
    before = problem.new.weight.detach().clone()

    def loss_at(step: int) -> Tensor:
        nonlocal before
        moved.append(float((problem.new.weight.detach() - before).abs().max()))
        before = problem.new.weight.detach().clone()
        # Always the same direction, in which Adam moves by the rate.
        return (problem.new(problem.old(torch.ones(1, 4))) * 1000).sum()

    run(problem, list(problem.new.parameters()), loss_at, schedule, tmp_path, 0)
    assert torch.equal(problem.old.weight, Problem().old.weight)
    rates = moved[1:]
    assert rates[0] == pytest.approx(1e-2 / 5, rel=0.05)
    assert max(rates) == pytest.approx(1e-2, rel=0.25)
    assert rates.index(max(rates)) in (4, 5)
    assert rates[-1] < rates[10] < rates[6]


def test_muons_momentum_goes_on_too(tmp_path: Path) -> None:
    def trained(folder: Path, kill_at: int | None = None) -> Problem:
        problem = Problem()

        def loss_at(step: int) -> Tensor:
            if step == kill_at:
                raise Killed
            return problem.loss(step)

        run(problem, [], loss_at, SCHEDULE, folder, 5, matrices=[problem.old.weight])
        return problem

    expected = trained(tmp_path / "whole")
    with pytest.raises(Killed):
        trained(tmp_path / "killed", 6)
    got = trained(tmp_path / "killed")
    plain, _ = train(tmp_path / "plain")
    for name, p in got.state_dict().items():
        assert torch.equal(p, expected.state_dict()[name]), name
    assert not torch.equal(got.old.weight, plain.old.weight)
