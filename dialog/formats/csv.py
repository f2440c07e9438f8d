"""Tables of utterances: csv, tsv and their cousins. One row an utterance; a conversation column tells them apart.

Rows of several conversations may be mixed: the file is read twice, first to learn where each conversation ends, so that
only the open ones are in memory. Conversations come out in the order of their first rows.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from dialog.conversation import Conversation, Utterance
from dialog.formats.jsonl import dump
from dialog.formats.source import Line, Source, Unreadable
from dialog.formats.words import words

COLUMNS = {
    "text": words(
        "text message utterance content body msg sentence transcript line comment message_text nachricht mensaje "
        "mensagem messaggio texte texto testo bericht"
    ),
    "speaker": words(
        "speaker name user username author sender from participant who role agent person actor speaker_name user_name "
        "author_name sender_name display_name sprecher absender autor auteur autore remitente naam"
    ),
    "emotion": words("emotion label emotion_label gold"),
    "time": words(
        "time timestamp date datetime date_time created_at sent_at created ts sent when starttime start_time start "
        "zeit datum uhrzeit fecha hora data heure"
    ),
    "conversation": words(
        "conversation conversation_id conv_id convid dialogue_id dialog_id dialogue dialog dialogueid dialogid chat "
        "chat_id chatid thread thread_id session session_id sessionid channel room"
    ),
}
"""What the columns may be called, best first; case, spaces and punctuation do not matter."""

_DELIMITERS = ",;\t|"
_LONGEST_RECORD = 5000  # lines; a quote nobody closed must not swallow the file
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


def read_csv(source: Source) -> Iterator[Conversation | Unreadable]:
    """Conversations in the order of their first rows; an Unreadable for a row that does not fit, and only for that."""
    layout = find_layout(source)
    if isinstance(layout, Unreadable):
        yield layout
        return
    last_rows: dict[str, int] = {}
    for record in _records(source, layout):
        if not record.fault:
            last_rows[_conversation_of(record, layout, source.name)] = record.line
    source.take_warnings()
    open_ones: dict[str, list[Utterance]] = {}
    joined: set[str] = set()
    for record in _records(source, layout):
        if record.fault:
            yield Unreadable.at(record.line, record.fault, record.text)
            continue
        cells, was_joined = _fit(record.cells, layout)
        key = _conversation_of(record, layout, source.name)
        open_ones.setdefault(key, []).append(_utterance(cells, layout))
        if was_joined:
            joined.add(key)
        if last_rows[key] == record.line:
            last_rows[key] = 0  # complete
        while open_ones and last_rows[first := next(iter(open_ones))] == 0:
            notes = source.take_warnings()
            if "speaker" not in layout.roles:
                notes += ("no column for the speaker; every row was taken to be of one and the same",)
            if first in joined:
                notes += ("some rows had more cells than the header; the rest was taken as part of the text",)
            yield Conversation(id=first, utterances=tuple(open_ones.pop(first)), warnings=notes)


def write_csv(items: Iterable[Conversation | Unreadable], out: BinaryIO, *, guard: bool = True) -> None:
    """One row an utterance. A conversation with none, or with an error, has a row that says so.

    guard puts a `'` before a cell that a spreadsheet would run as a formula (it begins with = + - @, a tab or a line
    end). Items are gone through twice, so give a list or anything else that can be.
    """
    items = items if isinstance(items, Sequence) or not isinstance(items, Iterator) else list(items)
    others, labels = _columns_of(items)
    header = ["conversation", "utterance", "speaker", "text", "emotion", "time", *others]
    header += ["predicted_emotion", "probability", "sentiment", *(f"p_{label}" for label in labels), "causes"] * bool(
        labels
    )
    header += ["error", "warnings"]
    protect = _guard if guard else str
    for row in (header, *_rows(items, header, others, labels)):
        out.write(_render([protect(cell) for cell in row]).encode("utf-8", "replace"))


def find_layout(source: Source) -> Layout | Unreadable:
    """Delimiter, quoting and columns by the header line; an Unreadable that says what is missing."""
    first = skip = 0
    sample: list[str] = []
    declared = None
    for line in source.lines():
        if line.fault:
            return Unreadable.at(line.number, line.fault)
        if not sample and not line.text.strip():
            continue
        if not sample and line.text.lower().startswith("sep=") and len(line.text) == 5:
            declared = line.text[4]  # Excel's own way to say it
            continue
        if not sample:
            first, skip = line.number, line.number
        sample.append(line.text)
        if len(sample) == 50:
            break
    if not sample:
        return Unreadable.at(0, "no header line")
    backslash = any('\\"' in text for text in sample) and not any('""' in text for text in sample)
    quoting: dict[str, Any] = {"escapechar": "\\", "doublequote": False} if backslash else {}
    best: Layout | None = None
    for delimiter in declared or _DELIMITERS:
        dialect = {"delimiter": delimiter, **quoting}
        names = _split(sample[0], dialect)
        layout = Layout(dialect=dialect, names=_distinct(names), roles=_roles(names), skip=skip)
        if best is None or (len(layout.roles), len(names)) > (len(best.roles), len(best.names)):
            best = layout
    assert best is not None
    if "text" not in best.roles:
        found = ", ".join(n for n in best.names if n)[:200] or "nothing"
        return Unreadable.at(
            first, f"no column for the text: expected one called text or message, found {found}", sample[0]
        )
    return best


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """A name of its own for every column: nameless ones are numbered, and so is a name that comes again."""
    distinct: dict[str, None] = {}
    for i, name in enumerate((n.strip() for n in names), 1):
        distinct[name if name and name not in distinct else f"{name or 'column'} {i}"] = None
    return tuple(distinct) if len(distinct) == len(names) else tuple(f"column {i}" for i in range(1, len(names) + 1))


def _roles(names: Sequence[str]) -> dict[str, int]:
    """Which column is which; each column has one role, each role the best name there is."""
    plain = ["_".join("".join(c if c.isalnum() else " " for c in name.casefold()).split()) for name in names]
    roles: dict[str, int] = {}
    for role, synonyms in COLUMNS.items():
        free = [s for s in synonyms if s in plain and plain.index(s) not in roles.values()]
        if free:
            roles[role] = plain.index(free[0])
    return roles


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
        time=(cells[roles["time"]].strip() or None) if "time" in roles else None,
        extra={name: cells[i] for i, name in layout.others},
    )


def _columns_of(items: Iterable[Conversation | Unreadable]) -> tuple[list[str], list[str]]:
    """The fields beyond our own, and the labels of the predictions, in order of appearance."""
    others: dict[str, None] = {}
    labels: dict[str, None] = {}
    for item in items:
        if isinstance(item, Conversation):
            for u in item.utterances:
                others.update(dict.fromkeys(u.extra))
                if u.prediction:
                    labels.update(dict.fromkeys(u.prediction.probabilities or [u.prediction.emotion]))
    ours = {"conversation", "utterance", "speaker", "text", "emotion", "time", "predicted_emotion", "probability"}
    ours |= {"sentiment", "causes", "error", "warnings", *(f"p_{label}" for label in labels)}
    return [name for name in others if name not in ours], list(labels)


def _rows(
    items: Iterable[Conversation | Unreadable], header: list[str], others: list[str], labels: list[str]
) -> Iterator[list[str]]:
    for item in items:
        if isinstance(item, Unreadable):
            row = {"conversation": item.id, "text": item.text, "error": item.error}
            yield [row.get(column, "") for column in header]
            continue
        told = {"error": item.error or "", "warnings": "; ".join(item.warnings)}
        if not item.utterances and (item.error or item.warnings):
            yield [{"conversation": item.id, **told}.get(column, "") for column in header]
        for i, u in enumerate(item.utterances):
            row = {key: _cell(u.extra.get(key)) for key in others}
            row |= {"conversation": item.id, "utterance": str(i), "speaker": u.speaker, "text": u.text}
            row |= {"emotion": u.emotion or "", "time": u.time or "", **(told if i == 0 else {})}
            if u.prediction:
                p = u.prediction
                row |= {"predicted_emotion": p.emotion, "probability": f"{p.probability:.4f}", "sentiment": p.sentiment}
                row |= {f"p_{k}": f"{p.probabilities[k]:.4f}" for k in labels if k in p.probabilities}
                row["causes"] = dump([c.to_dict() for c in p.causes]) if p.causes else ""
            yield [row.get(column, "") for column in header]


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else dump(value)


def _guard(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_GUARDED) else cell


class _Sink:
    """Where csv.writer leaves one row."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def _render(cells: list[str]) -> str:
    sink = _Sink()
    csv.writer(sink).writerow(cells)
    return sink.text
