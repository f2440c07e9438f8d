"""Whole logs: any format in, labelled out, in the same order, resumable.

Every finished item goes into a journal beside the output (`OUT.journal`), which the disk has before the next batch
begins. The output itself appears whole, at the end, by a rename. After a kill, `resume` takes from the journal what is
the same: the conversation's id and content, and the model's version. What could not be read or labelled is an item
with an `error`, in its place.
"""

import hashlib
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from dialog.annotation.anonymise import Anonymiser
from dialog.annotation.journal import Journal
from dialog.annotation.output import is_special, write_whole
from dialog.conversation import Conversation
from dialog.emotion.port import LongTagger, Mode, Tagger, label_each
from dialog.formats import READERS, WRITERS, Item, Source, Unreadable, read_source, write
from dialog.formats.encodings import known
from dialog.formats.jsonl import dump
from dialog.formats.left_out import counts_of
from dialog.formats.names import Names

MODE: Mode = "offline"
"""Logs are read as a whole: the future may inform the past."""

_LISTED = 1000
_LONG = 2048  # utterances; a longer conversation is watched while it is tagged, and its reading kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One item that has an error instead of labels: its id, why, and its line if it could not be read (0: all)."""

    id: str
    line: int | None
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationProgress:
    """How far a run is. fraction is of all inputs together, by bytes, 0 to 1."""

    done: int
    failed: int
    skipped: int
    utterances: int
    fraction: float
    skipped_utterances: int = 0
    """In the conversations that an earlier run had done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """How a run ended. Conversations: done now, failed, and skipped because an earlier run had done them."""

    done: int
    failed: int
    skipped: int
    utterances: int
    """Labelled in this run."""
    seconds: float
    skipped_utterances: int = 0
    """In the conversations that an earlier run had done."""
    failures: tuple[Failure, ...] = ()
    """The first thousand; `failed` counts them all."""
    interrupted: bool = False
    journal: Path | None = None
    """Where the work lies that a resumed run goes on with; None once the output is complete."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What nobody said and so is no utterance: how many of each kind, in all inputs together."""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 nothing in the inputs could be read, 2 some items failed, 130 interrupted and resumable."""
        if self.interrupted:
            return 130
        if not self.failed:
            return 0
        return 1 if not self.done + self.skipped and all(f.line is not None for f in self.failures) else 2


def annotate(
    inputs: Sequence[str | Path | BinaryIO | Iterable[Item]],
    out: str | Path | BinaryIO,
    *,
    tagger: Tagger,
    input_format: str = "auto",
    to: str = "jsonl",
    resume: bool = False,
    anonymise: bool = False,
    progress: Callable[[AnnotationProgress], None] | None = None,
    batch_utterances: int = 1024,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Summary:
    """Labels every conversation of the inputs and writes them to `out`, in order; says how it went.

    An input is a path, an open binary stream, or items that come from elsewhere, each when it is asked for. `out` is a
    path, or an open binary stream that is written at the end and cannot be resumed. `options` go to the
    format's writer (`{"guard": False}` for csv), `columns` and `encoding` are those of `formats.read`. Conversations
    are tagged together until they hold `batch_utterances`; where a batch fails each is tried alone. Ctrl-C ends it
    early with `interrupted` set and the journal kept.

    Raises ValueError for formats it does not know, for an output that is one of the inputs, and (`UnfinishedRun`) for a
    journal that lies there without `resume`; OSError for inputs and outputs that cannot be opened, `BusyOutput` where
    another run is writing the output, `NoSpace` where the disk is full.
    """
    _check(inputs, out, input_format, to, resume)
    run = _Run(tagger, progress, batch_utterances)
    started = time.monotonic()
    path = None if _is_stream(out) else Path(cast(str, out))
    with _open_journal(path, resume) as journal:
        try:
            names = Names(strict=to in ("csv", "parquet"))
            told = _Told(input_format, columns or {}, None if encoding is None else known(encoding))
            for item, fraction in _read_all(inputs, told, Anonymiser() if anonymise else None, names):
                run.take(item, fraction, journal)
            run.flush(journal)
            _render(journal, run.offsets, out, path, to, options or {})
        except KeyboardInterrupt:
            return run.summary(started, interrupted=True, journal=journal.path)
        journal.discard()
    run.report(1.0)
    return run.summary(started)


class _Run:
    """What a run has done, and the batch it is gathering."""

    def __init__(
        self, tagger: Tagger, progress: Callable[[AnnotationProgress], None] | None, batch_utterances: int
    ) -> None:
        self._tagger = tagger
        self._progress = progress
        self._batch_utterances = batch_utterances
        self._pending: list[tuple[int, str, Item]] = []  # place in the output, key, item
        self._waiting = 0  # utterances in it
        self._fraction = self._reported = 0.0
        self.offsets = array("Q")
        self.done = self.failed = self.skipped = self.utterances = self.skipped_utterances = 0
        self.failures: list[Failure] = []
        self._left_out: Counter[str] = Counter()

    def take(self, item: Item, fraction: float, journal: Journal) -> None:
        """One more item; tags the batch when it is full."""
        key = _key(item, self._tagger.version)
        if isinstance(item, Conversation):
            self._left_out.update(counts_of(item.extra))
        self._fraction = fraction
        known = journal.done.get(key)
        self.offsets.append(known or 0)
        if known is not None:
            self.skipped += 1
            self.skipped_utterances += len(item.utterances) if isinstance(item, Conversation) else 0
            if self.skipped % 1000 == 0:
                self.report(fraction)
            return
        self._pending.append((len(self.offsets) - 1, key, item))
        # An item costs something even without utterances, or a million of them would wait for ever.
        self._waiting += max(1, len(item.utterances)) if isinstance(item, Conversation) else 1
        if self._waiting >= self._batch_utterances:
            self.flush(journal)

    def flush(self, journal: Journal) -> None:
        """Tags what is waiting and has it written down."""
        to_tag = [c for _, _, c in self._pending if isinstance(c, Conversation) and c.utterances]
        tagged = iter(self._tag_all(to_tag, journal))
        results: list[Item] = []
        for _, _, item in self._pending:
            results.append(next(tagged) if isinstance(item, Conversation) and item.utterances else item)
        keys = [key for _, key, _ in self._pending]
        offsets = journal.append(list(zip(keys, results, strict=True)))
        for (place, _, _), offset, item in zip(self._pending, offsets, results, strict=True):
            self.offsets[place] = offset
            self._count(item)
        if journal.reading is not None:
            journal.reading.unlink(missing_ok=True)
        self._pending.clear()
        self._waiting = 0
        self._reported = self._fraction
        self.report(self._fraction)

    def _tag_all(self, conversations: list[Conversation], journal: Journal) -> list[Conversation]:
        """The same conversations, labelled or with an error; long ones by themselves, where the tagger can be
        watched and stopped inside one."""
        if not isinstance(self._tagger, LongTagger):
            return self._tag(conversations)
        short = iter(self._tag([c for c in conversations if len(c.utterances) <= _LONG]))
        return [self._tag_long(c, journal) if len(c.utterances) > _LONG else next(short) for c in conversations]

    def _tag_long(self, conversation: Conversation, journal: Journal) -> Conversation:
        done = self.utterances

        def told(n: int) -> None:
            share = min(1.0, n / len(conversation.utterances))
            self.utterances = done + n
            self.report(self._reported + (self._fraction - self._reported) * share)

        tagger = cast(LongTagger, self._tagger)
        try:
            one = tagger.tag_long(conversation, mode=MODE, progress=told, keep=journal.reading)
        except Exception as error:
            return conversation.with_error(f"{type(error).__name__}: {error}")
        finally:
            self.utterances = done
        return one if one.error else replace(one, extra={**one.extra, **self._told()})

    def report(self, fraction: float) -> None:
        """Tells whoever watches."""
        if self._progress is not None:
            self._progress(
                AnnotationProgress(
                    done=self.done,
                    failed=self.failed,
                    skipped=self.skipped,
                    utterances=self.utterances,
                    fraction=fraction,
                    skipped_utterances=self.skipped_utterances,
                )
            )

    def summary(self, started: float, *, interrupted: bool = False, journal: Path | None = None) -> Summary:
        """How it ended."""
        return Summary(
            done=self.done,
            failed=self.failed,
            skipped=self.skipped,
            utterances=self.utterances,
            seconds=time.monotonic() - started,
            skipped_utterances=self.skipped_utterances,
            failures=tuple(self.failures),
            interrupted=interrupted,
            journal=journal,
            left_out=dict(sorted(self._left_out.items())),
        )

    def _tag(self, conversations: list[Conversation]) -> list[Conversation]:
        """The same conversations, labelled or with an error."""
        tagged = label_each(self._tagger, conversations, mode=MODE, reason=lambda e: f"{type(e).__name__}: {e}")
        return [c if c.error else replace(c, extra={**c.extra, **self._told()}) for c in tagged]

    def _told(self) -> dict[str, Any]:
        return {"mode": MODE, "model_version": self._tagger.version}

    def _count(self, item: Item) -> None:
        if item.error is None:
            assert isinstance(item, Conversation)
            self.done += 1
            self.utterances += len(item.utterances)
            return
        self.failed += 1
        if len(self.failures) < _LISTED:
            line, error = (item.line, item.reason) if isinstance(item, Unreadable) else (None, item.error)
            self.failures.append(Failure(id=item.id, line=line, error=error))


def journal_of(out: str | Path) -> Path:
    """Where the journal of an output lies."""
    return Path(out).with_name(Path(out).name + ".journal")


def _check(inputs: Sequence[Any], out: Any, input_format: str, to: str, resume: bool) -> None:
    """Everything that can be known to be wrong before the work begins."""
    if not inputs:
        raise ValueError("no inputs")
    if input_format != "auto" and input_format not in READERS:
        raise ValueError(f"unknown input format {input_format!r}; expected auto or one of {', '.join(READERS)}")
    if to not in WRITERS:
        raise ValueError(f"unknown output format {to!r}; expected one of {', '.join(WRITERS)}")
    for given in inputs:
        if not _is_stream(given) and not Path(given).is_dir():
            with Path(given).open("rb"):  # raises what is to be said
                pass
    if _is_stream(out):
        if resume:
            raise ValueError("only a run into a file can be resumed, not one into a stream")
        return
    path = Path(out)
    if resume and is_special(path):
        raise ValueError(f"only a run into a file can be resumed, and {path} is none")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file to write")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {path.absolute().parent} to write {path.name} into")
    if any(not _is_stream(given) and Path(given).resolve() == path.resolve() for given in inputs):
        raise ValueError(f"{path} is an input and the output at once")


def _is_stream(thing: Any) -> bool:
    return not isinstance(thing, str | Path)


class _Told(NamedTuple):
    """What the caller says of the inputs."""

    format: str
    columns: Mapping[str, str]
    encoding: str | None


def _read_all(
    inputs: Sequence[Any], told: _Told, anonymiser: Anonymiser | None, names: Names
) -> Iterator[tuple[Item, float]]:
    """Every item of every input, and how much of all inputs has been read by then."""
    sizes = [0 if _is_stream(given) else Path(given).stat().st_size for given in inputs]
    before, total = 0, sum(sizes)
    for number, (given, size) in enumerate(zip(inputs, sizes, strict=True)):
        for item, share in _read(given, told):
            if isinstance(item, Conversation) and item.error is not None:
                item = replace(item, error=None)  # an earlier run's; this one tries again
            item = anonymiser(item) if anonymiser else item
            if isinstance(item, Conversation):
                item = names.apart(item, number)
            yield item, (before + size * share) / total if total else 0.0
        before += size


def _read(given: Any, told: _Told) -> Iterator[tuple[Item, float]]:
    """Every item of one input, and how much of it has been read by then."""
    if _is_stream(given) and not hasattr(given, "read"):
        yield from ((item, 0.0) for item in given)
        return
    source = Source.open(given)
    source.columns, source.encoding = told.columns, told.encoding
    try:
        for item in read_source(source, told.format):
            yield item, source.fraction
    finally:
        if not _is_stream(given):
            source.close()


def _key(item: Item, version: str) -> str:
    """The same for the same content, labelled by the same model."""
    content: Any = (
        item.to_dict() if isinstance(item, Conversation) else [item.source, item.line, item.reason, item.text]
    )
    return hashlib.sha256(dump([version, item.id, content]).encode()).hexdigest()[:32]


def _open_journal(path: Path | None, resume: bool) -> Journal:
    if path is None or is_special(path):
        return Journal(cast(BinaryIO, tempfile.TemporaryFile()), None)
    return Journal.open(journal_of(path), resume=resume)


def _render(
    journal: Journal, offsets: Sequence[int], out: Any, path: Path | None, to: str, options: Mapping[str, Any]
) -> None:
    """Writes the journal's items in order."""
    items = cast(Any, journal.items(offsets))
    if path is None:
        write(items, out, to, **options)
        out.flush()
        return
    write_whole(path, lambda file: write(items, file, to, **options))
