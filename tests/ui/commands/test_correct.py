"""`rapport correct` on the command line."""

import io
import json
from pathlib import Path

import pytest

from tests.dialog.correction.tiny import make_corrector
from ui.commands.main import run


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(make_corrector(-1.0).save(tmp_path / "eager"))


def test_a_text_on_the_command_line_is_mended(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["correct", "--model", model, "see", "teh", "😀"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("😀\n")
    assert "teh" not in out


def test_lines_of_stdin_come_out_as_lines(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("teh\r\n\n日本語\n"))
    assert run(["correct", "--model", model, "--json", "--keep", "Teh"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["teh", "", "日本語"]
    assert rows[0]["edits"] == []


def test_completions_are_asked_for(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["correct", "--model", model, "--complete", "2", "see ca"]) == 0
    words = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert len(words) == 2
    assert all(word.startswith("ca") for word in words)


def test_a_model_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["correct", "--model", "correction/none", "teh"]) == 1
    assert "no model 'correction/none'" in capsys.readouterr().err
