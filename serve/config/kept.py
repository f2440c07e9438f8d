"""What the service keeps, where it lies and for how long."""

import os
import tempfile
from pathlib import Path

import platformdirs
from pydantic import Field

from serve.config.part import Part, UnusableConfig


class KeepConfig(Part):
    """How long things are kept that nobody uses any more. Without a number, until they are deleted."""

    chat_days: float | None = Field(default=None, gt=0)
    """A chat, after its last message."""
    picture_days: float | None = Field(default=None, gt=0)
    """A picture and what was asked about it, after the last question."""
    batch_days: float | None = Field(default=None, gt=0)
    """A log and what was made of it, after it was done."""
    unit_days: float | None = Field(default=None, gt=0)
    """What is known of a unit of a fleet, after its last samples."""
    recording_days: float | None = Field(default=None, gt=0)
    """A recording and what was heard in it, after it was done or last changed."""


def folder_for_data(asked: Path | None) -> Path:
    """The folder for data, made if it was missing and readable by its owner only.

    Where the user has no folder for data that can be written (a read-only home), a temporary one; a folder that
    was asked for by name is used or is an UnusableConfig.
    """
    folder = asked or Path(platformdirs.user_data_dir("rapport", appauthor=False))
    try:
        return _made(folder.expanduser().resolve())
    except OSError as error:
        if asked is not None:
            raise UnusableConfig(f"data_dir {asked} cannot be written: {error.strerror}") from None
        return _made(Path(tempfile.gettempdir()) / f"rapport-data-{os.getuid()}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder):  # a folder may exist and not be writable
        return folder
