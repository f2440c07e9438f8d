"""A csv file that grows, read as it does."""

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from dialog.formats.source import Source
from dialog.telemetry.layout import UnreadableTable
from dialog.telemetry.rows import delimiter_of, more_rows
from dialog.telemetry.tables import Reading, gather, read_fleet

_PIECE = 4 * 1024**2


def follow(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    channels: Sequence[str] | None = None,
    shape: str | None = None,
    time_unit: str | None = None,
    every: float = 2.0,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[Reading]:
    """What stands in the file, then what is appended, each time whole lines came; it ends by being closed.

    A file that shrank was begun anew and is read from its start. Raises UnreadableTable for a file that is no plain
    UTF-8 csv, or has a column an instant, to which rows cannot be added.
    """
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            raise UnreadableTable(
                f"{path}: parquet is written as a whole and never appended to, so it cannot be followed; follow a csv, "
                "or watch it again without --follow when it is written anew"
            )
    began: dict[str, datetime] = {}
    layout, delimiter, at, n_rows = None, ",", 0, 0
    while True:
        try:
            size = path.stat().st_size
            if size < at:
                layout, at, n_rows = None, 0, 0
            piece = _whole_lines(path, at, None if layout is None else _PIECE) if size > at else b""
        except OSError:
            if layout is None:
                raise
            piece = b""  # being replaced: at the next look
        if not piece:
            if layout is None and at == 0 and n_rows == 0 and not began:
                raise UnreadableTable(f"{path}: no whole line in it yet; expected a header and rows")
            wait(every)
            continue
        if layout is None:
            if piece.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\xff\xfe", b"\xfe\xff")):
                raise UnreadableTable(f"{path}: only a plain UTF-8 csv can be followed")
            reading = read_fleet(
                Source(io.BytesIO(piece), path.stem, path.name),
                columns=columns,
                channels=channels,
                shape=shape,
                time_unit=time_unit,
            )
            layout = reading.layout
            if layout.shape == "times":
                raise UnreadableTable(f"{path}: a table with a column an instant grows sideways and cannot be followed")
            delimiter = delimiter_of(piece.split(b"\n", 1)[0].decode("utf-8-sig", "replace"))
        else:
            rows = more_rows(piece.decode("utf-8", "replace"), delimiter)
            reading = gather(layout, rows, channels, began, n_rows)
        at += len(piece)
        n_rows += reading.rows
        began |= reading.began
        yield reading


def _whole_lines(path: Path, at: int, most: int | None) -> bytes:
    """From there to the end of the last whole line within `most` bytes."""
    with path.open("rb") as file:
        file.seek(at)
        piece = file.read(-1 if most is None else most)
    return piece[: piece.rfind(b"\n") + 1]
