"""How large a kernel's tiles are and how many warps share one: what was found best for a device, from a table.

`tiles.json` has, by kernel, the device's compute capability, the dtype and the width of a head, the choice that
`rapport bench kernels --tune FILE` wrote; a kernel has a rule of its own for what is not in it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

TABLE = Path(__file__).with_name("tiles.json")


class Tile(NamedTuple):
    """The numbers a launch needs that its answer does not depend on."""

    queries: int
    keys: int
    warps: int
    stages: int
    loops: int
    """2: full tiles have a loop of their own, without masks; 1: all tiles share one, in fewer registers."""
    passes: int = 2
    """Of a backward over its scores. 1: they are made once, and the queries' gradients are added up by atomics, in an
    order that is never the same, so that the last bits differ from run to run."""


_tried: ContextVar[Tile | None] = ContextVar("tried_tile", default=None)


def tile(kernel: str, x: Tensor, width: int) -> Tile | None:
    """What the table has for a kernel on the device of x, in its dtype, of heads so wide; None where it has nothing.

    A width between two in the table counts as the next.
    """
    if (tried := _tried.get()) is not None:
        return tried
    found = table().get(kernel, {}).get(capability(x), {}).get(str(x.dtype).removeprefix("torch."), {})
    widths = sorted(int(known) for known in found if int(known) >= width)
    return Tile(**found[str(widths[0])]) if widths else None


@contextmanager
def trying(choice: Tile) -> Iterator[None]:
    """Every kernel that asks gets this one, table or no table: for finding the best."""
    token = _tried.set(choice)
    try:
        yield
    finally:
        _tried.reset(token)


@cache
def table(path: Path = TABLE) -> dict[str, Any]:
    """The choices of a file, by kernel, capability, dtype and width; ValueError where it says something else."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for kernel, by_capability in told.items():
        for by_dtype in by_capability.values():
            for dtype, by_width in by_dtype.items():
                for width, choice in by_width.items():
                    known, needed = set(Tile._fields), set(Tile._fields) - set(Tile._field_defaults)
                    if not needed <= set(choice) <= known or not all(
                        isinstance(n, int) and n > 0 for n in choice.values()
                    ):
                        raise ValueError(
                            f"{path}: {kernel}, {dtype}, {width} wide has {choice}, expected whole numbers above 0 of "
                            f"{', '.join(Tile._fields)}"
                        )
    return told


def capability(x: Tensor) -> str:
    """ "9.0" on a Hopper GPU; nothing where there is none."""
    return "{}.{}".format(*torch.cuda.get_device_capability(x.device)) if x.device.type == "cuda" else ""
