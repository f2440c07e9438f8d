"""`rapport maintain`: a table in, the worst unit first, one line for what is wrong."""

import json
import math
from functools import partial
from pathlib import Path

import pytest

from dialog.telemetry import follow as following
from dialog.training.telemetry import fleet as training
from tests.dialog.telemetry.fleets import save_model, table_of
from tests.dialog.training.telemetry.test_fleet import QUICK, fleet
from ui.commands.main import run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("fleet")))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "lasers.csv"
    path.write_text(table_of())
    return path


def test_watch_prints_the_worst_first_and_writes_a_report(
    model: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["maintain", "watch", str(table), "--model", model, "--html", str(tmp_path / "out.html")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["unit", "standing"]
    assert lines[1].startswith("laser 2")
    assert "alarm" in lines[1]
    assert len(lines) == 4
    assert "<h1>lasers</h1>" in (tmp_path / "out.html").read_text()


def test_watch_as_json_has_every_figure(model: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maintain", "watch", str(table), "--model", model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["units"][0]["unit"] == "laser 2"
    assert len(told["units"][0]["outlook"]["forecast"]) == 3


def test_follow_says_whose_standing_changes(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *lines = table_of(1).splitlines()
    path = tmp_path / "grows.csv"
    path.write_text("\n".join([header, *lines[:6]]) + "\n")
    real, pieces = following.follow, iter([lines[6:]])

    def grow(_: float) -> None:
        more = next(pieces, None)
        if more is None:
            raise KeyboardInterrupt
        with path.open("a") as file:
            file.write("\n".join(more) + "\n")

    monkeypatch.setattr(following, "follow", lambda *args, **told: real(*args, **{**told, "wait": grow}))
    assert run(["maintain", "watch", str(path), "--model", model, "--follow"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "still learning" in shown[1]
    assert "alarm" in shown[2]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["watch", "nowhere.csv"], "No such file"),
        (["watch", "TABLE", "--column", "unit"], "expected ROLE=NAME"),
        (["watch", "TABLE", "--time-unit", "cycle"], "the model counts in h"),
        (["train", "TABLE", "--limit", "power<1"], "no channel 'power'"),
        (["train", "TABLE", "--shape", "round"], "expected one of long"),
    ],
)
def test_what_is_wrong_is_one_line(
    model: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    more = ["--model", model] if arguments[0] == "watch" else ["--out", str(tmp_path / "out")]
    assert run(["maintain", *[str(table) if a == "TABLE" else a for a in arguments], *more]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert word in said.err
    assert len(said.err.splitlines()) == 1


def test_what_train_makes_watch_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["Serial No,lot,t [d],current,temperature,note"]
    for one in fleet():
        for time, (current, temperature, _) in zip(one.times, one.values, strict=True):
            cells = ["" if math.isnan(v) else f"{v:.3f}" for v in (current, temperature)]
            lines.append(f"{one.unit},{one.lot},{time:.3f},{cells[0]},{cells[1]},fine")
    path, out = tmp_path / "mine.csv", tmp_path / "model"
    path.write_text("\n".join(lines))
    named = ["--column", "unit=Serial No"]
    monkeypatch.setattr(training, "train_fleet", partial(training.train_fleet, recipe=QUICK))
    train = ["maintain", "train", str(path), "--out", str(out), "--limit", "current>+12%", *named, "--json"]
    assert run(train) == 0
    scores = json.loads(capsys.readouterr().out)["metrics"]
    assert scores["units"]["failed"] == 8
    assert scores["detector"] in ("autoencoder", "ewma", "cusum")
    assert run(["maintain", "watch", str(path), "--model", str(out), *named, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["channels"], told["time_unit"]) == (["current", "temperature"], "d")
    assert len(told["units"]) == 16


def test_a_fleet_that_is_too_small_is_not_learned(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["maintain", "train", str(table), "--out", str(tmp_path / "out"), "--limit", "current>+10%"]) == 1
    assert "rapport: 3 units, 1 of them failed" in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.safetensors").exists()
