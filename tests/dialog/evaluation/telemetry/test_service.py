"""Who watches a service is measured as whoever runs it would count: in time, or cried for nothing."""

import math

import numpy as np
import pytest

from dialog.evaluation.tasks import TASKS
from dialog.evaluation.telemetry import service as telemetry_service
from dialog.evaluation.telemetry.service import chosen, episodes, false_alarms, figures, judged, service_fleet
from dialog.telemetry.service.bed import FAULTS, STRENGTHS, Bed, Run, simulate
from dialog.telemetry.service.noticing import Judge
from dialog.telemetry.service.points import CHANNELS, Minute


def test_alarms_within_an_hour_are_one() -> None:
    on = np.zeros(400, bool)
    assert episodes(on) == 0
    on[[10, 11, 60, 200, 399]] = True
    assert episodes(on) == 3


def made(fault: str, strength: str, n: int, onset: float) -> Run:
    empty = np.zeros((n, len(CHANNELS)))
    return Run(fault, strength, np.zeros((n, 2)), empty, onset, float(n) if fault != "calm" else math.inf)  # type: ignore[arg-type]


def test_lead_delay_and_false_alarms_are_those_counted_by_hand() -> None:
    runs = [made(f, s, 300, 100.0) for f in FAULTS for s in STRENGTHS]
    runs.append(made("calm", "", 10_080, math.inf))
    levels = [np.zeros((len(run.work), len(CHANNELS))) for run in runs]
    for i, run in enumerate(runs):
        if run.fault == "leak":
            levels[i][150:, CHANNELS.index("memory")] = 1.0
        if run.fault == "creep":
            levels[i][295:, CHANNELS.index("queue")] = 1.0  # five minutes before the end: too late
        if run.fault == "full disk":
            levels[i][120:, CHANNELS.index("memory")] = 1.0  # of something else: no word about the disk
        if run.fault == "slow dependency":
            levels[i][125:, CHANNELS.index("latency")] = 1.0
    levels[-1][[50, 51, 4000], 2] = 1.0
    found = figures(runs, [(levels, np.full(len(CHANNELS), 0.5))])
    assert found["leak, mild"] == {"noticed": 1.0, "in_time": 1.0, "delay": 50.0, "lead": 150.0}
    assert found["creep, severe"] == {"noticed": 1.0, "in_time": 0.0, "delay": 195.0, "lead": 5.0}
    assert found["full disk, mild"]["noticed"] == 0.0
    assert found["slow dependency, mild"] == {"noticed": 1.0, "in_time": 1.0, "delay": 25.0, "lead": None}
    assert found["in_time"] == 0.5
    weeks = (10_080 + 12 * 100) / 10_080
    assert found["false_alarms_week"] == pytest.approx(2 / weeks)


def test_what_is_judged_side_by_side_is_what_is_judged_alone() -> None:
    runs = [simulate(Bed(runs=1, calm=2, calm_days=d, seed=1))[0] for d in (0.2, 0.3)]
    levels = judged(runs)
    judge, left = Judge(), []
    for t, (work, channels) in enumerate(zip(runs[0].work, runs[0].channels, strict=True)):
        left.append(judge.step(Minute(float(t), work[:1], work[1:], channels[None])).left[0])
    third = np.sort(-np.array(left[-5:]), 0)[2]
    np.testing.assert_allclose(levels["line"][0][-1], np.where(np.isneginf(third), -1e12, third), rtol=1e-6)


def test_the_choice_keeps_to_its_budget() -> None:
    runs = simulate(Bed(runs=1, calm=3, calm_days=1.0, seed=2))[:3]
    levels = judged(runs)
    for way, parts in chosen(runs, levels, budget=7.0).items():
        spent = sum(false_alarms(runs, levels[name], t) for name, t in parts.items())
        assert spent <= 7.0, way


def test_a_fleet_of_services_hides_what_no_limit_ends() -> None:
    fleet = service_fleet(simulate(Bed(runs=1, calm=1, calm_days=0.5, seed=3)))
    assert fleet.channels == (*CHANNELS, "load", "size")
    assert {s.unit.split()[0] for s in fleet if s.failure is not None} <= {"leak", "creep", "full"}
    assert fleet.n_failed >= 6


def test_the_task_reports_every_way_on_the_test_bed(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: Bed(runs=1, calm=1, calm_days=0.5, seed=i) for i, name in enumerate(("validation", "test"))}
    monkeypatch.setattr(telemetry_service, "frozen", lambda: small)
    monkeypatch.setattr(telemetry_service, "simulate", lambda bed: [r._replace(
        work=r.work[-300:], channels=r.channels[-300:], onset=r.onset - (len(r.work) - 300)) for r in simulate(bed)
        if r.fault == "calm" or r.failure - r.onset > 60 or r.fault == "slow dependency"])  # fmt: skip
    monkeypatch.setattr(telemetry_service, "figures", lambda runs, said: {"n": len(runs), "ways": len(said)})
    result = TASKS["telemetry"]((), part="service")
    assert set(result["baselines"]) == {"line", "chart", "line and chart"}
    assert result["metrics"]["ways"] == 2
    with pytest.raises(ValueError, match="expected one of engines, service, in family"):
        TASKS["telemetry"]((), part="nothing")
    with pytest.raises(ValueError, match="--data FOLDER"):
        TASKS["telemetry"]((), part="engines")
