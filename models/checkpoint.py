"""A model on disk: a folder with config.json and model.safetensors. Nothing in it is executed when it is read."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models import config as configs

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)


class CheckpointError(ValueError):
    """A folder that does not hold the model asked for."""


def save(folder: Path | str, model: nn.Module, config: Any, *, dtype: torch.dtype | None = None) -> Path:
    """Writes the folder, made if absent. With `dtype` (float16, say) floating tensors are stored in it.

    Each file is written aside and then renamed, so a reader finds the old file or the new one, never half of one.
    A parameter that several modules share is stored once.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    stored: set[tuple[Any, ...]] = set()
    for name, tensor in model.state_dict().items():
        place = _place(tensor)
        if tensor.numel() and place in stored:
            continue
        stored.add(place)
        kept = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        tensors[name] = kept.detach().cpu().contiguous()
    text = configs.dumps(config)
    _replace(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    _replace(folder / CONFIG, lambda path: Path(path).write_text(text, encoding="utf-8"))
    return folder


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def read_config(folder: Path | str, *known: type[C]) -> C:
    """The config in a folder, one of the classes `known`. Raises CheckpointError, or ConfigError for a bad file."""
    path = Path(folder) / CONFIG
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise CheckpointError(f"cannot read {path}: {e.strerror}") from e
    return configs.loads(text, *known)


def load_weights(model: M, folder: Path | str) -> M:
    """Fills the model with the folder's weights, in the model's own dtypes and on its devices, and returns it.

    Raises CheckpointError when a weight is missing, left over or of another shape.
    """
    path = Path(folder) / WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, safetensors.SafetensorError) as e:
        raise CheckpointError(f"cannot read {path}: {e}") from e
    own = model.state_dict()
    homes = {_place(own[name]) for name in stored if name in own}
    faults = [f"{name} is not in the model" for name in stored if name not in own]
    faults += [f"{name} is missing" for name, t in own.items() if name not in stored and _place(t) not in homes]
    faults += [
        f"{name} is {tuple(t.shape)}, expected {tuple(own[name].shape)}"
        for name, t in stored.items()
        if name in own and own[name].shape != t.shape
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(f"{path} does not fit the model: {'; '.join(faults[:5])}{more}")
    with torch.no_grad():
        for name, tensor in stored.items():
            own[name].copy_(tensor)
    return model


def load(folder: Path | str, build: Callable[[C], M], *known: type[C]) -> M:
    """The model of a folder, in evaluation mode: `build(config)` with the weights in place."""
    return load_weights(build(read_config(folder, *known)), folder).eval()


def content_hash(folder: Path | str) -> str:
    """The first 12 hex digits of the SHA-256 over config.json and model.safetensors: the same model, the same hash."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with open(Path(folder) / name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Equal for two names of one tensor."""
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _replace(path: Path, write: Callable[[str], Any]) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(aside)
        os.chmod(aside, 0o644)  # mkstemp's 0600 would hide the model from a service that runs as another user
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
