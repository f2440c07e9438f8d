"""`rapport database`."""

from pathlib import Path

import pytest

from serve.database.schema import NEWEST
from serve.storage import DATABASE, Storage
from tests.serve.database import released
from ui.commands.main import run


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["database", *arguments])
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_a_database_goes_up_and_down_and_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released.write(tmp_path / DATABASE, 3)
    place = ("--data-dir", str(tmp_path))
    assert said(capsys, "current", *place) == (0, f"3 of {NEWEST}", "")
    assert said(capsys, "upgrade", "5", *place)[2].endswith("was of format 3, and is of format 5")
    assert said(capsys, "upgrade", *place)[0] == 0
    assert said(capsys, "current", *place)[1] == f"{NEWEST} of {NEWEST}"
    assert said(capsys, "downgrade", "7", *place)[2].endswith(f"was of format {NEWEST}, and is of format 7")
    assert said(capsys, "current", *place)[1] == f"7 of {NEWEST}"
    Storage(tmp_path / DATABASE).close()  # as a service that starts
    assert said(capsys, "current", *place)[1] == f"{NEWEST} of {NEWEST}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("current", "--data-dir", "{}/other"), "there is no database"),
        (("upgrade", "2"), "is of format 3: to 2 leads `rapport database downgrade`"),
        (("downgrade", "4"), "is of format 3: to 4 leads `rapport database upgrade`"),
        (("upgrade", "99"), f"there is no format 99: expected 0 to {NEWEST}"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    (tmp_path / "other").mkdir()
    released.write(tmp_path / DATABASE, 3)
    given = [word.format(tmp_path) for word in arguments]
    code, out, err = said(capsys, *given, *([] if "--data-dir" in given else ["--data-dir", str(tmp_path)]))
    assert (code, out) == (1, "")
    assert why in err
    assert "\n" not in err


def test_no_message_tells_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in (
        "postgresql://ann:hush@127.0.0.1:1/rapport",
        "mysql://ann:hush@host/x",
        "postgresql://ann:hush@host",
        "hush",
    ):
        monkeypatch.setenv("RAPPORT_DATABASE", url)
        code, out, err = said(capsys, "current", "--data-dir", str(tmp_path))
        assert (code, out) == (1, "")
        assert "database" in err
        assert "hush" not in err
        assert "\n" not in err
