"""`rapport ask`: questions as arguments and typed, as text and as JSON, on a real (random) model."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.dialog.tiny_visual import make_visual, picture
from ui.commands.main import run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_visual(tmp_path_factory.mktemp("visual"), familiar=True)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture(1000).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_questions_as_arguments_are_rounds(model: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", str(photo), "what is it?", "is it red?", "--engine", str(model), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    assert [line["question"] for line in lines] == ["what is it?", "is it red?"]
    assert len(lines[0]["answers"]) == 5
    assert len(lines[0]["regions"]) == len(lines[0]["boxes"])
    assert len(lines[1]["rounds"]) == 1
    assert lines[0]["model_version"].startswith("model@")


def test_questions_may_be_typed_and_answers_are_drawn(
    model: Path, photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("what is it?\n\nis it red?\n"))
    assert run(["ask", str(photo), "--engine", str(model)]) == 0
    out = capsys.readouterr().out
    assert out.count("? ") >= 2
    assert " %" in out


def test_a_question_too_long_is_2_and_the_others_are_answered(
    model: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(photo), "why " * 400, "what?", "--engine", str(model), "--json"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "at most 1000" in err


def test_an_empty_argument_is_a_mistake(model: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", str(photo), " ", "is it red?", "--engine", str(model), "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["question"] == "is it red?"
    assert "empty" in told.err


def test_a_strange_picture_is_warned_of(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64), (255, 0, 255)).save(tmp_path / "flat.png")
    assert run(["ask", str(tmp_path / "flat.png"), "what?", "--engine", str(model)]) == 0
    out, err = capsys.readouterr()
    assert "do not trust" in err
    assert "I do not know" in out


def test_what_is_no_picture_or_no_engine_is_1(model: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = photo.with_suffix(".txt")
    text.write_text("hello")
    assert run(["ask", str(text), "what?", "--engine", str(model)]) == 1
    assert run(["ask", str(photo), "what?", "--engine", "visual/none"]) == 1
    assert "visual/none" in capsys.readouterr().err


def test_a_picture_may_come_from_stdin(
    model: Path, photo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for questions in (["what is it?"], []):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
        assert run(["ask", "-", *questions, "--engine", str(model), "--json"]) == (0 if questions else 1)
    told = capsys.readouterr()
    assert json.loads(told.out)["question"] == "what is it?"
    assert "expected them as arguments" in told.err


def test_addresses_folders_and_what_is_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for image, told in (
        ("https://example.org/dog.jpg", "nothing is fetched"),
        (str(tmp_path), "got the folder"),
        (str(tmp_path / "none.jpg"), "none.jpg"),
    ):
        assert run(["ask", image, "what?", "--engine", "visual/none"]) == 1
        assert told in capsys.readouterr().err
