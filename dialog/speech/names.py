"""What recordings are called: known without loading what reads them."""

from pathlib import Path

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".mp4", ".aac", ".webm")
"""Names of files that are taken for recordings."""


def is_recording(path: str | Path) -> bool:
    """Whether a file is named like a recording."""
    return Path(path).suffix.lower() in ENDINGS
