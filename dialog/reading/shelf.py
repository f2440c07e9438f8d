"""What was read of one long conversation, on disk: a run that is stopped goes on with the reading it had done.

Only ever appended; a record that a kill tore is cut off. Tensors are stored as safetensors.
"""

import struct
from pathlib import Path
from typing import Self

from safetensors.torch import load, save
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows has no flock; there two readers of one conversation are the user's to avoid
    fcntl = None  # type: ignore[assignment]

_HEAD = struct.Struct("<16s?Q")  # the sequence's key, whether its tokens are there too, and how many bytes follow


class Shelf:
    """Tensors by the key of what they were read off. Use as a context manager; `discard` it when it has served.

    One process at a time has it open; another one waits until that is done or dead.
    """

    def __init__(self, path: Path, version: str) -> None:
        """`version` names what reads: what another version left is thrown away."""
        self.path = path
        self._file = path.open("a+b")
        if fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._places: dict[tuple[bytes, bool], tuple[int, int]] = {}
        self._open(version.encode() + b"\n")

    def get(self, key: bytes, *, tokens: bool) -> list[Tensor] | None:
        """What was kept under a key, vectors first; None where nothing was."""
        place = self._places.get((key, tokens))
        if place is None:
            return None
        self._file.seek(place[0])
        stored = load(self._file.read(place[1]))
        return [stored[name] for name in sorted(stored)]

    def put(self, key: bytes, tensors: list[Tensor], *, tokens: bool) -> None:
        """Keeps tensors under a key."""
        data = save({f"{i:06d}": tensor.contiguous() for i, tensor in enumerate(tensors)})
        end = self._file.seek(0, 2)
        self._file.write(_HEAD.pack(key, tokens, len(data)) + data)
        self._file.flush()
        self._places[key, tokens] = (end + _HEAD.size, len(data))

    def discard(self) -> None:
        """Closes and deletes it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _open(self, mark: bytes) -> None:
        self._file.seek(0)
        if self._file.read(len(mark)) != mark:
            self._file.truncate(0)
            self._file.write(mark)
            self._file.flush()
            return
        end, size = len(mark), self.path.stat().st_size
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            key, tokens, length = _HEAD.unpack(head)
            if end + _HEAD.size + length > size:
                break
            self._places[key, tokens] = (end + _HEAD.size, length)
            end += _HEAD.size + length
            self._file.seek(end)
        self._file.truncate(end)
