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
        (str(tmp_path), "has no picture"),
        (str(tmp_path / "none.jpg"), "none.jpg"),
    ):
        assert run(["ask", image, "what?", "--engine", "visual/none"]) == 1
        assert told in capsys.readouterr().err


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder of the folder, one that is none, and a note."""
    folder = tmp_path / "album"
    (folder / "later").mkdir(parents=True)
    picture(1).save(folder / "a.png")
    (folder / "b.JPG").write_bytes(b"no picture")
    picture(2).save(folder / "later" / "c [red].bmp")
    (folder / "note.txt").write_text("hello")
    return folder


def test_a_folder_is_asked_the_same_and_a_bad_file_spoils_no_other(
    model: Path, album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(album), "what is it?", "is it red?", "--engine", str(model), "--json"]) == 2
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [Path(line["picture"]).name for line in lines] == ["a.png", "a.png", "b.JPG", "c [red].bmp", "c [red].bmp"]
    assert [line.get("question") for line in lines if "error" not in line] == ["what is it?", "is it red?"] * 2
    assert "no picture we can read" in lines[2]["error"]
    assert "b.JPG" in err
    assert "3 pictures, 1 failed" in err


def test_several_pictures_come_out_as_a_table(model: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [str(album / "a.png"), str(album / "later" / "c [red].bmp")]
    assert run(["ask", *good, "is it red?", "--engine", str(model)]) == 0
    out, err = capsys.readouterr()
    assert "c [red].bmp" in out
    assert "is it red?" in out
    assert err == ""
    assert run(["ask", str(album / "none.jpg"), str(album / "b.JPG"), "is it red?", "--engine", str(model)]) == 1
    assert "No such file" in capsys.readouterr().err


def test_several_pictures_answer_as_each_alone(model: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["is it red?", "--engine", str(model), "--json"]
    assert run(["ask", str(album / "a.png"), str(album / "later"), *asked]) == 0
    together = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in together:
        assert run(["ask", line["picture"], *asked]) == 0
        assert json.loads(capsys.readouterr().out)["answers"] == line["answers"]


def test_several_pictures_without_questions_or_a_question_too_long(
    model: Path, album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ask", str(album), "--engine", str(model)]) == 1
    assert "expected them as arguments" in capsys.readouterr().err
    assert run(["ask", str(album / "later"), "why " * 400, "--engine", str(model), "--json"]) == 1
    assert "at most 1000" in json.loads(capsys.readouterr().out)["error"]
