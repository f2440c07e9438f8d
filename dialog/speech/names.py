"""What recordings are called, and how they may be taken: known without loading what reads them."""

from pathlib import Path
from typing import Literal

Channels = Literal["found", "speakers", "mixed"]
"""What two channels are: found out by listening, a speaker each, or one recording twice."""

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".mp4", ".aac", ".webm")
"""Names of files that are taken for recordings."""


def is_recording(path: str | Path) -> bool:
    """Whether a file is named like a recording."""
    return Path(path).suffix.lower() in ENDINGS


CONVERTED = (".m4a", ".mp4", ".aac", ".webm")
"""Those that ffmpeg has to turn into sound first."""


class NotSound(ValueError):
    """The file holds no sound we can read; the message says what to do."""


HEAD_BYTES = 16
"""So much of a file's beginning says what it is."""


def kind_of(head: bytes) -> str | None:
    """What the first HEAD_BYTES of a file say it is, as the ending of a name (`.flac`); None for no recording.

    Nothing is decoded, so that a stranger's bytes may be looked at anywhere.
    """
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"ftyp":
        return ".m4a"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # a frame of MPEG; layer 0 is AAC
        return ".mp3" if head[1] & 0x06 else ".aac"
    return None


_BEGINNINGS = {
    b"RIFF": ".wav",
    b"RIFX": ".wav",
    b"RF64": ".wav",
    b"riff\x2e\x91\xcf\x11": ".w64",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
    b"FORM": ".aiff",
    b".snd": ".au",
    b"caff": ".caf",
    b"\x1aE\xdf\xa3": ".webm",
}
