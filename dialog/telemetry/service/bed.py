"""A simulated service, minute by minute, and what goes wrong with it: to choose what watches, and to measure it.

It shows that what watches works on such a service, not that services behave so. Load has days, weekends, bursts and
logs to label; latency follows the use of the machine; memory has caches that fill, garbage, and what is in use; the
disk has logs that turn over, and copies made by night. Four faults begin at some moment, each in three strengths.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.signal import lfilter

from dialog.telemetry.series import Floats
from dialog.telemetry.service.points import CHANNELS

Fault = Literal["calm", "leak", "creep", "full disk", "slow dependency"]
FAULTS: tuple[Fault, ...] = ("leak", "creep", "full disk", "slow dependency")
STRENGTHS = ("mild", "middling", "severe")
SHOWS: dict[str, tuple[str, ...]] = {
    "calm": (),
    "leak": ("memory",),
    "creep": ("latency", "queue"),
    "full disk": ("disk",),
    "slow dependency": ("latency", "queue"),
}
"""In which channels a fault is to be noticed."""
FROZEN = Path(__file__).with_name("bed.json")
"""Settings and seeds of the three beds, fixed before anything was tried on them."""
DAY = 1440
BREACH = 5
"""Minutes running with a latency past its limit that count as a failure."""


class Run(NamedTuple):
    """One service from its start on."""

    fault: Fault
    strength: str
    work: Floats  # (n, 2) load and size, each minute
    channels: Floats  # (n, C) shares of their limits, NaN in minutes without an answer
    onset: float  # minutes; inf of a calm one
    failure: float  # when a limit is reached, inf where none is


@dataclass(frozen=True, kw_only=True, slots=True)
class Bed:
    """How many services, and how strong the faults are."""

    runs: int = 5
    """Of each fault and strength."""
    calm: int = 10
    calm_days: float = 7.0
    hours_to_full: tuple[float, float, float] = (18.0, 5.0, 1.2)
    """Of memory and disk, by strength."""
    growth_an_hour: tuple[float, float, float] = (0.15, 0.4, 1.2)
    """Of a creeping delay, by strength: the rate of an exponential."""
    slower: tuple[float, float, float] = (1.6, 3.0, 8.0)
    """How many times as long an answer takes with a slow dependency, by strength."""
    seed: int = 0


def simulate(bed: Bed) -> list[Run]:
    """Every run, the same for the same bed."""
    runs = [service("calm", "", bed, (bed.seed, 0, i), round(bed.calm_days * DAY)) for i in range(bed.calm)]
    for f, fault in enumerate(FAULTS):
        for s, strength in enumerate(STRENGTHS):
            runs += [service(fault, strength, bed, (bed.seed, 1 + f, s, i), 2 * DAY) for i in range(bed.runs)]
    return runs


def frozen() -> dict[str, Bed]:
    """The beds `train`, `validation` and `test` of FROZEN."""
    told: dict[str, dict[str, Any]] = json.loads(FROZEN.read_text(encoding="utf-8"))
    return {name: Bed(**row) for name, row in told.items()}


def service(fault: Fault, strength: str, bed: Bed, seed: tuple[int, ...], minutes: int) -> Run:
    """One service; what fails ends with its failure, a slow dependency six hours after its onset."""
    rng = np.random.default_rng(seed)
    n = minutes
    t = np.arange(n, dtype=np.float64)
    load, size, jobs = _work(rng, t)
    answers = rng.poisson(60.0 * load)
    used = np.clip(load * size / (np.quantile(load * size, 0.99) / rng.uniform(0.35, 0.7)), 0.0, 0.8)
    usual = rng.uniform(0.02, 0.06)  # shares of the limit
    slow = usual * (0.4 + 0.6 * size / 3.0) / (1.0 - used)
    # Single answers differ much, and a minute has few by night.
    noise = np.exp(rng.normal(0.0, 0.05, n) + rng.normal(0.0, 1.0, n) * 0.8 / np.sqrt(np.maximum(answers, 1)))
    slow = slow * noise
    queue = slow * used * 0.5 * np.exp(rng.normal(0.0, 0.2, n))
    errors = rng.binomial(np.maximum(answers, 1), 0.0005) / np.maximum(answers, 1) / 0.05
    for at in _moments(rng, n, 0.4):
        errors[at : at + rng.integers(1, 4)] += rng.uniform(0.1, 1.2)
    memory = _memory(rng, t, used)
    disk = _disk(rng, t, jobs)
    onset, failure, end = np.inf, np.inf, n
    if fault != "calm":
        onset = float(rng.integers(round(0.25 * DAY), round(0.85 * DAY)))
        k, hours = STRENGTHS.index(strength), np.maximum(t - onset, 0.0) / 60.0
        if fault == "leak":
            memory = memory + (1.0 - memory[int(onset)]) / bed.hours_to_full[k] * hours
            end = _first(memory >= 1.0, n)
        elif fault == "full disk":
            disk = disk + (1.0 - disk[int(onset)]) / bed.hours_to_full[k] * hours * np.exp(rng.normal(0.0, 0.02, n))
            end = _first(disk >= 1.0, n)
        else:
            if fault == "creep":
                times = np.exp(np.minimum(bed.growth_an_hour[k] * hours, 6.0))
            else:
                times = 1.0 + (bed.slower[k] - 1.0) * np.clip((t - onset) / 3.0, 0.0, 1.0)
            slow, queue = slow * times, queue * times
            past = np.convolve(slow >= 1.0, np.ones(BREACH), "full")[:n] >= BREACH
            end = _first(past & (t >= onset), n)
            if fault == "slow dependency":
                end = min(end, round(onset) + 360)
        failure = float(end) if end < n and not (fault == "slow dependency" and end == round(onset) + 360) else np.inf
    nothing = (answers == 0)[:, None]
    answered = np.where(nothing, np.nan, np.stack([slow, queue, errors], 1))
    channels = np.concatenate([answered, np.minimum(np.stack([memory, disk], 1), 1.0)], 1)
    assert channels.shape[1] == len(CHANNELS)
    return Run(fault, strength, np.stack([answers / 60.0, size], 1)[:end], channels[:end], onset, failure)


def _work(rng: np.random.Generator, t: Floats) -> tuple[Floats, Floats, list[tuple[int, int]]]:
    """Requests a second and messages a request at each minute, and when logs were labelled: (from, to)."""
    n = len(t)
    phase, level = rng.uniform(0.0, DAY), rng.lognormal(np.log(2.0), 0.8)
    day = 1.0 + 0.75 * np.sin(2 * np.pi * (t + phase) / DAY)
    week = np.where(((t + phase) // DAY + rng.integers(7)) % 7 >= 5, rng.uniform(0.3, 0.8), 1.0)
    load = level * day * week * np.exp(_slow_noise(rng, n, 30.0, 0.2))
    for at in _moments(rng, n, 2.0):
        load[at : at + rng.integers(5, 40)] *= rng.uniform(1.5, 4.0)
    size = 3.0 * np.exp(_slow_noise(rng, n, 120.0, 0.15))
    jobs = []
    for at in _moments(rng, n, 1.5):
        jobs.append((at, at + int(rng.integers(10, 60))))
        size[slice(*jobs[-1])] *= rng.uniform(1.5, 3.0)
    return load, size, jobs


def _memory(rng: np.random.Generator, t: Floats, used: Floats) -> Floats:
    caches = rng.uniform(0.02, 0.1) * (1.0 - np.exp(-t / rng.uniform(40.0, 180.0)))
    period = rng.uniform(15.0, 70.0)
    garbage = rng.uniform(0.003, 0.02) * ((t / period + rng.random()) % 1.0)
    walk = _slow_noise(rng, len(t), 600.0, rng.uniform(0.002, 0.012))
    memory = rng.uniform(0.2, 0.6) + caches + garbage + rng.uniform(0.01, 0.06) * used + walk
    return np.asarray(memory + rng.normal(0.0, 0.001, len(t)))


def _disk(rng: np.random.Generator, t: Floats, jobs: list[tuple[int, int]]) -> Floats:
    n = len(t)
    grows = rng.uniform(0.0005, 0.006) / DAY * t
    turned = grows - np.floor(grows / 0.01) * 0.008  # logs turn over
    disk = rng.uniform(0.2, 0.75) + turned + rng.normal(0.0, 2e-4, n)
    for a, b in jobs:
        disk[a:b] += rng.uniform(0.005, 0.04)
    copy, long = rng.uniform(0.0, 0.12), int(rng.integers(15, 60))
    for at in range(int(rng.integers(0, DAY)), n, DAY):  # a copy by night: it grows, and is sent away
        part = disk[at : at + long]
        part += copy * np.linspace(0.0, 1.0, long)[: len(part)]
    return np.minimum(disk, 0.97)


def _slow_noise(rng: np.random.Generator, n: int, span: float, deviation: float) -> Floats:
    keep = np.exp(-1.0 / span)
    steps = rng.normal(0.0, deviation * np.sqrt(1.0 - keep**2), n)
    steps[0] = rng.normal(0.0, deviation)
    return np.asarray(lfilter([1.0], [1.0, -keep], steps))


def _moments(rng: np.random.Generator, n: int, a_day: float) -> list[int]:
    return [int(at) for at in rng.uniform(0.0, n, rng.poisson(a_day * n / DAY))]


def _first(there: np.ndarray[Any, Any], n: int) -> int:
    found = np.flatnonzero(there)
    return int(found[0]) if len(found) else n
