"""A log as bytes with a name: opened, unpacked, decoded and cut into numbered lines, without loading it whole.

Every reader takes a `Source` and yields conversations, and an `Unreadable` for each piece it cannot read.
"""

import gzip
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, NamedTuple, Self, TextIO, cast

from dialog.formats.encodings import question
from dialog.formats.export_tree import Tree, find_tree, whole_log
from dialog.formats.tar import as_zip, is_tar

MAX_LINE = 256 * 1024**2
"""Bytes in one line, or characters in a file that has to be read whole. More is a fault, not a memory problem."""

SHOWN = 500
"""Characters of an unreadable line that are kept to show it."""

_HEAD = 64 * 1024
_ASKED = 1024**2  # bytes in which an encoding shows itself
_IN_MEMORY = 32 * 1024**2
_READABLE = (
    *(".txt", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".srt", ".vtt", ".eml", ".mbox", ".log"),
    *(".fountain", ".weechatlog", ".ass", ".ssa"),
)
_SCRIPTS = (".js",)
"""Of X's archive; those of other exports are no logs."""
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_PAGES = (".html", ".htm", ".xml")
"""Logs where no other is: exports come with pages to read them by."""
_MOST_FILES = 200_000
_NUMBERED = re.compile(r"message_\d+\.json")  # Messenger and Instagram


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A piece of a log that could not be read: the line it starts on (0: the whole file), why, and how it looks.

    `item` is the JSON object it was, where it was one that is no conversation, so that an answer can carry its fields.
    `source` names the log it came from.
    """

    line: int
    reason: str
    text: str
    item: dict[str, Any] | None = field(default=None, hash=False)
    source: str = "conversation"

    @property
    def id(self) -> str:
        """What it is called in an answer: its own id, or the log and the line."""
        return str((self.item or {}).get("id") or f"{self.source}-{self.line}")

    @property
    def error(self) -> str:
        """Where and why, in one sentence."""
        return f"line {self.line}: {self.reason}" if self.line else self.reason

    @classmethod
    def at(
        cls, line: int, reason: str, text: str = "", item: dict[str, Any] | None = None, source: str = "conversation"
    ) -> Self:
        """The same, with the text cut to what is worth showing."""
        shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        return cls(line=line, reason=reason, text=shown, item=item, source=source)


class Line(NamedTuple):
    """One line, numbered from 1. `end` is what ended it; `fault` says why `text` is not the whole of it."""

    number: int
    text: str
    end: str = ""
    fault: str | None = None


class Source:
    """Bytes with a name, read from the start as often as a reader likes. Unpacks gzip, and a zip with one log in it."""

    def __init__(self, file: BinaryIO, name: str, filename: str = "", folder: Path | None = None) -> None:
        """`file` must be seekable; `open` takes anything. `folder` is an export of many files, and `file` is empty."""
        self.filename = filename
        self.name = name
        """What conversations without an id are called after."""
        self._file = file
        self.tree: Tree | None = None
        """Of an export of many files: its format, and the files of each chat. None for everything else."""
        self.office: str | None = None
        """The format of an office document, which is an archive; None for everything else."""
        self.encoding: str | None = None
        """What the bytes are in, where somebody said so."""
        self.columns: Mapping[str, str] = {}
        """Of a table: a role (`text`) to the name of its column, where somebody said so."""
        self.borrowed = False
        """Whether the file is somebody else's, who closes it."""
        self._folder = folder
        self._read_of_tree = 0
        self._member: str | None = None
        self._legacy: tuple[int, int] | None = None  # lines decoded as Windows-1252: the first, and how many
        self.size = file.seek(0, io.SEEK_END)
        self.fault = self._choose_member() if folder is None else self._choose_files(folder)

    @classmethod
    def open(cls, path_or_stream: str | Path | BinaryIO | TextIO, name: str | None = None) -> Self:
        """A path or an open stream, binary or text. A stream that cannot seek is copied to a temporary file first."""
        if isinstance(path_or_stream, str | Path):
            path = Path(path_or_stream)
            if path.is_dir():
                names = files_of(path)
                logs = _logs_among(names)
                alone = whole_log(logs) or (logs[0] if len(logs) == 1 else None)
                if alone is None or find_tree(names):
                    return cls(io.BytesIO(), name or path.resolve().name, path.name, folder=path)
                path = path / alone
            file = path.open("rb")
            if file.seekable():
                return cls(_untarred(file, ours=True), name or _called(path), path.name)
            with file:  # a named pipe, or what a shell hands over as one
                return cls(_untarred(_spooled(file), ours=True), name or _called(path), path.name)
        named = getattr(path_or_stream, "name", None)
        filename = Path(named).name if isinstance(named, str) and not named.startswith("<") else name or ""
        name = name or stem(filename) or "conversation"
        probe = path_or_stream.read(0)
        if isinstance(probe, str):
            text = cast(TextIO, path_or_stream).read()
            return cls(io.BytesIO(text.encode("utf-8", "replace")), name, filename)
        stream = cast(BinaryIO, path_or_stream)
        ours = not (stream.seekable() and stream.tell() == 0)
        opened = _untarred(_spooled(stream) if ours else stream, ours=ours)
        made = cls(opened, name, filename)
        made.borrowed = opened is stream
        return made

    def close(self) -> None:
        """Closes the file; a stream that was handed in is closed with it."""
        self._file.close()

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1, by the bytes on disk."""
        if self.tree is not None:
            return min(1.0, self._read_of_tree / max(1, sum(len(files) for files in self.tree.chats.values())))
        return min(1.0, self._file.tell() / self.size) if self.size and not self._file.closed else 1.0

    def head(self, size: int = _HEAD) -> bytes:
        """The first bytes, 64 KiB, unpacked; fewer where the packed data is damaged."""
        if self.fault:
            return b""
        head = bytearray()
        with suppress(OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            stream = self._unpacked()
            while len(head) < size and (piece := stream.read(min(1024, size - len(head)))):
                head += piece
        return bytes(head)

    def lines(self) -> Iterator[Line]:
        """Every line, decoded. Ends are \\n, \\r\\n and \\r; a damaged archive ends in a line with a fault."""
        self._legacy = None
        if self.fault:
            yield Line(0, "", fault=self.fault)
            return
        encoding, skip = (self.encoding, 0) if self.encoding else _encoding(self.head())
        number = 0
        try:
            stream = self._unpacked()
            if encoding is None:
                stream.read(skip)
                pieces: Iterator[Line] = self._byte_lines(stream)
            else:
                pieces = _text_lines(io.TextIOWrapper(stream, encoding, errors="replace", newline=""))
            for line in pieces:
                number = line.number
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            yield Line(number + 1, "", fault=f"the packed data is damaged or cut off here ({error})")

    def binary(self) -> BinaryIO:
        """The file itself, from its start, as it lies on disk; closing it closes nothing."""
        self._file.seek(0)
        return cast(BinaryIO, _Borrowed(self._file))

    def text(self) -> tuple[str, str | None]:
        """The whole file, and the fault that cut it short, if one did. Refuses more than MAX_LINE characters."""
        parts: list[str] = []
        size = 0
        for line in self.lines():
            if line.fault:
                return "".join(parts), f"line {line.number}: {line.fault}"
            size += len(line.text) + 1
            if size > MAX_LINE:
                return "", f"larger than {MAX_LINE // 1024**2} MB; only jsonl and csv may be"
            parts += (line.text, line.end)
        return "".join(parts), None

    def member(self, name: str) -> str | None:
        """The text of one file of an export of many; None where it is not there or not to be read."""
        self._read_of_tree += 1
        try:
            if self._folder is not None:
                return (self._folder / name).read_bytes().decode("utf-8", "replace")
            with zipfile.ZipFile(self._file) as archive:
                if archive.getinfo(name).file_size > MAX_LINE:
                    return None
                return archive.read(name).decode("utf-8", "replace")
        except (KeyError, OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error):
            return None

    def question(self) -> str | None:
        """What to ask about the encoding, where it can only be guessed."""
        head = b"" if self.encoding or self.tree else self.head(_ASKED)
        return None if _encoding(head)[0] else question(head)

    def take_warnings(self) -> tuple[str, ...]:
        """What to know about the lines read since the last call, or since `lines` began."""
        legacy, self._legacy = self._legacy, None
        if legacy is None:
            return ()
        first, count = legacy
        which = f"line {first} is" if count == 1 else f"{count} lines from line {first} on are"
        return (f"{which} not UTF-8; read as Windows-1252",)

    def _choose_member(self) -> str | None:
        """For a zip: which member is the log. Returns the fault where there is none, or more than one."""
        self._file.seek(0)
        if (mark := self._file.read(4)) != b"PK\x03\x04":
            if mark == _OLD_OFFICE and self.filename.lower().endswith((".xls", ".xlt")):
                self.office = "workbook"
            return None
        try:
            with zipfile.ZipFile(self._file) as archive:
                names = [n for n in archive.namelist() if not n.startswith("__MACOSX/") and not n.endswith("/")]
                encrypted = {info.filename for info in archive.infolist() if info.flag_bits & 1}
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, UnicodeDecodeError) as error:
            return f"a damaged zip archive ({error})"
        self.office = _office(names)
        if self.office is not None:
            return None
        readable = [n for n in names if n.lower().endswith(_READABLE + _PAGES + _SCRIPTS) and n not in encrypted]
        if tree := find_tree(readable):
            self.tree = tree
            return None
        logs = _logs_among(readable)
        if not logs and encrypted:
            return "a zip archive with a password; unpack it first"
        alone = whole_log(logs) or (logs[0] if len(logs) == 1 else None)
        if alone is None:
            return f"a zip archive with {_how_many(logs)} in it; expected one, so unpack it first"
        self._member = self.filename = alone
        return None

    def _choose_files(self, folder: Path) -> str | None:
        """For a folder: the export it is. Returns the fault where it is none."""
        names = files_of(folder)
        self.tree = find_tree(names)
        if self.tree is None:
            found = _how_many(_logs_among(names))
            return f"a folder with {found} in it, and no export that is read as a whole; name the files instead"
        return None

    def _unpacked(self) -> BinaryIO:
        self._file.seek(0)
        if self._member is not None:
            return cast(BinaryIO, zipfile.ZipFile(self._file).open(self._member))
        packed = self._file.read(2) == b"\x1f\x8b"
        self._file.seek(0)
        return cast(BinaryIO, gzip.GzipFile(fileobj=self._file) if packed else _Borrowed(self._file))

    def _byte_lines(self, stream: BinaryIO) -> Iterator[Line]:
        """UTF-8, line by line, so that one bad line costs no other; what is not UTF-8 is taken for Windows-1252."""
        number = 0
        while raw := stream.readline(MAX_LINE):
            number += 1
            if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                    pass
                yield Line(number, "", fault=f"longer than {MAX_LINE // 1024**2} MB")
                continue
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                text = _decode_legacy(raw)
                first, count = self._legacy or (number, 0)
                self._legacy = first, count + 1
            for piece in _cut_at_returns(number, text):
                number = piece.number
                yield piece


class _Borrowed(io.RawIOBase):
    """A view of the file that can be dropped without closing it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        return self._file.readline(-1 if size is None else size)


def files_of(folder: Path) -> list[str]:
    """The logs in a folder and below it, and pages, by their paths from there."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in islice(found, _MOST_FILES) if name.lower().endswith(_READABLE + _PAGES + _SCRIPTS))


def _logs_among(names: Sequence[str]) -> list[str]:
    """Those that are logs by their endings: pages where there is nothing else."""
    logs = [name for name in names if not name.lower().endswith(_SCRIPTS)]
    return [name for name in logs if name.lower().endswith(_READABLE)] or logs


def _office(names: Sequence[str]) -> str | None:
    """The format of an office document, by the files that are packed in it; None for another archive."""
    if "word/document.xml" in names:
        return "word"
    if any(name.startswith("xl/workbook.") for name in names) or {"mimetype", "content.xml"} <= set(names):
        return "workbook"
    return None


def _how_many(logs: list[str]) -> str:
    """`no logs`, or `3 logs (a.txt, b.txt, c.txt)`."""
    shown = ", ".join(logs[:3]) + (", …" if len(logs) > 3 else "")
    return f"{len(logs)} logs ({shown})" if logs else "no logs"


def _spooled(stream: BinaryIO) -> BinaryIO:
    """The rest of a stream, where one can seek."""
    spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 (lives as long as we)
    copyfileobj(stream, spool)
    return spool


def _untarred(file: BinaryIO, *, ours: bool = False) -> BinaryIO:
    """The file; of a tar a zip of its logs in the file's place, which is closed then if it is ours."""
    file.seek(0)
    if not is_tar(file.read(512)):
        return file
    archive = as_zip(file, _READABLE + _PAGES + _SCRIPTS, MAX_LINE)
    if ours:
        file.close()
    return archive


def _called(path: Path) -> str:
    """What a log is called after: its own name, or its folder's where its own says nothing."""
    generic = whole_log([path.name]) or _NUMBERED.fullmatch(path.name)
    return path.resolve().parent.name or stem(path.name) if generic else stem(path.name)


def stem(name: str) -> str:
    """A file's name without what its format adds: `chat.jsonl.gz` is `chat`."""
    for suffix in (".gz", ".zip"):
        name = name.removesuffix(suffix)
    return name.rsplit(".", 1)[0] if "." in name[1:] else name


def _encoding(head: bytes) -> tuple[str | None, int]:
    """A wide encoding by its mark or its NULs, or None for bytes to decode line by line; and how long the mark is."""
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")):
        if head.startswith(mark):
            return encoding, 0
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", 0
    if head.startswith(b"\xef\xbb\xbf"):
        return None, 3
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd > 0.3 * len(head) / 2 and even < odd / 4:
        return "utf-16-le", 0
    if even > 0.3 * len(head) / 2 and odd < even / 4:
        return "utf-16-be", 0
    return None, 0


def _text_lines(stream: io.TextIOWrapper) -> Iterator[Line]:
    number = 0
    while text := stream.readline(MAX_LINE):
        number += 1
        yield next(_cut_at_returns(number, text)) if len(text) < MAX_LINE else Line(number, "", fault="too long")


def _cut_at_returns(number: int, text: str) -> Iterator[Line]:
    """One line, or several where old Macintosh line ends stand in it."""
    end = "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""
    body = text[: len(text) - len(end)]
    if "\r" not in body:
        yield Line(number, body, end)
        return
    *firsts, last = body.split("\r")
    for i, piece in enumerate(firsts):
        yield Line(number + i, piece, "\r")
    if last or end:
        yield Line(number + len(firsts), last, end)


def _decode_legacy(raw: bytes) -> str:
    """Bytes that are not UTF-8. A long UTF-8 line with a scratch stays UTF-8; the rest is Windows-1252."""
    text = raw.decode("utf-8", "replace")
    scratches = text.count("\ufffd")
    if sum(not c.isascii() for c in text) > 3 * scratches:
        return text
    return raw.decode("cp1252", "replace")
