"""Parquet tables, in and out: one row an utterance, as in `csv`, but with types; or one row a conversation.

A table with a column `utterances` (lists of structs) is read as conversations; any other as rows of utterances. Row
groups are read one at a time. Written tables have a row an utterance: probabilities as doubles, tags and causes as
lists of structs, fields we do not know as text (JSON where they are no text).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from dialog.conversation import Conversation, MalformedConversation, Utterance
from dialog.formats.jsonl import dump
from dialog.formats.source import Source, Unreadable
from dialog.formats.table import NO_SPEAKER, NoSuchColumn, TableColumns, distinct, gather, roles_of

_BATCH = 4096
_CAUSES = pa.list_(
    pa.struct(
        {
            "utterance": pa.int64(),
            "start": pa.int64(),
            "end": pa.int64(),
            "span": pa.string(),
            "probability": pa.float64(),
            "emotion": pa.string(),
        }
    )
)
_TAGS = pa.list_(pa.struct({"tag": pa.string(), "probability": pa.float64()}))


def read_parquet(source: Source) -> Iterator[Conversation | Unreadable]:
    """Conversations in order; an Unreadable, with the row's number for a line, for a row that is none."""
    try:
        with pq.ParquetFile(source.binary()) as table:
            names = table.schema_arrow.names
            if "utterances" in names:
                yield from _conversations(table, source.name)
            else:
                yield from _utterances(table, distinct(names), source.name, source.columns)
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError, OverflowError) as error:
        yield Unreadable.at(0, f"not a parquet file, or a damaged one ({str(error).splitlines()[0][:200]})")


def write_parquet(items: Iterable[Conversation | Unreadable], out: BinaryIO) -> None:
    """One row an utterance, with the columns of `csv`. Items are gone through twice."""
    columns = TableColumns.of(items)
    schema = pa.schema([(name, _type_of(name, columns)) for name in columns.header])
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(out, schema) as writer:
        for row in columns.rows(items):
            rows.append({name: _stored(row.get(name), schema.field(name).type) for name in columns.header})
            if len(rows) == _BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
                rows.clear()
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _conversations(table: pq.ParquetFile, name: str) -> Iterator[Conversation | Unreadable]:
    for number, row in enumerate(_rows(table), 1):
        value = _plain({key: cell for key, cell in row.items() if cell is not None})
        try:
            yield Conversation.from_dict(value, default_id=f"{name}-{number}")
        except MalformedConversation as error:
            yield Unreadable.at(number, str(error), dump(value))


def _utterances(
    table: pq.ParquetFile, names: tuple[str, ...], name: str, columns: Mapping[str, str]
) -> Iterator[Conversation | Unreadable]:
    try:
        roles = roles_of(names, columns)
    except NoSuchColumn as error:
        yield Unreadable.at(0, str(error))
        return
    if "text" not in roles:
        found = ", ".join(names)[:200] or "nothing"
        yield Unreadable.at(0, f"no column for the text: expected one called text or message, found {found}")
        return
    raw = table.schema_arrow.names
    column = {role: raw[i] for role, i in roles.items()}
    others = [key for i, key in enumerate(raw) if i not in roles.values()]

    def cell(row: Mapping[str, Any], role: str) -> str:
        value = _plain(row[column[role]]) if role in column else None
        return "" if value is None else value.strip() if isinstance(value, str) else str(value)

    def id_of(row: Mapping[str, Any]) -> str:
        return cell(row, "conversation") or f"{name}-1"

    def rows() -> Iterator[tuple[str, Utterance] | Unreadable]:
        for number, row in enumerate(_rows(table), 1):
            if not isinstance(row[column["text"]], str):
                yield Unreadable.at(number, f"{column['text']}: expected a string, got {row[column['text']]!r}"[:200])
                continue
            yield (
                id_of(row),
                Utterance(
                    speaker=cell(row, "speaker") or "unknown",
                    text=row[column["text"]],
                    emotion=cell(row, "emotion") or None,
                    time=cell(row, "time") or None,
                    extra={key: _plain(row[key]) for key in others},
                ),
            )

    ids = (id_of(row) for row in _rows(table) if isinstance(row[column["text"]], str))
    for item in gather(ids, rows()):
        if isinstance(item, Unreadable):
            yield item
        else:
            notes = () if "speaker" in roles else (NO_SPEAKER,)
            yield item.conversation(notes)


def _rows(table: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for batch in table.iter_batches(batch_size=_BATCH):
        yield from batch.to_pylist()


def _plain(value: Any) -> Any:
    """The value in JSON's types."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None  # not for infinities, nor for what is not a number
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def _type_of(name: str, columns: TableColumns) -> pa.DataType:
    if name == "utterance":
        return pa.int64()
    if name == "voice_probability" and columns.voices:
        return pa.float64()
    if name in ("probability", "valence", "arousal") or name in {f"p_{label}" for label in columns.labels}:
        return pa.float64()
    if name in ("unsure", "care") and columns.labels:
        return pa.bool_()
    return {"causes": _CAUSES, "tags": _TAGS}.get(name, pa.string()) if columns.labels else pa.string()


def _stored(value: Any, type: pa.DataType) -> Any:
    """The value as the column takes it: what we do not know is text, or JSON."""
    if value is None or isinstance(value, str) or type != pa.string():
        return value
    return dump(value)
