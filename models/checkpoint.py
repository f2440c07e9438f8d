"""A model on disk: a folder with its config and its weights. Nothing in it is executed when it is read.

Every model is saved and loaded here. What is wrong with a folder is a CheckpointError, a ValueError in one line that
names the file, says what is wrong with it, and what to do.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models import config as configs
from models import eight_bits
from models import tensors as files
from models.aside import write_aside
from models.catalogue import CONFIG_FILE, WEIGHTS_FILE
from models.device import Where, choose_device

C = TypeVar("C")
M = TypeVar("M", bound=nn.Module)


class CheckpointError(ValueError):
    """A folder that does not hold the model asked for."""


def save(folder: Path | str, model: nn.Module, config: Any, *, dtype: torch.dtype | None = None) -> Path:
    """Writes the folder, made if absent. With `dtype` (float16, say) floating tensors are stored in it; with int8 the
    large ones at eight bits and the others in float16, as `models.eight_bits` says.

    A parameter that several modules share is stored once.
    """
    tensors: dict[str, Tensor] = {}
    stored: set[tuple[Any, ...]] = set()
    for name, tensor in model.state_dict().items():
        place = _place(tensor)
        if tensor.numel() and place in stored:
            continue
        stored.add(place)
        narrowed = dtype not in (None, torch.int8) and tensor.is_floating_point()
        tensors[name] = tensor.to(dtype) if narrowed else tensor
    return write(folder, eight_bits.lowered(tensors) if dtype == torch.int8 else tensors, config)


def write(folder: Path | str, tensors: Mapping[str, Tensor], config: Any) -> Path:
    """Writes the folder, made if absent, of a model that is more than one module.

    Each file is written aside and then renamed, so a reader finds the old file or the new one, never half of one.
    """
    folder, text = Path(folder), configs.dumps(config)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_file(folder / WEIGHTS_FILE, tensors)
    write_aside(folder / CONFIG_FILE, lambda path: Path(path).write_text(text, encoding="utf-8"))
    return folder


def read(folder: Path | str, *known: type[C]) -> tuple[C, dict[str, Tensor]]:
    """The config in a folder, one of the classes `known`, and the tensors. Raises CheckpointError."""
    return read_config(folder, *known), read_weights(folder)


def read_config(folder: Path | str, *known: type[C]) -> C:
    """The config in a folder, one of the classes `known`. Raises CheckpointError."""
    path = Path(folder) / CONFIG_FILE
    try:
        return configs.loads(path.read_text(encoding="utf-8"), *known)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; expected a model's folder") from error
    except ValueError as error:  # not JSON, not a text, another model's config, or a value that its class refuses
        wanted = " or ".join(c.__name__ for c in known) or "model"
        raise CheckpointError(f"{path} does not describe a {wanted}: {error}") from error


def read_weights(folder: Path | str) -> dict[str, Tensor]:
    """The tensors in a folder, on the CPU, those kept at eight bits in float32. Raises CheckpointError."""
    try:
        return eight_bits.raised(files.read_file(Path(folder) / WEIGHTS_FILE))
    except files.DamagedTensors as error:
        raise CheckpointError(str(error)) from error


def read_json(path: Path | str) -> Any:
    """What a file of JSON beside a model's weights holds. Raises CheckpointError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # not JSON, or not a text
        raise CheckpointError(f"{path} is not JSON, so copy it again or make it anew ({error})") from error


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def one(tensors: Mapping[str, Tensor], name: str, folder: Path | str, shape: tuple[int, ...] | None = None) -> Tensor:
    """The tensor of that name. CheckpointError where the folder's weights lack it, or it has another shape."""
    if name not in tensors:
        raise _misfit(folder, [f"{name} is missing"])
    if shape is not None and tuple(tensors[name].shape) != shape:
        raise _misfit(folder, [f"{name} is {tuple(tensors[name].shape)}, expected {shape}"])
    return tensors[name]


def fill(model: M, tensors: Mapping[str, Tensor], folder: Path | str, *, prefix: str = "") -> M:
    """Gives the model its tensors, those under the prefix, in its own dtypes and on its devices, and returns it.

    Raises CheckpointError when one is missing, left over or of another shape; `folder` is what that is said of.
    """
    stored, own = part(tensors, prefix), model.state_dict()
    homes = {_place(own[name]) for name in stored if name in own}
    faults = [f"{prefix}{name} is not in the model" for name in stored if name not in own]
    faults += [f"{prefix}{name} is missing" for name, t in own.items() if name not in stored and _place(t) not in homes]
    faults += [
        f"{prefix}{name} is {tuple(t.shape)}, expected {tuple(own[name].shape)}"
        for name, t in stored.items()
        if name in own and own[name].shape != t.shape
    ]
    if faults:
        raise _misfit(folder, faults)
    with torch.no_grad():
        for name, tensor in stored.items():
            own[name].copy_(tensor)
    return model


def load_weights(model: M, folder: Path | str) -> M:
    """`fill` with all of the folder's weights."""
    return fill(model, read_weights(folder), folder)


def load(folder: Path | str, build: Callable[[C], M], *known: type[C], device: Where = None) -> M:
    """The model of a folder, in evaluation mode, on a device: `build(config)` with the weights in place."""
    return load_weights(build(read_config(folder, *known)), folder).to(choose_device(device)).eval()


def is_model(folder: Path | str) -> bool:
    """Whether both files of a model are there."""
    return all((Path(folder) / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE))


def content_hash(folder: Path | str) -> str:
    """The first 12 hex digits of the SHA-256 over the config and the weights: the same model, the same hash."""
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        with open(Path(folder) / name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def _misfit(folder: Path | str, faults: list[str]) -> CheckpointError:
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
    return CheckpointError(
        f"{Path(folder) / WEIGHTS_FILE} does not fit the model that {CONFIG_FILE} beside it describes: "
        f"{'; '.join(faults[:5])}{more}; copy or train both files together"
    )


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Equal for two names of one tensor."""
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
