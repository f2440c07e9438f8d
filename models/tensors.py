"""Named tensors and a note beside them, as bytes or as a file: safetensors, in which nothing can be executed.

The only place that writes such a file, reads one, or looks into its header.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import torch
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

from models.aside import write_aside

_NOTE = "note"
"""The field of a header's metadata that holds the note, as JSON."""


class DamagedTensors(ValueError):
    """Bytes or a file that should be safetensors and are not, or not whole; the message says which and what to do."""


def pack(tensors: Mapping[str, Tensor], note: Any = None) -> bytes:
    """The tensors, from whatever device, and a note of JSON types, as bytes that `unpack` reads."""
    # Copies: several may be views of one another, which the format knows nothing of.
    own = {k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in tensors.items()}
    return save(own, _metadata(note))


def unpack(data: bytes) -> tuple[dict[str, Tensor], Any]:
    """What `pack` was given, on the CPU. DamagedTensors for anything else."""
    try:
        with torch.device("cpu"):  # It makes an empty tensor on whatever device is the default.
            return load(data), _note(io.BytesIO(data))
    except Exception as error:  # Whatever is found in foreign bytes is the bytes' fault.
        raise DamagedTensors(f"{len(data)} bytes are no tensors with a note: {error}") from error


def write_file(path: Path | str, tensors: Mapping[str, Tensor], note: Any = None) -> None:
    """Writes the tensors and a note of JSON types; a reader finds the old file or the new one, never half of one."""
    own = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    write_aside(Path(path), lambda aside: save_file(own, aside, _metadata(note)))


def read_file(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. DamagedTensors where there is none, or it is not whole."""
    try:
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from error


def read_note(path: Path | str) -> Any:
    """The note of a file, or what another program wrote beside its tensors; None where it has none.

    DamagedTensors as `read_file`.
    """
    try:
        with open(path, "rb") as file:
            return _note(file)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _metadata(note: Any) -> dict[str, str]:
    return {"format": "pt"} | ({} if note is None else {_NOTE: json.dumps(note)})


def _note(file: BinaryIO) -> Any:
    """Of the header: its length in 8 bytes, then JSON whose `__metadata__` maps strings to strings."""
    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    told = dict(header.get("__metadata__") or {})
    told.pop("format", None)
    # A file that was not written here has its metadata, strings by name, for a note.
    return json.loads(told[_NOTE]) if _NOTE in told else told or None


def _unreadable(path: Path | str, error: Exception) -> DamagedTensors:
    if isinstance(error, FileNotFoundError):
        return DamagedTensors(f"cannot read {path}: there is no such file")
    if Path(path).is_dir():
        return DamagedTensors(f"cannot read {path}: it is a folder, expected a file of safetensors")
    if isinstance(error, OSError):
        return DamagedTensors(f"cannot read {path}: {error.strerror or error}")
    return DamagedTensors(f"cannot read {path}: it is cut off or damaged, so copy or train it again ({error})")
