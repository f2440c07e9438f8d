"""The port: a fleet's model, fed samples of many units, says what is coming, what is amiss and how long is left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialog.telemetry.baselines import WINDOW, Chart, chart, cusum_scores, ewma_scores, linear_left_at, power_left_at
from dialog.telemetry.outlook import History, Outlook
from dialog.telemetry.series import Floats
from dialog.telemetry.state import UnitState, restored
from models import checkpoint
from models.catalogue import TELEMETRY, path_of
from models.device import Where, device_of
from models.maintenance.autoencoder import m_of_n, rows_of, windows_of
from models.maintenance.features import Features, Read, UnitSoFar
from models.maintenance.forecaster import ForecastState
from models.maintenance.life import LifeState
from models.maintenance.model import Limit, MaintenanceModel
from models.maintenance.stepping import Stepper
from models.maintenance.survival import lived_by
from models.mixers.base import apart, joined, leaves

STEPS_AT_ONCE = 4096
"""Rows times steps of one pass through the networks: what memory it needs does not grow with the samples."""
LATE, NO_TIME = "time not after the one before", "time not a number"


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The next samples of a unit; without a state they are its first."""

    unit: str
    times: Floats  # (n,)
    values: Floats  # (n, C) in the order of the model's channels; what is not finite is missing
    state: UnitState | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What is known of a unit after its samples."""

    unit: str
    state: UnitState
    n_read: int
    left_out: Mapping[str, int]
    """Reason -> samples that were not read."""
    outlook: Outlook | None
    """As of the last sample; None before there is one, and where this call brought none."""
    history: History | None


@dataclass(slots=True)
class _Unit:
    """One unit while it is fed."""

    samples: Samples
    times: Floats
    values: Floats
    read: Read
    after: UnitSoFar
    left_out: dict[str, int]
    state: UnitState
    at: int = 0  # steps gone through
    forecasts: list[Tensor] = field(default_factory=list)
    curves: list[Floats] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)
    alarms: list[NDArray[np.bool_]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Everything that was said at each of n samples; what evaluation reads."""

    unit: str
    state: UnitState
    left_out: Mapping[str, int]
    times: Floats  # (n,)
    read: Read
    forecasts: Floats  # (m, H, C, 3) in the channels' own units; m is n with `every`, else at most 1
    curves: Floats  # (m, K + 1) survival
    scores: Floats  # (n,)
    alarms: NDArray[np.bool_]  # (n,)
    left: Floats  # (m, 3) median, 10 and 90 % of the remaining life
    since: Floats  # (n,) when the alarm that stands began, NaN where none stands


class Watcher:
    """A model of one fleet.

    watcher = Watcher.load()
    (first,) = watcher.feed([Samples("laser 7", times, values)])
    (then,) = watcher.feed([Samples("laser 7", later, more, first.state)])
    """

    def __init__(self, name: str, version: str, model: MaintenanceModel) -> None:
        self.name, self.version, self.model = name, version, model.eval()
        self.config = c = model.config
        self.channels, self.time_unit, self.interval = c.channels, c.time_unit, c.features.interval
        self.horizons, self.cap = c.forecaster.horizons, float(c.life.edges[-1])
        self.limit: Limit | None = c.limit
        self.detector, self.life_by = c.alarm.detector, c.life_by
        self._features = Features(c.features)
        self._watched = 0 if c.limit is None else c.channels.index(c.limit.channel)
        self._ends = np.array([0.0, *c.life.edges])
        self._new = self._fresh()
        self._stepper = Stepper.of(self.model)

    @classmethod
    def load(cls, model: str | Path = TELEMETRY, *, device: Where = None) -> "Watcher":
        """A shipped model's name or a folder of `rapport maintain train`. Raises UnknownModel, CheckpointError."""
        folder = path_of(str(model))
        return cls(str(model), checkpoint.content_hash(folder), MaintenanceModel.load(folder, device=device))

    def restore(self, data: bytes) -> UnitState:
        """What `UnitState.to_bytes` wrote. Raises StaleState where another model, or another version, wrote it."""
        return restored(data, self._new)

    def feed(self, batch: Sequence[Samples], *, history: bool = False) -> list[Watched]:
        """One answer a row, in their order; a unit's answer does not depend on who else is in the batch.

        Samples that are not later than the last one read are left out and counted. Raises ValueError where times and
        values do not fit together or the model's channels, and where a state is another model's.
        """
        return [self._told(trace, history) for trace in self.trace(batch, every=history)]

    @torch.inference_mode()
    def trace(self, batch: Sequence[Samples], *, every: bool = True) -> list[Trace]:
        """What `feed` knows, in full: forecasts and lives at every sample, or at the last alone."""
        units = [self._begin(samples) for samples in batch]
        waiting = [unit for unit in units if len(unit.times)]
        while waiting:
            # Those with most to come first, side by side, as far as the shortest of them goes or memory allows.
            waiting.sort(key=lambda unit: unit.at - len(unit.times))
            some = waiting[:64]
            longest = len(some[0].times) - some[0].at
            self._pass(some, min(longest, max(1, STEPS_AT_ONCE // len(some))), every)
            waiting = [unit for unit in waiting if unit.at < len(unit.times)]
        return [self._finish(unit) for unit in units]

    def _fresh(self) -> UnitState:
        c, one = self.config, self.model
        return UnitState(
            version=self.version,
            features=self._features.initial_state(),
            forecast=one.forecaster.initial_state(1),
            life=one.life.initial_state(1),
            rows=None,
            chart=chart(len(self.channels)),
            above=torch.zeros(c.alarm.n - 1, dtype=torch.bool),
            tail=np.full((WINDOW, 2), np.nan),
            alarm_since=None,
        )

    def _begin(self, samples: Samples) -> _Unit:
        state = samples.state or self._new
        if state.version != self.version:
            raise ValueError(
                f"unit {samples.unit}: its state is of model {state.version}, expected {self.version}; begin it anew"
            )
        times, values = np.asarray(samples.times, np.float64), np.asarray(samples.values, np.float64)
        if times.ndim != 1 or values.shape != (len(times), len(self.channels)):
            raise ValueError(
                f"unit {samples.unit}: times {times.shape} and values {values.shape}, expected (n,) and "
                f"(n, {len(self.channels)}): {', '.join(self.channels)}"
            )
        known = np.isfinite(times)
        before = np.maximum.accumulate(np.concatenate([[state.last_time], np.where(known, times, -np.inf)[:-1]]))
        good = known & (times > before) if len(times) else known
        told = {NO_TIME: int((~known).sum()), LATE: int((known & ~good).sum())}
        times, values = times[good], values[good]
        read, after = self._features.read(times, values, state.features)
        return _Unit(samples, times, values, read, after, {why: n for why, n in told.items() if n}, state)

    def _step(self, unit: _Unit, stepper: Stepper) -> None:
        """One sample of one unit."""
        at, state = unit.at, unit.state
        values = unit.read.values[at].astype(np.float32)
        said = stepper.step(unit.read.features[at], values, state.forecast, state.life)
        self._notice(unit, slice(at, at + 1), said.forecast, torch.from_numpy(values[None]))
        unit.forecasts.append(said.forecast)
        unit.curves.append(said.curve.astype(np.float64))
        unit.state = replace(unit.state, forecast=said.forecast_state, life=said.life_state)
        unit.at = at + 1

    def _pass(self, units: Sequence[_Unit], steps: int, every: bool) -> None:
        """The networks over the next steps of several units."""
        if len(units) == 1 and len(units[0].times) == 1 and self._stepper is not None:
            self._step(units[0], self._stepper)
            return
        where = device_of(self.model)
        parts = [slice(unit.at, min(unit.at + steps, len(unit.times))) for unit in units]
        lengths = [part.stop - part.start for part in parts]
        x, values = (
            _padded([torch.from_numpy(getattr(unit.read, name)[part]) for unit, part in zip(units, parts, strict=True)])
            for name in ("features", "values")
        )
        x, values = x.float().to(where), values.float().to(where)
        alike = min(lengths) == max(lengths)
        mask = None if alike else torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        mask = None if mask is None else mask.to(where)
        forecast_states, life_states = [u.state.forecast for u in units], [u.state.life for u in units]
        if not (_alike(forecast_states) and _alike(life_states)):
            # States that grow with what was read are of different sizes: those units go one by one.
            for unit in units:
                self._pass([unit], steps, every)
            return
        single = max(lengths) == 1
        ends = None if every or single else torch.tensor(lengths, device=where)[:, None] - 1
        one = len(units) == 1
        forecasts, after = self.model.forecaster(
            x,
            values,
            state=forecast_states[0] if one else joined(forecast_states),
            mask=mask,
            at=None if every or self._needs_all_forecasts else ends,
        )
        curves, lives = self.model.lives(x, state=life_states[0] if one else joined(life_states), mask=mask, at=ends)
        forecasts, lives_at = forecasts.cpu(), curves.double().cpu().numpy()
        after_each: list[ForecastState] = [after] if one else apart(after, len(units))
        lives_each: list[LifeState] = [lives] if one else apart(lives, len(units))
        for i, (unit, part, n) in enumerate(zip(units, parts, lengths, strict=True)):
            self._notice(unit, part, forecasts[i, :n], values[i, :n].cpu())
            last = slice(0, n) if every else slice(0, 1)
            if not every:
                unit.forecasts.clear()
                unit.curves.clear()
            unit.forecasts.append(forecasts[i, :n] if every else forecasts[i, :n][-1:])
            unit.curves.append(lives_at[i, last])
            unit.state = replace(unit.state, forecast=after_each[i], life=lives_each[i])
            unit.at = part.stop

    @property
    def _needs_all_forecasts(self) -> bool:
        return self.detector == "autoencoder" and self.config.autoencoder.reads != "observed"

    def _notice(self, unit: _Unit, part: slice, forecasts: Tensor, values: Tensor) -> None:
        """Scores and alarms of a stretch of one unit."""
        c, state, rows = self.config, unit.state, unit.state.rows
        moved: Chart = state.chart
        if self.detector == "autoencoder":
            stacked = rows_of(c.autoencoder, values, forecasts if self._needs_all_forecasts else forecasts[:0])
            windows, rows = windows_of(c.autoencoder, stacked, rows)
            score = self.model.autoencoder.score(windows.to(device_of(self.model))).double().cpu().numpy()
        else:
            chart_of = ewma_scores if self.detector == "ewma" else cusum_scores
            score, moved = chart_of(unit.read.values[part], state.chart)
        first = int(state.features.n[0])
        burnt_in = first + np.arange(part.start, part.stop) + 1 > c.features.burn_in
        above = torch.from_numpy((score > c.alarm.threshold) & burnt_in)
        alarm, kept = m_of_n(above, state.above, c.alarm)
        unit.scores.append(score)
        unit.alarms.append(alarm.numpy())
        unit.state = replace(state, rows=rows, chart=moved, above=kept)

    def _finish(self, unit: _Unit) -> Trace:
        n, before = len(unit.times), unit.state
        scores = np.concatenate(unit.scores) if n else np.zeros(0)
        alarms = np.concatenate(unit.alarms) if n else np.zeros(0, bool)
        since, standing = np.full(n, np.nan), before.alarm_since
        for i, on in enumerate(alarms):
            standing = (float(unit.times[i]) if standing is None else standing) if on else None
            since[i] = np.nan if standing is None else standing
        tail = before.tail
        if n and self.limit is not None:
            tail = np.concatenate([tail, np.stack([unit.times, unit.values[:, self._watched]], 1)])
        curves = np.concatenate(unit.curves) if n else np.zeros((0, len(self._ends)))
        forecasts = torch.cat(unit.forecasts).double().numpy() if n else np.zeros((0, len(self.horizons), 1, 3))
        picked = slice(n - len(curves), n)
        if n:
            level, width = (a[picked][:, None, :, None] for a in (unit.read.level, unit.read.unit))
            forecasts = self._features.raw(forecasts, level, width)
        left = self._left(curves, tail, unit, picked)
        state = replace(before, features=unit.after, tail=tail[-WINDOW:].copy(), alarm_since=standing)
        return Trace(
            unit.samples.unit,
            state,
            unit.left_out,
            unit.times,
            unit.read,
            forecasts,
            curves,
            scores,
            alarms,
            left,
            since,
        )

    def _left(self, curves: Floats, tail: Floats, unit: _Unit, picked: slice) -> Floats:
        """(m, 3) of the curves (m, K + 1), or of who else says it."""
        if self.life_by not in ("linear", "power") or not len(curves):
            return lived_by(curves, self._ends, np.array([0.5, 0.1, 0.9]))
        assert self.limit is not None  # the config says so
        times, values = tail[:, 0], np.where(np.isfinite(tail[:, 1]), tail[:, 1], np.nan)
        means = np.concatenate([np.zeros(WINDOW), unit.read.mean[:, self._watched]])
        limits = self.limit.value * (means if self.limit.relative else np.ones_like(means))
        if self.life_by == "linear":
            said = linear_left_at(times, values, limits, above=self.limit.above)
        else:
            start = float(unit.after.n[1])
            said = power_left_at(times, values, means, limits, start, above=self.limit.above)
        said = said[len(said) - len(unit.times) :][picked]
        low, high = self.config.life_band
        return np.stack([np.minimum(said * share, self.cap) for share in (1.0, low, high)], -1)

    def _told(self, trace: Trace, history: bool) -> Watched:
        n, c = len(trace.times), self.config
        outlook = told = None
        if n:
            ahead = self.interval * np.array(self.horizons, np.float64)
            risk = 1.0 - float(np.interp(ahead[-1], self._ends, trace.curves[-1]))
            left, low, high = (float(v) for v in trace.left[-1])
            outlook = Outlook(
                time=float(trace.times[-1]),
                ready=trace.state.n > c.features.burn_in,
                alarm=bool(trace.alarms[-1]),
                alarm_since=trace.state.alarm_since,
                score=float(trace.scores[-1]),
                threshold=c.alarm.threshold,
                forecast=trace.forecasts[-1],
                forecast_times=trace.times[-1] + ahead,
                left=left,
                left_low=low,
                left_high=high,
                beyond=left >= self.cap,
                risk=risk,
            )
        if history:
            told = History(trace.times, trace.scores, trace.alarms, *trace.left.T)
        return Watched(trace.unit, trace.state, n, trace.left_out, outlook, told)


def _alike(states: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the states' tensors are of the same shapes, so that they can stand in one batch."""
    return len({tuple(leaf.shape for leaf in leaves(state)) for state in states}) == 1


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return rows[0][None] if len(rows) == 1 else torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def batches(samples: Iterator[Samples], size: int = 256) -> Iterator[list[Samples]]:
    """The samples in lists of at most `size`, for fleets that are read one unit at a time."""
    held: list[Samples] = []
    for one in samples:
        held.append(one)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
