"""`rapport bench kernels --tune FILE`: which tiles are quickest on this GPU, for the table that the kernels read."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kernels.attention import attention
from kernels.tiles import TABLE, Tile, capability, table, trying

WIDTHS = (64, 128, 256)
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
ROWS, HEADS, TOKENS = 4, 16, 4096

Seconds = Callable[[Callable[[], Any]], float]


def tune(file: Path, seconds: Seconds, *, device: torch.device, tokens: int = TOKENS) -> list[dict[str, Any]]:
    """A row for each kernel, dtype and width, and the table with the choices found, in `file`.

    The file begins as a copy of the table that is shipped; other devices' choices in it stay. A tile that the chip has
    no room for is passed over. Where none runs there is no choice, and the row says why.
    """
    told = json.loads((file if file.exists() else TABLE).read_text(encoding="utf-8"))
    rows = []
    for dtype, width in product(DTYPES, WIDTHS):
        q, k, v = (
            torch.randn(ROWS, HEADS, tokens, width, dtype=dtype, device=device, requires_grad=True) for _ in range(3)
        )
        for kernel, run in (("attention.forward", _forward(q, k, v)), ("attention.backward", _backward(q, k, v))):
            best, row = _quickest(run, candidates(width, backward=kernel.endswith("backward")), seconds)
            name = str(dtype).removeprefix("torch.")
            rows.append({"name": f"{kernel}, {name}, {width} wide", **row})
            if best is not None:
                by_dtype = told.setdefault(kernel, {}).setdefault(capability(q), {})
                by_dtype.setdefault(name, {})[str(width)] = best._asdict()
                file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    table(file)  # what was written can be read
    return rows


def candidates(width: int, *, backward: bool) -> Iterator[Tile]:
    """Every tile that is tried for heads so wide: wide heads leave no room for large tiles or many stages."""
    keys, stages = ((64, 128), (2, 3)) if width <= 64 else ((32, 64), (1, 2))
    passes = (2, 1) if backward else (2,)
    for rows, columns, warps, ahead, loops, often in product((32, 64, 128), keys, (4, 8), stages, (2, 1), passes):
        yield Tile(queries=rows, keys=columns, warps=warps, stages=ahead, loops=loops, passes=often)


def _quickest(run: Callable[[], Any], choices: Iterable[Tile], seconds: Seconds) -> tuple[Tile | None, dict[str, Any]]:
    found: list[tuple[float, Tile]] = []
    amiss = ""
    for choice in choices:
        with trying(choice):
            try:
                found.append((seconds(run), choice))
            except (RuntimeError, ValueError) as error:  # more shared memory than there is, say
                amiss = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if not found:
        return None, {"error": amiss}
    taken, best = min(found)
    return best, {"seconds": taken, "tried": len(found), "tile": best._asdict()}


def _forward(q: Tensor, k: Tensor, v: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.no_grad():
            return attention(q, k, v, backend="triton")

    return run


def _backward(q: Tensor, k: Tensor, v: Tensor) -> Callable[[], Any]:
    """The backward alone: its forward has run before, whatever its tiles were."""
    kept: list[Tensor] = []

    def run() -> Any:
        if not kept:
            with torch.enable_grad():
                kept.append(attention(q, k, v, backend="triton"))
        return torch.autograd.grad(kept[0], (q, k, v), torch.ones_like(kept[0]), retain_graph=True)

    return run
