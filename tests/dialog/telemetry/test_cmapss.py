"""C-MAPSS as published, plain or gzipped, with a line of names or without."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from dialog.telemetry.cmapss import SETS, read_cmapss


def row(unit: int, cycle: int) -> str:
    return f"{unit} {cycle} " + " ".join(str(unit + 0.5 * i) for i in range(24)) + "  "


def write(folder: Path, name: str, *, zipped: bool = False, header: str = "") -> None:
    files = {
        f"train_{name}.txt": [row(1, 1), row(1, 2), row(1, 3), row(2, 1), row(2, 2)],
        f"test_{name}.txt": [row(1, 1), row(2, 1), row(2, 2)],
        f"RUL_{name}.txt": ["112  ", "98  "],
    }
    for file, lines in files.items():
        text = "\n".join(([header] if header else []) + lines) + "\n"
        if zipped:
            (folder / f"{file}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / file).write_text(text)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("zipped", "header"), [(False, ""), (True, "unit_number time s1")])
def test_every_set_is_read(tmp_path: Path, name: str, zipped: bool, header: str) -> None:
    write(tmp_path, name, zipped=zipped, header=header)
    engines = read_cmapss(tmp_path, name)
    assert [len(s) for s in engines.train] == [3, 2]
    assert [s.failure for s in engines.train] == [3.0, 2.0]
    assert [s.failure for s in engines.test] == [None, None]
    assert engines.remaining.tolist() == [112.0, 98.0]
    np.testing.assert_allclose(engines.train.series[1].values[0], 2 + 0.5 * np.arange(24))
    assert engines.train.series[0].remaining().tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("train_FD001.txt", "1 1 2 3\n", "4 columns, expected 26"),
        ("test_FD001.txt", "1 1 x\n", "line 1: expected numbers"),
        ("test_FD001.txt", "", "no rows"),
        ("RUL_FD001.txt", "112\n", "tells of 1 engines, but 2"),
    ],
)
def test_a_file_that_reads_otherwise_is_refused_by_line(tmp_path: Path, file: str, text: str, match: str) -> None:
    write(tmp_path, "FD001")
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=match):
        read_cmapss(tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither train_FD002.txt nor train_FD002.txt.gz"):
        read_cmapss(tmp_path, "FD002")
    with pytest.raises(ValueError, match="FD001, FD002, FD003, FD004"):
        read_cmapss(tmp_path, "FD009")
