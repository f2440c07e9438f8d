"""The review of recurrence, attention and gates in a small form: its series, its designs, its rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dialog.bench import SUITES
from dialog.bench.review import suite
from dialog.bench.review.kuramoto import KuramotoSivashinsky, exponent
from dialog.bench.review.lorenz import Lorenz96
from dialog.bench.review.parts import DESIGNS, GRID, Design, Reader, n_parameters
from dialog.bench.review.tasks import Emotion, Forecast, Recall, Task, kuramoto
from dialog.evaluation.recall import Task as RecallTask

SMALL = Lorenz96(n_slow=4, n_fast=3)


def small_recall() -> Recall:
    return Recall(task=RecallTask(T=16, N=2, V=32), batch=4, n_test=8, steps=2)


def small_forecast() -> Forecast:
    return Forecast(system=SMALL, n_series=3, n_samples=80, every=2, window=12, heard=5, batch=2, steps=2)


@pytest.fixture
def meld(tmp_path: Path) -> Path:
    """A corpus of two dialogues a split."""
    said = [("A", "What a day!", "joy"), ("B", "It rains.", "neutral"), ("A", "Oh no.", "sadness")]
    talk = {"id": "1", "utterances": [{"speaker": s, "text": t, "emotion": e} for s, t, e in said]}
    short = {"id": "2", "utterances": talk["utterances"][:2]}
    (tmp_path / "meld").mkdir()
    for split in ("train", "test"):
        (tmp_path / "meld" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, (talk, short))))
    return tmp_path


def test_lorenz_96_moves_energy_about_and_loses_it_by_friction_alone() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((5, 4)), random.standard_normal((5, 12))
    dx, dy = SMALL.slope(x, y)
    gained = (x * dx).sum(1) + (y * dy).sum(1)
    expected = -(x**2).sum(1) + SMALL.F * x.sum(1) - SMALL.c * (y**2).sum(1)
    np.testing.assert_allclose(gained, expected, rtol=1e-12)


def test_lorenz_96_is_integrated_to_fourth_order() -> None:
    random = np.random.default_rng(1)
    start = 5 * random.random((2, 4)), 0.1 * random.standard_normal((2, 12))

    def after(n: int) -> Any:
        system, (x, y) = Lorenz96(n_slow=4, n_fast=3, dt=0.04 / n), start
        for _ in range(n):
            x, y = system.step(x, y)
        return x

    exact = after(256)
    coarse, fine = (np.abs(after(n) - exact).max() for n in (8, 16))
    assert 10 < coarse / fine < 25


def test_the_same_seed_gives_the_same_series_and_systems_know_nothing_of_each_other() -> None:
    series = SMALL.series(2, 5, 3, seed=4, settle=20)
    assert series.shape == (2, 5, 4)
    np.testing.assert_array_equal(series, SMALL.series(2, 5, 3, seed=4, settle=20))
    x, y = np.ones((2, 4)), np.zeros((2, 12))
    x[1] = 3.0
    np.testing.assert_allclose(SMALL.slope(x, y)[0][:1], SMALL.slope(x[:1], y[:1])[0])


def waves(amplitudes: dict[int, float], n_grid: int = 64) -> Any:
    """One row of cosines, by how often they go around."""
    angle = 2 * np.pi * np.arange(n_grid) / n_grid
    return np.stack([size * np.cos(n * angle) for n, size in amplitudes.items()]).sum(0, keepdims=True)


@pytest.mark.parametrize("wave", [1, 2, 3, 4])
def test_a_small_wave_grows_or_fades_as_the_linear_equation_says_exactly(wave: int) -> None:
    system = KuramotoSivashinsky()
    u = start = waves({wave: 1e-9})
    for _ in range(40):
        u = system.step(u)
    k = 2 * np.pi * wave / 22
    assert u[0, 0] / start[0, 0] == pytest.approx(np.exp(10 * (k**2 - k**4)), rel=1e-6)


def test_kuramoto_sivashinsky_is_integrated_to_fourth_order_and_keeps_its_mean() -> None:
    start = waves({1: 1.5, 2: 0.5}, 16) + 0.3

    def after(n: int) -> Any:
        system, u = KuramotoSivashinsky(n_grid=16, dt=2 / n), start
        for _ in range(n):
            u = system.step(u)
        return u

    exact = after(512)
    coarse, fine = (np.abs(after(n) - exact).max() for n in (16, 32))
    assert 10 < coarse / fine < 20
    np.testing.assert_allclose(exact.mean(), start.mean(), rtol=1e-12)


def test_kuramoto_sivashinsky_changes_by_what_moves_grows_and_fades() -> None:
    """The step against the equation itself: derivatives by central differences in space and time, on a fine grid."""
    system = KuramotoSivashinsky(length=2 * np.pi * 4, n_grid=256, dt=1e-3)
    u = waves({2: 1.0, 5: 0.3}, 256)
    dx, rate = system.length / 256, (system.step(u) - u) / system.dt
    first = (np.roll(u, -1, 1) - np.roll(u, 1, 1)) / (2 * dx)
    second = (np.roll(u, -1, 1) - 2 * u + np.roll(u, 1, 1)) / dx**2
    fourth = (np.roll(second, -1, 1) - 2 * second + np.roll(second, 1, 1)) / dx**2
    np.testing.assert_allclose(rate, -u * first - second - fourth, atol=0.02)


def test_kuramoto_sivashinsky_is_chaotic_by_the_exponent_that_is_known() -> None:
    """0.043 to 0.048 in the literature for this length; and where no wave grows there is none above 0."""
    system = KuramotoSivashinsky()
    u = np.random.default_rng(0).standard_normal((16, 8)) @ np.cos(
        2 * np.pi * np.outer(np.arange(8), np.arange(64)) / 64 + np.arange(8)[:, None]
    )
    for _ in range(800):
        u = system.step(u)
    assert 0.03 < exponent(system.step, u, 800, system.dt) < 0.065
    calm = KuramotoSivashinsky(length=6.0)
    assert exponent(calm.step, waves({1: 1.0}), 400, calm.dt) < 1e-3


def test_a_grid_of_which_no_equal_part_is_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="n_grid 64 must be even and a multiple of n_seen 7"):
        KuramotoSivashinsky(n_seen=7)


def test_the_second_series_is_read_at_eight_points_and_never_settles() -> None:
    task = kuramoto()
    assert task.n_out == Forecast().n_out  # so that designs are as equal as there
    task.n_series, task.n_samples, task.cut = 4, 120, 80
    assert task.series.shape == (4, 120, 8)
    assert task.series.dtype == torch.float32
    assert 0.5 < float(task.series[:, -10:].std()) < 2
    with torch.no_grad():
        scores = task.scores(Reader(Design(), 16, task.embed(16), task.n_out))
    assert scores["valid_time"] <= 50


def test_the_grid_has_every_combination_once() -> None:
    assert len({design.name for design in DESIGNS}) == len(DESIGNS)
    assert {(d.cell, d.attention, d.gate) for d in GRID} == {
        (cell, attention, gate) for cell in (None, "elman", "gru") for attention in (0, 1) for gate in (0, 1)
    }
    assert Design(attention=True, cell="gru", apart=True).name == "attention, then gru"
    assert Design().name == "none"


@pytest.mark.parametrize("task", [Recall(), Forecast()], ids=lambda task: task.name)
def test_all_designs_have_nearly_the_same_number_of_parameters(task: Task) -> None:
    sizes = []
    for design in DESIGNS:
        width = suite.equal_width(task, design)
        sizes.append(n_parameters(Reader(design, width, task.embed(width), task.n_out)))
    assert max(sizes) / min(sizes) < 1.12


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_a_reader_steps_as_it_reads(design: Design) -> None:
    model = Reader(design, 16, torch.nn.Linear(3, 16), 2).eval()
    x = torch.randn(2, 6, 3)
    whole = model(x)
    _, state = model.read(x[:, :5])
    torch.testing.assert_close(model.step(x[:, 5], state)[0], whole[:, 5], rtol=1e-4, atol=1e-4)


def test_a_perfect_forecast_stays_valid_to_the_end_and_the_last_value_does_not() -> None:
    task = small_forecast()
    truth = task.asked
    assert truth.shape[1:] == (13, 4)
    perfect = task._scored(truth[:, 1:], truth[:, 5:])
    assert perfect == {"score": 0.0, "valid_time": pytest.approx(8 * 2 * SMALL.dt), "spectrum": 0.0}
    off = task._scored(truth[:, 1:] + 0.1, truth[:, 5:] + 0.6)
    assert off == {"score": pytest.approx(10.0, rel=1e-4), "valid_time": 0.0, "spectrum": off["spectrum"]}
    assert task._scored(truth[:, 1:], 2 * truth[:, 5:])["spectrum"] == pytest.approx(300)
    plain = {name: score() for name, score in task.baselines().items()}
    assert plain["a linear map of the last 4"]["score"] < plain["the last value"]["score"]


def test_what_is_asked_is_later_than_all_that_is_learned_from() -> None:
    task = small_forecast()
    later = {float(v) for v in task.asked.flatten()}
    assert not later & {float(v) for v in task.series[:, : task.cut].flatten()}


def test_emotion_reads_whole_dialogues_and_skips_what_has_no_label(meld: Path) -> None:
    task = Emotion(data=meld, steps=3, batch=2)
    assert task.labels == ["joy", "neutral", "sadness"]
    assert [len(v) for v in task.vectors["train"]] == [3, 2]
    model = suite.trained(task, Design(), 16, 0)
    assert 0 <= task.scores(model)["score"] <= 100
    commonest = task.baselines()["the commonest label"]()
    assert commonest["score"] == pytest.approx(100 * 0.4 * 4 / 7)  # joy or neutral, 2 of 5: F1 is 4/7
    assert set(task.baselines()["a linear map of the utterance"]()) == {"score", "macro_f1"}


def test_the_suite_has_a_row_for_each_design_and_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = (small_recall(), small_forecast())
    monkeypatch.setattr(suite, "DESIGNS", (Design(), Design(cell="elman", attention=True, gate=True)))
    first = SUITES["review"](tasks=tasks, repeats=2, keep=tmp_path / "rows")
    json.dumps(first)
    names = [row["name"] for row in first["rows"]]
    assert "recall, elman + attention + gate, seed 1" in names
    assert len(names) == len(set(names)) == 3 + 2 * 2 * 2
    assert all(np.isfinite(row["score"]) for row in first["rows"])

    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(suite, "_row", refuse)
    assert SUITES["review"](tasks=tasks, repeats=2, keep=tmp_path / "rows")["rows"] == first["rows"]
    only = SUITES["review"](tasks=tasks, repeats=2, keep=tmp_path / "rows", only="forecast, none, seed 1")["rows"]
    assert [row["name"] for row in only] == ["forecast, none, seed 1"]
