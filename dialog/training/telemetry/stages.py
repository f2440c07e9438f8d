"""How the three stages learn from a fleet: samples drawn, losses, steps. What is made of it is said elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dialog.telemetry.series import Fleet, Floats, Series
from dialog.training.averaging import Average
from dialog.training.loop import Progress, Schedule, finish, run
from models.maintenance.autoencoder import ConvAutoencoder, rows_of, windows_of
from models.maintenance.features import Features, Read
from models.maintenance.forecaster import Forecaster, pinball
from models.maintenance.life import LifeNetwork

Report = Callable[[Progress], None] | None
CROP = 512
"""Samples of a unit that one step reads at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learning:
    """One network's schedule."""

    steps: int
    lr: float = 5e-3
    units: int = 20
    """In one step."""
    places: int = 40
    """Samples of each of them at which something is asked."""
    noise: float = 0.2
    """Added to the normalised values, in their deviations."""
    near: float | None = None
    """Lives asked about are at most so long, where a unit has any such."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A unit as the networks read it."""

    series: Series
    read: Read
    features: Tensor  # (n, F)
    values: Tensor  # (n, C)


def prepare(fleet: Fleet, features: Features) -> list[Prepared]:
    """Every unit of at least two samples, from its first sample on."""
    ready = []
    for one in fleet:
        if len(one) >= 2:
            read, _ = features.read(one.times, one.values, features.initial_state())
            ready.append(Prepared(one, read, torch.from_numpy(read.features), torch.from_numpy(read.values).float()))
    return ready


class _Learner(nn.Module):
    """A network and the running mean of its weights, so that a checkpoint has both."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.mean = Average(dict(network.named_parameters()), decay=0.98)


def learn(
    network: nn.Module, loss_at: Callable[[int], Tensor], learning: Learning, folder: Path, seed: int, report: Report
) -> None:
    """Trains in place; the weights that stay are the running mean's. A killed run goes on where it was."""
    learner = _Learner(network.train())

    def step_loss(step: int) -> Tensor:
        if step:
            learner.mean.update(dict(network.named_parameters()), step)
        return loss_at(step)

    schedule = Schedule(steps=learning.steps, lr=learning.lr, lr_new=learning.lr, save_every=200)
    run(learner, list(network.parameters()), step_loss, schedule, folder, seed, report)
    learner.mean.copy_to(dict(network.named_parameters()))
    network.eval()


def learn_life(
    network: LifeNetwork, units: Sequence[Prepared], learning: Learning, folder: Path, seed: int, report: Report
) -> None:
    """Units that failed say when; those that did not, how long they lived at least."""
    left = [torch.from_numpy(unit.series.remaining()).float() for unit in units]
    ended = np.array([unit.series.failure is not None for unit in units])

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng((seed, step))
        drawn = _draw(rng, len(units), learning.units, ended)
        x, mask, _, places = _stretches(rng, [units[i] for i in drawn], learning, near=[left[i] for i in drawn])
        at = torch.stack([place - start for place, start in places])
        asked = torch.stack([left[i][place] for i, (place, _) in zip(drawn, places, strict=True)])
        failed = torch.from_numpy(ended[drawn])
        # Failures are drawn more often than they happen, and count for as much less.
        share, drawn_share = ended.mean(), ended[drawn].mean()
        weight = torch.where(failed, share / max(drawn_share, 1e-9), (1 - share) / max(1 - drawn_share, 1e-9)).float()
        return network.loss(x, mask, at, asked, failed[:, None].expand_as(asked), weight)

    learn(network, loss_at, learning, folder, seed, report)


def learn_forecast(
    network: Forecaster,
    units: Sequence[Prepared],
    interval: float,
    learning: Learning,
    folder: Path,
    seed: int,
    report: Report,
) -> None:
    """The pinball loss of what came, at the times asked about."""
    truths = [targets(unit, network.config.horizons, interval) for unit in units]

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng((seed, step))
        drawn = _draw(rng, len(units), learning.units)
        x, mask, values, places = _stretches(rng, [units[i] for i in drawn], learning)
        at = torch.stack([place - start for place, start in places])
        pairs = [(truths[i][0][place], truths[i][1][place]) for i, (place, _) in zip(drawn, places, strict=True)]
        said, _ = network(x, values, mask=mask, at=at)
        truth, known = (torch.stack(part) for part in zip(*pairs, strict=True))
        return pinball(said, truth, known)

    learn(network, loss_at, learning, folder, seed, report)


def learn_normal(
    network: ConvAutoencoder, windows: Tensor, learning: Learning, folder: Path, seed: int, report: Report
) -> None:
    """Windows (N, R, W) of units that are well; the quieter four fifths of them, since some of those units are not."""
    loud = windows.square().mean((1, 2))
    windows = windows[loud <= torch.quantile(loud, 0.8)]

    def loss_at(step: int) -> Tensor:
        rng = np.random.default_rng((seed, step))
        drawn = windows[torch.from_numpy(rng.integers(len(windows), size=128))]
        made: Tensor = network(drawn)
        return (made - drawn).square().mean()

    learn(network, loss_at, learning, folder, seed, report)


def targets(unit: Prepared, horizons: Sequence[int], interval: float) -> tuple[Tensor, Tensor]:
    """(n, H, C) the values at every horizon after each sample, straight between samples, and whether they are known."""
    times, read = unit.series.times, unit.read
    there = np.isfinite(unit.series.values)
    asked = times[:, None] + interval * np.asarray(horizons, np.float64)  # (n, H)
    truth = np.zeros((*asked.shape, there.shape[1]))
    known = np.zeros(truth.shape, bool)
    for c in range(there.shape[1]):
        own = there[:, c]
        if own.any():
            truth[..., c] = np.interp(asked, times[own], read.values[own, c])
            known[..., c] = asked <= times[own][-1]
    return torch.from_numpy(truth).float(), torch.from_numpy(known)


@torch.inference_mode()
def normal_windows(
    forecaster: Forecaster,
    network: ConvAutoencoder,
    units: Sequence[Prepared],
    burn_in: int,
    limit: int = 20_000,
    seed: int = 0,
) -> tuple[Tensor, Floats]:
    """Windows (N, R, W) of what is well, and which unit each is of: all of units that lived, the first half of those
    that failed. At most `limit`, evenly drawn."""
    found, whose = [], []
    each = max(8, limit // max(1, len(units)))
    for i, unit in enumerate(units):
        n = len(unit.series)
        good = np.arange(n) >= burn_in
        if unit.series.failure is not None:
            good &= unit.series.remaining() > (unit.series.failure - unit.series.times[0]) / 2
        places = np.flatnonzero(good)
        if not len(places):
            continue
        places = np.random.default_rng((seed, i)).permutation(places)[:each]
        forecasts, _ = forecaster(unit.features[None], unit.values[None])
        windows, _ = windows_of(network.config, rows_of(network.config, unit.values, forecasts[0]), None)
        found.append(windows[torch.from_numpy(places)].clone())
        whose.append(np.full(len(places), i))
    if not found:
        raise ValueError(f"none of {len(units)} units has more than {burn_in} samples while it was well")
    return torch.cat(found).clone(), np.concatenate(whose)


def _draw(rng: np.random.Generator, n: int, size: int, rare: NDArray[np.bool_] | None = None) -> list[int]:
    """Units of a step; of those that are rare about half, so that a few failures are not drowned."""
    if rare is None or rare.all() or not rare.any():
        return [int(i) for i in rng.permutation(n)[:size]]
    few, many = np.flatnonzero(rare), np.flatnonzero(~rare)
    half = min(len(few), size // 2)
    picked = np.concatenate([rng.permutation(few)[:half], rng.permutation(many)[: size - half]])
    return [int(i) for i in picked]


def _stretches(
    rng: np.random.Generator,
    units: Sequence[Prepared],
    learning: Learning,
    near: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, list[tuple[Tensor, int]]]:
    """A stretch of each unit, side by side: features (B, T, F), mask, values, and the places asked about, (P,) each in
    the unit's own count, with where its stretch begins."""
    xs, vs, places = [], [], []
    for i, unit in enumerate(units):
        n = len(unit.series)
        end = n if n <= CROP else int(rng.integers(CROP, n + 1))
        start = max(0, end - CROP)
        allowed = np.arange(start, end)
        if near is not None and learning.near is not None:
            close = allowed[near[i].numpy()[start:end] <= learning.near]
            allowed = close if len(close) else allowed
        places.append((torch.from_numpy(rng.choice(allowed, learning.places)), start))
        xs.append(unit.features[start:end])
        vs.append(unit.values[start:end])
    x, values = (nn.utils.rnn.pad_sequence(part, batch_first=True) for part in (xs, vs))
    lengths = torch.tensor([len(one) for one in xs])
    mask = torch.arange(x.shape[1]) < lengths[:, None]
    if learning.noise:
        c = values.shape[-1]
        noise = torch.from_numpy(rng.normal(0.0, learning.noise, (*x.shape[:2], c))).float()
        x = torch.cat([x[..., :c] + noise, x[..., c:]], -1)
    return x, mask, values, places


def tidy(folders: Sequence[Path]) -> None:
    """Removes what unfinished runs were kept in."""
    for folder in folders:
        finish(folder)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def counted(report: Report, before: int, total: int) -> Report:
    """Reports of one of several runs as of all of them."""
    if report is None:
        return None
    return lambda p: report(Progress(before + p.step, total, p.loss))
