"""A tar, as Skype's export is one: the logs in it as a zip, so that all else knows one kind of archive."""

import tarfile
import tempfile
import zipfile
from contextlib import suppress
from shutil import copyfileobj
from typing import BinaryIO, cast

_MARK, _AT = b"ustar", 257
_IN_MEMORY = 32 * 1024**2


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a tar."""
    return head[_AT : _AT + len(_MARK)] == _MARK


def as_zip(file: BinaryIO, endings: tuple[str, ...], most: int) -> BinaryIO:
    """A zip of the members with one of these endings, of at most so many bytes each; what is cut off is left out."""
    spool = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115 (lives as long as its source)
    file.seek(0)
    with (
        zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        suppress(tarfile.TarError, OSError, EOFError),
        tarfile.open(fileobj=file) as packed,
    ):
        for member in packed:
            if member.isfile() and member.size <= most and member.name.lower().endswith(endings):
                log = packed.extractfile(member)
                if log is not None:
                    with archive.open(member.name.removeprefix("./"), "w") as out:
                        copyfileobj(log, out)
    spool.seek(0)
    return spool
