import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

import dialog.bench
import dialog.emotion.tagger
import dialog.evaluation.tasks
import dialog.training
import models.catalogue
from dialog.evaluation.recall import TIERS, Task, Tier
from dialog.training.loop import Progress
from dialog.training.recipe import Recipe, Run
from tests.ui.fake import LABELS, FakeTagger
from ui.commands.main import COMMANDS, app, run


@pytest.fixture(autouse=True)
def _fake_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialog.emotion.tagger, "EmotionTagger", FakeTagger)


def log(folder: Path, *texts: str, name: str = "log.jsonl") -> Path:
    path = folder / name
    lines = (json.dumps({"id": f"c{i}", "utterances": [{"speaker": "Ann", "text": t}]}) for i, t in enumerate(texts))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    check = (
        "import sys; from ui.commands.main import run; run(['--help']); run(['annotate', '--help']);"
        "sys.exit(', '.join({'torch', 'ray', 'gradio', 'transformers', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = {name for line in done.stdout.splitlines() if (name := line.strip(" │").partition(" ")[0])}
    assert named >= {command.__name__ for command in COMMANDS}


def commands_of(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, with the words that call it."""
    for name, command in group.commands.items():
        yield (*names, name), command
        if hasattr(command, "commands"):
            yield from commands_of(command, *names, name)


EVERY = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_says_every_default_and_fits_a_terminal_of_80_columns(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert run([*words, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(word for line in lines for word in line.strip(" │").split())
    helps = [getattr(parameter, "help", None) or "" for parameter in EVERY[words].params]
    assert told.count("[default: ") >= sum("[default: " in text for text in helps)
    usage = next(line for line in lines if "Usage:" in line)
    assert "...]..." not in usage
    assert "[[" not in usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["annotate"],
        ["annotate", "x.txt"],
        ["--nonsense"],
        ["serve", "--port", "abc"],
        ["evaluate", "emotion"],
    ],
)
def test_wrong_usage_is_1_and_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error" in err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rapport 0.")


# annotate


def test_a_log_is_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert run(["annotate", str(log(tmp_path, "great", "I hate it")), "-o", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["utterances"][0]["prediction"]["emotion"] for line in lines] == ["joy", "anger"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "labelled 2 conversations (2 messages" in captured.err


@pytest.mark.parametrize(("name", "opening"), [("o.csv", "conversation,"), ("o.html", "<!doctype"), ("o.any", "{")])
def test_the_output_is_in_the_format_its_name_says(name: str, opening: str, tmp_path: Path) -> None:
    assert run(["annotate", str(log(tmp_path, "great")), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text("utf-8-sig").lower().startswith(opening)


def test_stdin_and_stdout_may_be_used(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Ann: great\nBo: I hate it\n")))
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", stdout)
    assert run(["annotate", "-", "-o", "-"]) == 0
    stdout.seek(0)
    line = json.loads(stdout.read())
    assert [u["prediction"]["emotion"] for u in line["utterances"]] == ["joy", "anger"]


def test_an_item_that_fails_is_2_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    source = log(tmp_path, "great", "poison")
    source.write_text(source.read_text("utf-8") + "{broken\n", encoding="utf-8")
    assert run(["annotate", str(source), "-o", str(out)]) == 2
    assert len(out.read_text("utf-8").splitlines()) == 3
    err = capsys.readouterr().err
    assert "c1" in err
    assert "poison" in err
    assert "line 3" in err
    assert "2 failed" in err


@pytest.mark.parametrize("more", [["--input-format", "nonsense"], ["--to", "nonsense"], ["--model", "nonsense"]])
def test_an_unknown_choice_is_1_and_names_the_others(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["annotate", str(log(tmp_path, "great")), "-o", str(tmp_path / "out"), *more]) == 1
    err = capsys.readouterr().err
    assert "nonsense" in err
    assert "expected" in err


def test_a_missing_file_is_1_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate", str(tmp_path / "none.txt"), "-o", str(tmp_path / "out")]) == 1
    assert "none.txt: No such file" in capsys.readouterr().err


def test_ctrl_c_is_130_and_the_run_goes_on_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = log(tmp_path, "great", "stop"), tmp_path / "out.jsonl"
    assert run(["annotate", str(source), "-o", str(out)]) == 130
    assert "--resume" in capsys.readouterr().err
    assert not out.exists()
    log(tmp_path, "great", "go on")
    assert run(["annotate", str(source), "-o", str(out), "--resume"]) == 0
    assert len(out.read_text("utf-8").splitlines()) == 2


def test_the_summary_can_be_read_by_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert run(["annotate", str(log(tmp_path, "great", "poison")), "-o", str(out), "--json"]) == 2
    summary = json.loads(capsys.readouterr().out)
    assert (summary["done"], summary["failed"], summary["exit_code"]) == (1, 1, 2)
    assert summary["failures"][0]["id"] == "c1"
    assert run(["annotate", str(out), "-o", "-", "--json"]) == 1


# chat


def test_a_chat_answers_every_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Ann: great\n\nsee https://example.org\nBo: I hate it\n"))
    assert run(["chat", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(x["speaker"], x["text"]) for x in lines] == [
        ("Ann", "great"),
        ("Ann", "see https://example.org"),
        ("Bo", "I hate it"),
    ]
    assert [x["prediction"]["emotion"] for x in lines] == ["joy", "neutral", "anger"]
    assert [x["prediction"]["probability"] for x in lines] == [0.78, 0.93, 0.93], "the state goes from line to line"
    assert {x["mode"] for x in lines} == {"live"}


def test_a_chat_is_shown_in_words_and_symbols(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Ann: great [bold]news[/bold] \x1b[31m\nhm\n你好吗，我很难过\n"))
    assert run(["chat"]) == 0
    out = capsys.readouterr().out
    assert "Ann: great [bold]news[/bold]" in out
    assert "\x1b" not in out
    assert "😊 joy" in out
    assert "78 %" in out
    assert out.count("not in English") == 1


# evaluate, train, models, bench


def test_evaluate_prints_its_metrics_beside_the_baselines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def measure(data: list[Path], model: str = "emotion/ekman", **options: Any) -> dict[str, Any]:
        asked.clear()
        asked.update(data=data, model=model, **options)
        options["progress"](1, 2)
        return {
            "task": "emotion",
            "model": model,
            "data": data,
            "n": 2,
            "metrics": {"weighted_f1": 64.25, "weighted_f1_95": [62.1, 66.2]},
            "baselines": {"majority": {"label": "neutral", "weighted_f1": 31.3}},
        }

    monkeypatch.setitem(dialog.evaluation.tasks.TASKS, "emotion", measure)
    assert run(["evaluate", "emotion", "--data", "a.jsonl", "--data", "b.jsonl", "--no-live"]) == 0
    assert asked["data"] == [Path("a.jsonl"), Path("b.jsonl")]
    assert asked["live"] is False
    out = capsys.readouterr().out
    assert "64.25" in out
    assert "majority 31.3" in out
    assert run(["evaluate", "emotion", "--data", "a.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["weighted_f1"] == 64.25
    assert set(asked) == {"data", "model", "progress"}, "what was not said is left to the task"


def test_recall_is_measured_without_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(T=16, N=2, V=32)
    monkeypatch.setitem(TIERS, "rank", Tier(train=(task,), test=(task,), steps=2, batch=8, n_test=16, every=2))
    assert run(["evaluate", "recall", "--model", "aaren", "--tier", "rank", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["task"], answer["model"], answer["tier"]) == ("recall", "aaren", "rank")
    assert answer["metrics"]["state_bytes"] == 4 * answer["metrics"]["state_floats"] > 0
    assert set(answer["baselines"]) == {"any_value_of_the_example", "any_value", "softmax"}
    assert answer["metrics"]["steps"] == answer["baselines"]["softmax"]["steps"] == 2
    assert run(["evaluate", "recall", "--tier", "rank", "--steps", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["steps"] == 1
    assert run(["evaluate", "recall", "--tier", "rank"]) == 0
    assert "any_value_of_the_example 50" in capsys.readouterr().out
    for wrong, words in {
        ("recall", "--model", "nonesuch"): "no mixer 'nonesuch'",
        ("recall", "--tier", "huge"): "no tier 'huge'",
        ("recall", "--data", "a.jsonl"): "reads no files",
        ("recall", "--no-live"): "recall takes no --live",
        ("recall", "--strays"): "recall takes no --strays",
        ("emotion", "--data", "a.jsonl", "--tier", "rank"): "emotion takes no --tier",
    }.items():
        assert run(["evaluate", *wrong]) == 1
        assert words in capsys.readouterr().err


def test_train_hands_everything_on_and_can_be_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def train(run: Run) -> dict[str, Any]:
        assert run.report is not None
        asked.append((run.data, run.out, run.seed, run.start, run.teachers, run.device))
        run.report(Progress(1, 2, 0.5))
        if run.seed == 13:
            raise KeyboardInterrupt
        return {"weighted_f1": 60.0}

    recipe = Recipe(summary="A test", train=train, takes_teachers=True)
    monkeypatch.setitem(dialog.training.RECIPES, "emotion/test", recipe)
    common = ["train", "emotion/test", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    more = ["--seed", "7", "--device", "cpu", "--teacher", "a", "--teacher", "b"]
    assert run([*common, *more, "--start", "old", "--json"]) == 0
    assert asked == [(tmp_path, tmp_path / "out", 7, Path("old"), (Path("a"), Path("b")), "cpu")]
    assert json.loads(capsys.readouterr().out)["metrics"] == {"weighted_f1": 60.0}
    assert run([*common, "--seed", "13"]) == 130
    assert "goes on here" in capsys.readouterr().err
    assert run(["train", "--list"]) == 0
    assert "A test" in capsys.readouterr().out
    assert run(["train", "emotion/test"]) == 1
    assert run(["train", "nonsense", "--data", str(tmp_path), "--out", "x"]) == 1
    assert run(["train", "emotion/test", "--data", str(tmp_path / "none"), "--out", "x"]) == 1


def test_a_recipe_takes_no_data_and_no_start_where_it_has_no_use_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train(run: Run) -> dict[str, Any]:
        return {"n = 5": {"accuracy": 90.0}}

    recipe = Recipe(summary="A test", train=train, takes_start=False, reads_data=False)
    monkeypatch.setitem(dialog.training.RECIPES, "pointer/test", recipe)
    assert run(["train", "pointer/test", "--out", str(tmp_path / "out")]) == 0
    assert run(["train", "pointer/test", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert run(["train", "pointer/test", "--out", str(tmp_path / "out"), "--start", str(tmp_path)]) == 1
    assert run(["train", "pointer/test"]) == 1


def test_models_lists_what_is_shipped_and_prints_a_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = models.catalogue.Card(
        name="emotion/ekman",
        task="emotion",
        labels=LABELS,
        summary="Seven emotions.",
        scores={"weighted_f1": 64.2},
        path=Path("x"),
        text="# emotion/ekman\n\nSeven emotions.",
    )
    monkeypatch.setattr(models.catalogue, "shipped", lambda: [card])
    assert run(["models"]) == 0
    out = capsys.readouterr().out
    assert "Seven emotions." in out
    assert "weighted_f1 64.2" in out
    assert run(["models", "emotion/ekman"]) == 0
    assert capsys.readouterr().out == "# emotion/ekman\n\nSeven emotions.\n"
    assert run(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["scores"] == {"weighted_f1": 64.2}
    assert run(["models", "emotion/none"]) == 1
    assert "expected emotion/ekman" in capsys.readouterr().err
    damaged = replace(card, fault="model.safetensors is cut off")
    monkeypatch.setattr(models.catalogue, "shipped", lambda: [damaged])
    assert run(["models"]) == 2
    assert capsys.readouterr().err == "rapport: emotion/ekman cannot be loaded: model.safetensors is cut off\n"


def test_bench_prints_a_table_or_an_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = {"suite": "test", "device": "cpu", "threads": 1, "rows": [{"name": "ours", "ms": 12345.0, "ratio": 0.5}]}
    monkeypatch.setitem(dialog.bench.SUITES, "test", lambda: result)
    assert run(["bench", "--list"]) == 0
    assert "test" in capsys.readouterr().out.split()
    assert run(["bench", "test"]) == 0
    out = capsys.readouterr().out
    assert "12,345" in out
    assert "ratio" in out
    assert run(["bench", "test", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {name: said[name] for name in result} == result
    assert (said["command"], len(said["date"])) == ("rapport bench test --json", len("2026-11-28"))
    assert run(["bench"]) == 1
    assert run(["bench", "nonsense"]) == 1
    assert run(["bench", "test", "--model", "emotion/meld"]) == 1
    monkeypatch.setitem(dialog.bench.SUITES, "annotate", lambda **options: result | {"options": options})
    capsys.readouterr()
    assert run(["bench", "annotate", "--model", "emotion/meld", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["options"] == {"model": "emotion/meld"}
    assert said["command"] == "rapport bench annotate --model emotion/meld --json"
    assert run(["bench", "annotate", "--recall", "smoke"]) == 1
    assert "annotate takes no --recall" in capsys.readouterr().err


def test_bench_hands_on_which_mixers_lengths_and_ops_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--mixer", "gla", "--mixer", "gru", "--length", "8", "--length", "16", "--repeats", "1"]
    assert run(["bench", "mixers", *wanted, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["mixer"], row["T"]) for row in rows] == [("gla", 8), ("gla", 16), ("gru", 8), ("gru", 16)]
    assert run(["bench", "kernels", "--only", "linear scan", "--repeats", "1", "--json"]) == 0
    assert {row["name"].split(",")[0] for row in json.loads(capsys.readouterr().out)["rows"]} == {"linear scan"}
    assert run(["bench", "mixers", "--recall", "huge"]) == 1
    assert "no tier huge" in capsys.readouterr().err


def test_a_fault_of_ours_can_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("no")

    monkeypatch.setitem(dialog.bench.SUITES, "test", broken)
    assert run(["bench", "test"]) == 1
    monkeypatch.setenv("RAPPORT_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no"):
        run(["bench", "test"])
