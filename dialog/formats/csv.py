"""csv, tsv and their cousins. One row an utterance; a conversation column tells them apart (`table`)."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.jsonl import dump
from dialog.formats.source import Line, Source, Unreadable
from dialog.formats.stamp import find_stamp
from dialog.formats.table import NO_SPEAKER, NoSuchColumn, TableColumns, distinct, gather, roles_of

_DELIMITERS = ",;\t|"
_LONGEST_HEADER = 5
_DATED = 3  # cells before the words of a row without a header: a date, a time, a name
_LONGEST_RECORD = 5000  # lines; a quote nobody closed must not swallow the file
_ESCAPED = re.compile(r'\\"[^,;\t|]')  # a quote escaped by a backslash; before a delimiter it would close the cell
_DAY = re.compile(r"(?:message)?[ _-]?(?:date|day)|datum|fecha|data|日期", re.IGNORECASE)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?")
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Record(NamedTuple):
    """One row: the line it starts on, its cells, and why they are not to be used, if so."""

    line: int
    cells: list[str]
    fault: str | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a table is written and which column means what (None: not there)."""

    dialect: Mapping[str, Any]
    names: tuple[str, ...]
    roles: Mapping[str, int]
    skip: int
    """Lines before the first row."""

    @property
    def others(self) -> list[tuple[int, str]]:
        """Columns we do not know; they survive as `extra`."""
        known = set(self.roles.values())
        return [(i, name) for i, name in enumerate(self.names) if i not in known]

    @property
    def day(self) -> int | None:
        """The column of the date, where it is another than that of the time."""
        return next((i for i, name in self.others if _DAY.fullmatch(name.strip())), None)


def read_csv(source: Source) -> Iterator[Conversation | Unreadable]:
    """Conversations in the order of their first rows; an Unreadable for a row that does not fit, and only for that."""
    layout = find_layout(source)
    if isinstance(layout, Unreadable):
        yield layout
        return
    joined: set[str] = set()

    def rows() -> Iterator[tuple[str, Utterance] | Unreadable]:
        for record in _records(source, layout):
            if record.fault:
                yield Unreadable.at(record.line, record.fault, record.text)
                continue
            cells, was_joined = _fit(record.cells, layout)
            id = _conversation_of(record, layout, source.name)
            if was_joined:
                joined.add(id)
            yield id, _utterance(cells, layout)

    ids = (_conversation_of(r, layout, source.name) for r in _records(source, layout) if not r.fault)
    for item in gather(ids, rows()):
        if isinstance(item, Unreadable):
            yield item
            continue
        notes = source.take_warnings()
        if "speaker" not in layout.roles:
            notes += (NO_SPEAKER,)
        if item.id in joined:
            notes += ("some rows had more cells than the header; the rest was taken as part of the text",)
        yield item.conversation(notes)


def write_csv(items: Iterable[Conversation | Unreadable], out: BinaryIO, *, guard: bool = True) -> None:
    """One row an utterance. A conversation with none, or with an error, has a row that says so.

    guard puts a `'` before a cell that a spreadsheet would run as a formula (it begins with = + - @, a tab or a line
    end). Items are gone through twice.
    """
    columns = TableColumns.of(items)
    sink = _Sink()
    writer = csv.writer(sink)
    protect = _guard if guard else str
    writer.writerow([protect(name) for name in columns.header])
    for row in columns.rows(items):
        writer.writerow([protect(_cell(row.get(name))) for name in columns.header])
        out.write(sink.take())
    out.write(sink.take())


def find_layout(source: Source) -> Layout | Unreadable:
    """Delimiter, quoting and columns by the header line; an Unreadable that says what is missing."""
    sample: list[Line] = []
    declared = None
    for line in source.lines():
        if line.fault:
            return Unreadable.at(line.number, line.fault)
        if not sample and not line.text.strip():
            continue
        if not sample and line.text.lower().startswith("sep=") and len(line.text) == 5:
            declared = line.text[4]  # Excel's own way to say it
            continue
        sample.append(line)
        if len(sample) == 50:
            break
    if not sample:
        return Unreadable.at(0, "no header line")
    backslash = any(_ESCAPED.search(line.text) for line in sample) and not any('""' in line.text for line in sample)
    quoting: dict[str, Any] = {"escapechar": "\\", "doublequote": False} if backslash else {}
    best: Layout | None = None
    missing: tuple[int, Unreadable] | None = None
    for delimiter in declared or _DELIMITERS:
        dialect = {"delimiter": delimiter, **quoting}
        names, used = _header(sample, dialect)
        skip = sample[used - 1].number
        try:
            roles = roles_of(names, source.columns)
        except NoSuchColumn as error:
            if missing is None or len(names) > missing[0]:
                missing = len(names), Unreadable.at(sample[0].number, str(error), sample[0].text)
            continue
        layout = Layout(dialect=dialect, names=distinct(names), roles=roles, skip=skip)
        if best is None or (len(layout.roles), len(names)) > (len(best.roles), len(best.names)):
            best = layout
    if (best is None or "text" not in best.roles) and not source.columns:
        best = _without_header(sample) or best
    if best is None:
        return missing[1] if missing else Unreadable.at(0, "no header line")
    if "text" not in best.roles:
        found = ", ".join(n for n in best.names if n)[:200] or "nothing"
        return Unreadable.at(
            sample[0].number,
            f"no column for the text: expected one called text or message, found {found}",
            sample[0].text,
        )
    return best


def _without_header(sample: Sequence[Line]) -> Layout | None:
    """How a table without a header is written whose rows are a date, a time, a name, perhaps a number, and the words,
    as Viber's are; None for another one."""
    rows = [_split(line.text, {"delimiter": ","}) for line in sample if not line.fault]
    whole = [row for row in rows if len(row) > _DATED and _is_date(row[0]) and _CLOCK.fullmatch(row[1].strip())]
    if 2 * len(whole) <= len(rows) or len({len(row) for row in whole}) > 1:
        return None
    names = ("date", "time", "name", *(f"column {i + 1}" for i in range(_DATED, len(whole[0]) - 1)), "text")
    return Layout(dialect={"delimiter": ","}, names=names, roles=roles_of(names), skip=0)


def _is_date(cell: str) -> bool:
    found = find_stamp(f"[{cell.strip()}] ")
    return found is not None and found.stamp.numbers is not None and found.stamp.hour is None


def _header(sample: Sequence[Line], dialect: Mapping[str, Any]) -> tuple[list[str], int]:
    """The names of the columns, and on how many lines they stand; a name may have line ends in quotes."""
    reader = csv.reader((line.text + line.end for line in sample[:_LONGEST_HEADER]), strict=True, **dialect)
    try:
        return next(reader, []), reader.line_num
    except csv.Error:
        return _split(sample[0].text, dialect), 1


def _records(source: Source, layout: Layout) -> Iterator[Record]:
    """Rows, with quoted line ends inside cells. A row that cannot be is given up alone: reading goes on a line on."""
    feed = _Feed(source, layout.skip)
    reader = csv.reader(feed, strict=True, **layout.dialect)
    csv.field_size_limit(2**31 - 1)
    width = len(layout.names)
    while True:
        feed.taken.clear()
        try:
            cells, fault = next(reader), None
        except StopIteration:
            return
        except csv.Error as error:
            cells, fault = [], str(error)
        taken = feed.taken
        if not taken:
            return
        first = taken[0]
        if first.fault:
            feed.give_back(1)
            yield Record(first.number, [], first.fault)
            continue
        if fault or (len(taken) > 1 and len(cells) != width):
            # Either a quote is not closed or it is no quoting at all: this line on its own, the others once more.
            feed.give_back(1)
            cells = _split(first.text, layout.dialect)
            if len(cells) != width:
                yield Record(
                    first.number, [], f"quotes that do not match ({fault or 'the row is too long'})", first.text
                )
                continue
        if not any(cell.strip() for cell in cells):
            continue
        at = layout.roles["text"]
        if len(cells) <= at or (len(cells) > width and at != width - 1):
            yield Record(first.number, [], f"{len(cells)} cells, expected {width}", first.text)
        else:
            yield Record(first.number, cells)


class _Feed:
    """The lines of a table for csv.reader; remembers what a row took, and takes it back."""

    def __init__(self, source: Source, skip: int) -> None:
        self._lines = source.lines()
        self._skip = skip
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _LONGEST_RECORD or any(line.fault for line in self.taken[-1:]):
            raise StopIteration
        line = self._again.popleft() if self._again else next(self._lines)
        while line.number <= self._skip and not line.fault:
            line = next(self._lines)
        self.taken.append(line)
        return "" if line.fault else line.text + line.end

    def give_back(self, keep: int) -> None:
        """All but the first `keep` lines of this row are to come again."""
        self._again.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]


def _split(text: str, dialect: Mapping[str, Any]) -> list[str]:
    """The cells of one line by lenient rules."""
    try:
        return next(csv.reader([text], **dialect), [])
    except csv.Error:
        return text.split(dialect["delimiter"])


def _fit(cells: list[str], layout: Layout) -> tuple[list[str], bool]:
    """As many cells as the header has. Too many can only be commas in a text that stands last and is not quoted."""
    width = len(layout.names)
    if len(cells) > width:
        return [*cells[: width - 1], layout.dialect["delimiter"].join(cells[width - 1 :])], True
    return cells + [""] * (width - len(cells)), False


def _conversation_of(record: Record, layout: Layout, name: str) -> str:
    column = layout.roles.get("conversation")
    value = record.cells[column].strip() if column is not None and column < len(record.cells) else ""
    return value or f"{name}-1"


def _utterance(cells: Sequence[str], layout: Layout) -> Utterance:
    roles = layout.roles
    speaker = cells[roles["speaker"]].strip() if "speaker" in roles else ""
    return Utterance(
        speaker=speaker or "unknown",
        text=cells[roles["text"]],
        emotion=(cells[roles["emotion"]].strip() or None) if "emotion" in roles else None,
        time=_time(cells, layout),
        extra={name: cells[i] for i, name in layout.others},
    )


def _time(cells: Sequence[str], layout: Layout) -> str | None:
    """As it is written; with the date before it where that has a column of its own."""
    if "time" not in layout.roles:
        return None
    time = cells[layout.roles["time"]].strip()
    day = cells[layout.day].strip() if layout.day is not None else ""
    return (f"{day} {time}" if day and _CLOCK.fullmatch(time) else time) or None


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or value == [] else value if isinstance(value, str) else dump(value)


def _guard(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_GUARDED) else cell


class _Sink:
    """Where csv.writer leaves its rows."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def write(self, text: str) -> None:
        """One row."""
        self._text.append(text)

    def take(self) -> bytes:
        """What has come since the last time."""
        data = "".join(self._text).encode("utf-8", "replace")
        self._text.clear()
        return data
