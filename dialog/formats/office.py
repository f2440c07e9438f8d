"""Logs in office documents: the sheets of a workbook as tables, the paragraphs of a Word document as text.

A document is a packing, as a zip is: what lies in it is read as it would be by itself.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import docx
from docx.table import Table
from python_calamine import CalamineWorkbook, SheetTypeEnum

from dialog.formats.source import MAX_LINE, Source, Unreadable

_SOUGHT = 20  # rows at the top in which a title may stand


def unpacked(source: Source) -> Iterator[Source | Unreadable]:
    """What lies in an office document, each piece as a log of its own."""
    try:
        if fault := _too_large(source):
            yield Unreadable.at(0, fault, source=source.name)
        elif source.office == "word":
            yield _log(_words(source), source.name, "txt")
        else:
            yield from _sheets(source)
    except Exception as error:  # three libraries read what strangers send, each with errors of its own
        told = str(error).splitlines()[:1] or [type(error).__name__]
        kind = "Word document" if source.office == "word" else "workbook"
        yield Unreadable.at(0, f"a damaged {kind}, or one with a password ({told[0][:200]})", source=source.name)


def _too_large(source: Source) -> str | None:
    with source.binary() as file:
        if not zipfile.is_zipfile(file):  # the workbooks of before 2007
            return None
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            size = sum(info.file_size for info in archive.infolist() if info.filename.endswith(".xml"))
    return f"larger than {MAX_LINE // 1024**2} MB unpacked; save it as csv or plain text" if size > MAX_LINE else None


def _words(source: Source) -> str:
    """Paragraphs on lines of their own, rows of tables with tabs between the cells."""
    lines: list[str] = []
    for piece in docx.Document(io.BytesIO(source.binary().read())).iter_inner_content():
        if isinstance(piece, Table):
            rows = [[" ".join(cell.text.split()) for cell in row.cells] for row in piece.rows]
            lines.append(_table(rows, "\t"))
        else:
            lines.append(piece.text.replace("\n", "\n "))  # a line inside a paragraph goes on with it
    return "\n".join(lines)


def _sheets(source: Source) -> Iterator[Source]:
    """The sheets with something in them; called after the workbook, and with the second after themselves too."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(source.binary().read()))
    names = [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    filled = [(name, rows) for name in names if (rows := book.get_sheet_by_name(name).to_python())]
    for name, rows in filled:
        called = source.name if len(filled) == 1 else f"{source.name} {name}"
        yield _log(_table(_without_title(rows), ","), called, "csv")


def _without_title(rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The rows from the first with two cells on; all of them where none has."""
    for i, row in enumerate(rows[:_SOUGHT]):
        if sum(cell not in ("", None) for cell in row) > 1:
            return rows[i:]
    return rows


def _table(rows: Sequence[Sequence[Any]], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return "" if value is None else str(value)


def _log(text: str, name: str, ending: str) -> Source:
    return Source(io.BytesIO(text.encode("utf-8", "replace")), name, f"{name}.{ending}")
