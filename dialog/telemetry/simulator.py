"""Accelerated ageing of semiconductor lasers, simulated. It shows that the code works, not that lasers behave so.

A unit holds its optical power; its drive current I(t) = I0 (1 + D(t)) rises as it degrades. Stress makes time run
faster, tau = AF t with AF = exp(Ea / kB (1 / T_use - 1 / T_stress)) (I_stress / I_use)^n, Ea and n drawn a lot. What is
measured is noisy, quantised, leaks the case's temperature, drifts, and has gaps. A unit fails when D passes the limit;
the end of the test comes first for most, which are then censored.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dialog.telemetry.series import Fleet, Floats, Series

Family = Literal["stable", "gradual", "rapid", "sudden", "infant"]
FAMILIES: tuple[Family, ...] = ("stable", "gradual", "rapid", "sudden", "infant")
CHANNELS = ("current", "temperature")
BOLTZMANN = 8.617333e-5  # eV / K
FROZEN = Path(__file__).with_name("frozen.json")
"""Settings and seeds of every simulated set, fixed before a model was trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaserSettings:
    """One fleet under test. Hours, degrees Celsius, milliamperes, electron volts."""

    lots: int = 10
    units: int = 20
    """Of a lot."""
    hours: float = 3000.0
    families: Mapping[str, float] = field(
        default_factory=lambda: {"stable": 0.84, "gradual": 0.08, "rapid": 0.03, "sudden": 0.03, "infant": 0.02}
    )
    """Shares of FAMILIES; what a unit is, is drawn."""
    temperatures: tuple[float, ...] = (60.0, 75.0, 85.0)
    """Of stress, one drawn a lot."""
    use_temperature: float = 40.0
    stress_current: float = 1.2
    """To that of use."""
    activation: tuple[float, float] = (0.4, 0.9)
    exponent: tuple[float, float] = (1.0, 2.0)
    limit: float = 0.2
    """D at which a unit has failed."""
    intervals: tuple[float, ...] = (4.0, 8.0, 12.0, 24.0)
    noise: float = 1.0
    """A factor on all noise."""
    missing: float = 0.03
    rate: float = 1.0
    """Samples a unit of time, as a factor."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.families) - set(FAMILIES)):
            raise ValueError(f"families {', '.join(unknown)}: expected {', '.join(FAMILIES)}")
        if min(self.lots, self.units) < 1 or not min(self.hours, self.limit, self.rate, *self.intervals) > 0:
            raise ValueError("lots, units, hours, limit, rate and intervals: expected numbers above 0")
        if abs(sum(self.families.values()) - 1) > 1e-6:
            raise ValueError(f"shares of families sum to {sum(self.families.values())}, expected 1")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the generator knows of a unit."""

    family: Family
    acceleration: float
    onset: float | None
    """When it began to fail: of gradual ones the start, of stable ones never."""
    degradation: Floats  # (n,) D at each sample, without noise
    left: (
        Floats  # (n,) hours to its failure, past the test's end as well; for what comes suddenly, the median until then
    )


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    fleet: Fleet
    truth: tuple[Truth, ...]


def acceleration(settings: LaserSettings, temperature: float, energy: float, exponent: float) -> float:
    """AF, how much faster time runs; 1 where stress is use."""
    use, stress = settings.use_temperature + 273.15, temperature + 273.15
    heat = np.exp(energy / BOLTZMANN * (1.0 / use - 1.0 / stress))
    return float(heat * settings.stress_current**exponent)


def simulate(settings: LaserSettings, seed: int) -> Simulated:
    """A fleet of lots of units, the same for the same settings and seed."""
    series, truths = [], []
    for lot in range(settings.lots):
        rng = np.random.default_rng((seed, lot))
        temperature = float(rng.choice(settings.temperatures))
        energy, exponent = rng.uniform(*settings.activation), rng.uniform(*settings.exponent)
        factor = acceleration(settings, temperature, energy, exponent)
        effect = rng.normal(0.0, 0.4)
        for unit in range(settings.units):
            own = np.random.default_rng((seed, lot, unit))
            one, truth = _unit(settings, own, factor, effect, temperature, f"{seed}-{lot}-{unit}", f"{seed}-{lot}")
            series.append(one)
            truths.append(truth)
    return Simulated(Fleet(CHANNELS, tuple(series), "h"), tuple(truths))


def frozen() -> dict[str, Any]:
    """FROZEN: "train", "validation" and "test" sets by name, each {"settings": LaserSettings, "seeds": [...]}."""
    told = json.loads(FROZEN.read_text(encoding="utf-8"))

    def one(row: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row["settings"].items()}
        return {"settings": LaserSettings(**fields), "seeds": row["seeds"]}

    return {
        "train": one(told["train"]),
        "validation": one(told["validation"]),
        "test": {name: one(row) for name, row in told["test"].items()},
    }


def _unit(
    s: LaserSettings, rng: np.random.Generator, factor: float, effect: float, temperature: float, name: str, lot: str
) -> tuple[Series, Truth]:
    family: Family = FAMILIES[int(rng.choice(len(FAMILIES), p=[s.families.get(f, 0.0) for f in FAMILIES]))]
    times = _times(s, rng)
    curve, onset, sudden = _degradation(s, rng, family, factor, effect)
    clean = curve(times)
    fine = np.linspace(0.0, 10.0 * s.hours, 40_001)
    beyond = np.flatnonzero(curve(fine) >= s.limit)
    fails = float(fine[beyond[0]]) if len(beyond) else float("inf")
    failed = fails <= s.hours
    values = _measured(s, rng, times, clean, temperature)
    kept = (times <= fails) & (clean < s.limit)
    times, clean, values = times[kept], clean[kept], values[kept]
    left = fails - times
    if sudden is not None:  # nobody knows when: half of the rest of the test is the middle of what may be
        left = np.where(times < sudden, (s.hours - times) / 2.0, left)
    return Series(name, times, values, fails if failed else None, lot), Truth(family, factor, onset, clean, left)


def _times(s: LaserSettings, rng: np.random.Generator) -> Floats:
    """Hours of the samples: an interval that may change once, one interruption or none, a little jitter."""
    change, pause = rng.uniform(0.2, 0.8) * s.hours, rng.uniform(0.1, 0.9) * s.hours
    changes, pauses, length = rng.random() < 0.3, rng.random() < 0.3, rng.uniform(48.0, 200.0)
    first, second = rng.choice(s.intervals, 2) / s.rate
    if changes:
        times = np.concatenate([np.arange(0.0, change, first), np.arange(change, s.hours, second)])
    else:
        times = np.arange(0.0, s.hours, first)
    times = times + rng.uniform(0.0, 0.05, len(times)) * first
    times = np.unique(np.minimum(times, s.hours))
    return times[~((times > pause) & (times < pause + length))] if pauses else times


def _degradation(
    s: LaserSettings, rng: np.random.Generator, family: Family, factor: float, effect: float
) -> tuple[Any, float | None, float | None]:
    """D as a function of hours, when the unit begins to fail, and when it does so suddenly."""
    power = rng.uniform(0.4, 1.2)
    # A unit of a middling lot would have degraded by about 20 % (4 % before its wear-out, if it has one).
    amount = (0.2 if family == "gradual" else 0.03) * np.exp(effect + rng.normal(0.0, 0.5))
    if family in ("stable", "sudden", "infant"):
        amount *= 0.1
    middling = 20.0 * s.hours

    def gradual(t: Floats) -> Floats:
        return np.asarray(amount * (factor * t / middling) ** power)

    if family == "gradual":
        return gradual, 0.0, None
    if family == "rapid":
        onset = rng.uniform(0.15, 0.9) * s.hours
        pace = rng.uniform(60.0, 300.0)  # hours in which it grows e-fold
        return lambda t: gradual(t) + 0.01 * np.expm1(np.clip((t - onset) / pace, 0.0, 50.0)), onset, None
    if family in ("sudden", "infant"):
        at = rng.uniform(0.0, s.hours) if family == "sudden" else 0.3 * s.hours * rng.weibull(0.5)
        height, ramp = rng.uniform(0.25, 0.8), rng.uniform(4.0, 72.0)
        return lambda t: gradual(t) + height * np.clip((t - at) / ramp, 0.0, 1.0), at, at
    return gradual, None, None


def _measured(s: LaserSettings, rng: np.random.Generator, times: Floats, clean: Floats, temperature: float) -> Floats:
    """(n, 2) what the instruments say."""
    n = len(times)
    start = rng.normal(100.0, 8.0)
    cycle = 0.5 * np.sin(2 * np.pi * (times / 24.0 + rng.random())) + rng.normal(0.0, 0.3, n)
    case = temperature + cycle + s.noise * rng.normal(0.0, 0.05, n)
    pink = sum(_walk(rng, times, span) for span in (24.0, 150.0, 900.0)) / np.sqrt(3.0)
    noise = s.noise * (0.003 * rng.normal(size=n) + 0.002 * pink)
    drift = np.zeros(n)
    recalibrated = np.sort(rng.uniform(0.0, s.hours, 2))
    for a, b in zip((0.0, *recalibrated), (*recalibrated, s.hours), strict=True):
        within = (times >= a) & (times <= b)
        drift[within] = s.noise * rng.normal(0.0, 0.003) * (times[within] - a) / max(b - a, 1.0)
    current = start * (1.0 + clean + 0.002 * cycle + noise + drift)
    values = np.stack([np.round(current / 0.05) * 0.05, np.round(case / 0.1) * 0.1], 1)
    values[rng.random(values.shape) < s.missing] = np.nan
    return values


def _walk(rng: np.random.Generator, times: Floats, span: float) -> Floats:
    """Noise of unit variance that forgets within `span` hours; a few of these are about 1/f."""
    keep = np.exp(-np.diff(times, prepend=times[:1] - 1e9) / span)
    steps = rng.normal(size=len(times)) * np.sqrt(1.0 - keep**2)
    out, last = np.empty(len(times)), 0.0
    for i in range(len(times)):
        last = out[i] = keep[i] * last + steps[i]
    return out
