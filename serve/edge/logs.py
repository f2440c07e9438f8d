"""JSON lines for operators. What people wrote never gets in: only fields on a list are let through."""

import contextlib
import io
import logging
import os
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog

ALLOWED = frozenset(
    (
        *("event", "level", "timestamp", "request_id", "method", "route", "status", "milliseconds"),
        *("conversations", "utterances", "model", "model_version", "mode", "error_type", "error_at"),
        *("kind", "limit", "check", "healthy", "n_chats", "n_visual_dialogs", "n_batches", "n_units"),
        *("responder", "messages", "stream"),
        *("watched", "reason", "minutes_left"),
    )
)
"""Every field a log line may have. A field with words of a user in it must never be added."""
_MOST_BYTES, _KEPT = 10 * 1024**2, 3
"""Of a file, and how many older ones there are."""


def only_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops every field that is not on the list, and says which."""
    dropped = sorted(event.keys() - ALLOWED)
    kept = {key: event[key] for key in event if key in ALLOWED}
    return {**kept, "dropped": dropped} if dropped else kept


class _Lines:
    """Lines to a file, four of 10 MB at most, or to stderr. One write a line, and nothing else: a request has two.

    A full disk costs lines, and nothing else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: io.FileIO | None = None
        self._size = 0

    def write(self, line: bytes) -> None:
        """A line without its end."""
        line += b"\n"
        with self._lock, contextlib.suppress(OSError):
            if self._path is None:
                os.write(2, line)
                return
            if self._size + len(line) > _MOST_BYTES:
                self._turn(self._path)
            if self._file is None:
                self._file = io.FileIO(self._path, "a")
                self._size = self._path.stat().st_size
            self._size += self._file.write(line)

    debug = info = warning = error = write

    def _turn(self, path: Path) -> None:
        """Begins a new file. The others move up by one, the oldest goes."""
        self.close()
        for n in range(_KEPT, 0, -1):
            older = path.with_name(f"{path.name}.{n}")
            newer = path if n == 1 else path.with_name(f"{path.name}.{n - 1}")
            if newer.exists():
                newer.replace(older)

    def close(self) -> None:
        """Until the next line."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._size = 0


def _logger(lines: _Lines, level: str) -> Any:
    bound = structlog.wrap_logger(
        lines,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
    )
    return bound.bind()


_lines = _Lines(None)
_current = _logger(_lines, "info")


def configure(process: str, directory: Path | None, level: str = "info") -> None:
    """Logs of this process go to `directory/<process>.jsonl` (4 files of 10 MB at most), or to stderr without one."""
    global _lines, _current
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    _lines.close()
    _lines = _Lines(None if directory is None else directory / f"{process}.jsonl")
    _current = _logger(_lines, level)


def get() -> Any:
    """The logger; its methods take an event name and fields."""
    return _current


def about(error: BaseException) -> dict[str, str]:
    """Fields that say what broke and where, without the message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "error_type": type(error).__name__,
        "error_at": " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)),
    }
