"""The rows of a csv or parquet file, one after the other, with the names of its columns."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dialog.formats.source import Source
from dialog.telemetry.layout import UnreadableTable

Row = Sequence[Any]
_BLOCK = 8192
_DELIMITERS = ",;\t|"


def rows_of(source: Source) -> tuple[tuple[str, ...], Iterator[Row], bool]:
    """Names, rows, and whether numbers may be written `3,14`. Raises UnreadableTable, while rows are read too."""
    if source.fault:
        raise UnreadableTable(source.fault)
    return _parquet(source) if source.head(4) == b"PAR1" else _csv(source)


def more_rows(text: str, delimiter: str = ",") -> list[Row]:
    """The rows of a piece of a csv file without a header: what was appended to one."""
    return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]


def _csv(source: Source) -> tuple[tuple[str, ...], Iterator[Row], bool]:
    """Names, rows, and whether numbers are written `3,14`."""
    sample = [line.text for line in islice(source.lines(), 50) if line.text.strip()]
    if not sample:
        raise UnreadableTable("an empty table; expected a header and rows")
    if sample[0].lower().startswith("sep=") and len(sample[0]) == 5:
        delimiter, skip = sample[0][4], 1
    else:
        delimiter, skip = _after_title(sample)

    def lines() -> Iterator[str]:
        for line in source.lines():
            if line.fault:
                raise UnreadableTable(f"line {line.number}: {line.fault}")
            yield line.text.replace("\0", "") + "\n"

    def rows() -> Iterator[list[str]]:
        reader = csv.reader(lines(), delimiter=delimiter)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise UnreadableTable(f"line {reader.line_num}: {error}") from None
            if any(row) and any(cell.strip() for cell in row):
                yield row

    every = rows()
    for _ in range(skip):
        next(every)
    header = next(every, [])
    while header and not header[-1].strip():
        header = header[:-1]  # a delimiter at the end of every line
    names = _distinct(header)
    width = len(names)
    trimmed = (row[:width] if len(row) > width and not any(c.strip() for c in row[width:]) else row for row in every)
    return names, trimmed, delimiter != ","


def _after_title(lines: Sequence[str]) -> tuple[str, int]:
    """What stands between the cells of the header, and how many rows stand above it: a title fills one cell of its."""
    above = 0
    for line in lines:
        delimiter = delimiter_of(line)
        filled = sum(bool(cell.strip()) for cell in next(csv.reader([line], delimiter=delimiter), []))
        if filled > 1:
            return delimiter, above
        above += filled
    return delimiter_of(lines[0]), 0


def delimiter_of(header: str) -> str:
    """What stands between the cells of a header line."""
    return max(_DELIMITERS, key=lambda d: len(next(csv.reader([header], delimiter=d), [])))


def _parquet(source: Source) -> tuple[tuple[str, ...], Iterator[Row], bool]:
    try:
        file = pq.ParquetFile(source.binary())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableTable(f"not a parquet file, or a damaged one ({str(error).splitlines()[0][:200]})") from None

    def rows() -> Iterator[Row]:
        try:
            for batch in file.iter_batches(batch_size=_BLOCK):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnreadableTable(f"a damaged parquet file ({str(error).splitlines()[0][:200]})") from None

    return _distinct(file.schema_arrow.names), rows(), False


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for i, name in enumerate((str(n).strip() for n in names), 1):
        found[name if name and name not in found else f"{name or 'column'} {i}"] = None
    return tuple(found) if len(found) == len(names) else tuple(f"column {i}" for i in range(1, len(names) + 1))
