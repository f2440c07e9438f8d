"""NASA's C-MAPSS turbofan engines (Saxena, Goebel, Simon and Eklund 2008): FD001 to FD004 as published."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialog.telemetry.series import Fleet, Floats, Series

SETS = ("FD001", "FD002", "FD003", "FD004")
N_COLUMNS = 26
CHANNELS = ("setting1", "setting2", "setting3", *(f"s{i}" for i in range(1, 22)))
"""Three operational settings and 21 sensors, as the columns stand."""


@dataclass(frozen=True, slots=True, eq=False)
class Engines:
    """One set. `train` runs to failure; `test` stops earlier, and an engine of it has `remaining` cycles left then."""

    train: Fleet
    test: Fleet
    remaining: Floats  # (engines of test,) cycles


def read_cmapss(folder: Path | str, name: str = "FD001") -> Engines:
    """A set out of the folder with train_NAME.txt, test_NAME.txt and RUL_NAME.txt, each as it is or gzipped.

    A cycle is a unit of time. An engine's last cycle of `train` is the one at which it fails. A file may begin with a
    line of names. Raises ValueError for a set there is none of, a file that is missing or that reads otherwise.
    """
    if name not in SETS:
        raise ValueError(f"there is no C-MAPSS set {name!r}; there are {', '.join(SETS)}")
    folder = Path(folder)
    train = _fleet(_numbers(folder, f"train_{name}.txt", N_COLUMNS), f"{name} train", failed=True)
    test = _fleet(_numbers(folder, f"test_{name}.txt", N_COLUMNS), f"{name} test", failed=False)
    remaining = _numbers(folder, f"RUL_{name}.txt", 1)[:, 0]
    if len(remaining) != len(test):
        raise ValueError(f"{folder}/RUL_{name}.txt tells of {len(remaining)} engines, but {len(test)} are tested")
    return Engines(train, test, remaining)


def _numbers(folder: Path, name: str, n_columns: int) -> Floats:
    path = next((folder / n for n in (name, f"{name}.gz") if (folder / n).is_file()), None)
    if path is None:
        raise ValueError(f"{folder} holds neither {name} nor {name}.gz")
    try:
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("ascii")
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    rows = []
    for at, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or (at == 1 and words[0][0].isalpha()):
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise ValueError(f"{path}, line {at}: expected numbers: {error}") from error
        if len(words) != n_columns:
            raise ValueError(f"{path}, line {at}: {len(words)} columns, expected {n_columns}")
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return np.array(rows)


def _fleet(rows: Floats, lot: str, *, failed: bool) -> Fleet:
    engines = []
    for number in np.unique(rows[:, 0]):
        own = rows[rows[:, 0] == number]
        own = own[own[:, 1].argsort(kind="stable")]
        name = f"{lot.partition(' ')[2]}-{int(number)}"
        engines.append(Series(name, own[:, 1], own[:, 2:], float(own[-1, 1]) if failed else None))
    return Fleet(CHANNELS, tuple(engines), "cycle")
