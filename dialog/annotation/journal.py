"""What a batch has done so far, on disk: one line an item, only ever appended: a kill costs one chunk at most."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from dialog.annotation.output import saying_where
from dialog.conversation import Conversation
from dialog.formats import Item, Unreadable
from dialog.formats.jsonl import dump, load

try:
    import fcntl
except ImportError:  # Windows has no flock; there two runs on one output are the user's to avoid
    fcntl = None  # type: ignore[assignment]


_MARK = b'{"rapport_journal":1}\n'


class UnfinishedRun(ValueError):
    """A journal lies beside the output, and the run was not asked to go on with it."""


class BusyOutput(BlockingIOError):
    """Another run is writing the same output."""


class Journal:
    """Items with a key each. Use as a context manager; `discard` it when its items have reached their output."""

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        """`file` is open for reading and appending; `path` is None for a file that vanishes by itself."""
        self._file = file
        self.path = path
        self.reading = None if path is None else path.with_name(path.name + ".reading")
        """Where a tagger keeps what it has read of a long conversation, until that is done."""
        self.done: dict[str, int] = {}
        """Key to offset of what an earlier run finished without an error."""

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> Self:
        """The journal at a path, created if need be. A last line that was torn by a kill is cut off.

        Raises UnfinishedRun where there is one with items in it and resume is False, BusyOutput where another process
        is writing it.
        """
        journal = cls(path.open("a+b"), path)
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(journal._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise BusyOutput(f"another run is writing {_output_of(path)}; wait for it, or stop it") from None
            if not resume and path.stat().st_size > len(_MARK):
                raise UnfinishedRun(f"{path} holds the work of an unfinished run: resume it, or delete that file")
            journal._load()
        except BaseException:
            journal._file.close()
            raise
        return journal

    def append(self, records: list[tuple[str, Item]]) -> list[int]:
        """Writes keyed items and waits for the disk to have them. Returns where each stands."""
        offset = self._file.seek(0, os.SEEK_END)
        offsets, lines = [], []
        for key, item in records:
            line = dump({"key": key, **_to_record(item)}).encode() + b"\n"
            lines.append(line)
            offsets.append(offset)
            offset += len(line)
        with saying_where(self.path or Path("a temporary file")):
            self._file.write(b"".join(lines))
            self._file.flush()
            if self.path is not None:
                os.fsync(self._file.fileno())
        return offsets

    def item(self, offset: int) -> Item:
        """The item that stands at an offset."""
        self._file.seek(offset)
        return _from_record(load(self._file.readline().decode()))

    def items(self, offsets: Sequence[int]) -> "Items":
        """The items at these offsets, to be gone through as often as one likes."""
        return Items(self, offsets)

    def discard(self) -> None:
        """Closes and deletes it."""
        self._file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        if self.reading is not None:
            self.reading.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _load(self) -> None:
        """Finds what is done, up to the first line that is not whole."""
        self._file.seek(0)
        first = self._file.readline()
        if first != _MARK:
            if not _MARK.startswith(first):
                raise UnfinishedRun(f"{self.path} is in the way, and is no journal of ours")
            self._file.truncate(0)
            self._file.write(_MARK)
            self._file.flush()
        offset = len(_MARK)
        while line := self._file.readline():
            try:
                record = load(line.decode()) if line.endswith(b"\n") else None
                if record is None or "key" not in record:
                    break
            except (ValueError, TypeError):
                break
            if "conversation" in record and not record["conversation"].get("error"):
                self.done[record["key"]] = offset
            offset += len(line)
        self._file.truncate(offset)


class Items:
    """Items of a journal in a given order, read from disk one at a time."""

    def __init__(self, journal: Journal, offsets: Sequence[int]) -> None:
        self._journal = journal
        self._offsets = offsets

    def __iter__(self) -> Iterator[Item]:
        return (self._journal.item(offset) for offset in self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)


def _output_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".journal"))


def _to_record(item: Item) -> dict[str, Any]:
    if isinstance(item, Conversation):
        return {"conversation": item.to_dict()}
    fields = ("line", "reason", "text", "item", "source")
    return {"unreadable": {name: getattr(item, name) for name in fields}}


def _from_record(record: dict[str, Any]) -> Item:
    if "conversation" in record:
        return Conversation.from_dict(record["conversation"])
    return Unreadable(**record["unreadable"])
