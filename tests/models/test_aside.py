"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from models.aside import write_aside


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_written_gets_its_name_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    path.write_text("old")
    write_aside(path, lambda aside: Path(aside).write_text("new"))
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == {path.name}


def test_what_goes_wrong_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def half(aside: str) -> None:
        Path(aside).write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_aside(path, half)
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a"}


def test_what_somebody_who_was_killed_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    others = {".a.bak", ".a.aside", ".b.aside-old"}
    for name in {".a.aside-old", ".a.aside-new", *others}:
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, None if name == ".a.aside-new" else (1, 1))
    write_aside(tmp_path / "a", lambda aside: Path(aside).write_text("whole"))
    assert names(tmp_path) == {"a", ".a.aside-new", *others}
