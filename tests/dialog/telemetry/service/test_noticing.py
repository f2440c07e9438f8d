"""A service is judged by what came before, at a small cost, and by nothing that it does not say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog.telemetry.service import bed
from dialog.telemetry.service.advice import service_advice
from dialog.telemetry.service.bed import Bed, Run, service, simulate
from dialog.telemetry.service.noticing import QUIET, Alarms, Judge, Judged, straight
from dialog.telemetry.service.points import CHANNELS, LEARNING, Minute

MEMORY, DISK = CHANNELS.index("memory"), CHANNELS.index("disk")


def minutes(run: Run) -> list[Minute]:
    return [
        Minute(float(t), work[:1], work[1:], channels[None])
        for t, (work, channels) in enumerate(zip(run.work, run.channels, strict=True))
    ]


def judged(run: Run) -> list[Judged]:
    judge = Judge()
    return [judge.step(minute) for minute in minutes(run)]


def even(n: int, **ramps: float) -> Run:
    """n minutes of a service that always does the same; ramps are how much a channel grows a minute."""
    rng = np.random.default_rng(0)
    channels = np.full((n, len(CHANNELS)), 0.2) * np.exp(0.05 * rng.normal(size=(n, len(CHANNELS))))
    channels[:, [MEMORY, DISK]] = 0.5
    for name, pace in ramps.items():
        channels[:, CHANNELS.index(name)] += pace * np.arange(n)
    work = np.stack([rng.uniform(1.0, 3.0, n), np.full(n, 2.0)], 1)
    return Run("calm", "", work, channels, math.inf, math.inf)


@given(st.floats(0.001, 0.02), st.floats(0.0, 0.9), st.integers(10, 60))
def test_a_line_without_scatter_says_when_the_limit_is_reached(pace: float, level: float, n: int) -> None:
    times = np.arange(1.0 - n, 1.0)
    values = (level + pace * times)[:, None, None]
    left, earliest, latest = straight(times, values)
    assert left[0, 0] == pytest.approx((1.0 - level) / pace, rel=1e-6)
    assert earliest[0, 0] <= left[0, 0] * (1 + 1e-6) <= latest[0, 0] * (1 + 1e-5)


def test_a_line_needs_ten_minutes_and_none_leads_down() -> None:
    times = np.arange(-19.0, 1.0)
    falling, gaps = np.linspace(0.9, 0.5, 20), np.linspace(0.5, 0.9, 20)
    gaps[:11] = np.nan
    left, _, _ = straight(times, np.stack([falling, gaps, np.full(20, 1.2)], 1)[:, None])
    assert left[0].tolist() == [math.inf, math.inf, 0.0]


def test_what_is_to_come_changes_nothing_and_services_do_not_mix() -> None:
    runs = [service("leak", "severe", Bed(), (3, i), 1440) for i in range(2)]
    runs = [run._replace(work=run.work[-300:], channels=run.channels[-300:]) for run in runs]
    n = 300
    together, alone = Judge(2), [judged(run) for run in runs]
    for t in range(n):
        work, channels = (
            np.stack([part[t] for part in parts]) for parts in zip(*((r.work, r.channels) for r in runs), strict=True)
        )
        said = together.step(Minute(float(t), work[:, 0], work[:, 1], channels))
        for i in range(2):
            np.testing.assert_allclose(said.chart[i], alone[i][t].chart[0], atol=1e-6)
            np.testing.assert_array_equal(np.isfinite(said.left[i]), np.isfinite(alone[i][t].left[0]))


def test_more_work_is_no_alarm_and_more_time_for_the_same_work_is() -> None:
    rng = np.random.default_rng(0)
    n = 1440
    load = 5.0 * (1.1 + np.sin(np.arange(n) * 2 * np.pi / 360)) * np.exp(0.1 * rng.normal(size=n))
    slow = 0.05 * load**0.5 * np.exp(0.05 * rng.normal(size=n))  # by day an answer takes three times as long
    channels = np.stack([slow, slow, np.zeros(n), np.full(n, 0.4), np.full(n, 0.4)], 1)
    calm = Run("calm", "", np.stack([load, np.full(n, 2.0)], 1), channels, math.inf, math.inf)
    worse = channels.copy()
    worse[-30:, 0] *= 2.0
    assert max(j.chart[0, 0] for j in judged(calm)[LEARNING:]) < 15
    assert judged(calm._replace(channels=worse))[-1].chart[0, 0] > 20


def test_an_even_service_has_no_alarm_and_one_without_answers_neither() -> None:
    alarms = Alarms()
    for run in (even(300), even(300)._replace(channels=np.full((300, len(CHANNELS)), np.nan))):
        for minute, said in zip(minutes(run), judged(run), strict=True):
            alarms.step(minute, said)
            assert alarms.since == [None] * len(CHANNELS)


def test_a_leak_is_an_alarm_before_the_memory_is_full_and_ends_with_it() -> None:
    filling, alarms = even(200, memory=0.004), Alarms()
    began = None
    for minute, said in zip(minutes(filling), judged(filling), strict=True):
        alarms.step(minute, said)
        if began is None and alarms.since[MEMORY] is not None:
            began = minute.time
            assert 20 < said.left[0, MEMORY] <= 125
            assert alarms.by_line[MEMORY]
    assert began is not None
    assert began < 120
    nothing = Judged(*(np.full((1, len(CHANNELS)), v) for v in (math.inf, math.inf, math.inf, 0.0)))
    for t in range(QUIET):
        assert alarms.since[MEMORY] is not None
        alarms.step(minute._replace(time=200.0 + t), nothing)
    assert alarms.since[MEMORY] is None


def test_the_bed_is_the_same_for_the_same_seed_and_ends_where_a_limit_is_reached() -> None:
    small = Bed(runs=1, calm=1, calm_days=0.5, seed=5)
    runs, again = simulate(small), simulate(small)
    assert len(runs) == 1 + len(bed.FAULTS) * len(bed.STRENGTHS)
    for one, two in zip(runs, again, strict=True):
        np.testing.assert_array_equal(one.channels, two.channels)
    for run in runs:
        if run.fault == "leak":
            assert run.failure == len(run.channels)
            assert run.channels[-1, MEMORY] > 0.9
            assert run.onset < run.failure
    assert {len(b) for b in ({x.seed for x in bed.frozen().values()},)} == {3}  # three beds, three seeds


def test_a_stronger_fault_comes_sooner() -> None:
    for fault in ("leak", "creep", "full disk"):
        lasted = [
            np.mean([(r := service(fault, s, Bed(), (9, k), 2880)).failure - r.onset for k in range(4)])
            for s in bed.STRENGTHS
        ]
        assert lasted[0] > lasted[1] > lasted[2]


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_has_words(channel: str) -> None:
    assert "17 minutes" in service_advice(channel, 17.2)
    assert "3.33 hours" in service_advice(channel, 200.0)
    assert "reached" in service_advice(channel, 0.0)
    assert "minutes" not in service_advice(channel, None)
