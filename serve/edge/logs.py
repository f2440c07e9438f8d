"""JSON lines for operators. What people wrote never gets in: only fields on a list are let through."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog

ALLOWED = frozenset(
    (
        *("event", "level", "timestamp", "request_id", "method", "route", "status", "milliseconds"),
        *("conversations", "utterances", "model", "model_version", "mode", "error_type", "error_at"),
        *("kind", "limit", "check", "healthy", "n_chats", "n_visual_dialogs", "n_batches"),
    )
)
"""Every field a log line may have. A field with words of a user in it must never be added."""


def only_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drops every field that is not on the list, and says which."""
    dropped = sorted(event.keys() - ALLOWED)
    kept = {key: event[key] for key in event if key in ALLOWED}
    return {**kept, "dropped": dropped} if dropped else kept


def configure(process: str, directory: Path | None, level: str = "info") -> None:
    """Logs of this process go to `directory/<process>.jsonl` (4 files of 10 MB at most), or to stderr without one."""
    if directory is None:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(directory / f"{process}.jsonl", maxBytes=10 * 1024**2, backupCount=3)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rapport")
    for old in logger.handlers:
        old.close()
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()


def get() -> Any:
    """The logger; its methods take an event name and fields."""
    return structlog.get_logger("rapport")


def about(error: BaseException) -> dict[str, str]:
    """Fields that say what broke and where, without the message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "error_type": type(error).__name__,
        "error_at": " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)),
    }
