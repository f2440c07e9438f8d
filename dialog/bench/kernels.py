"""`rapport bench kernels`: the ops beside their peers, and beside what the chip could do at most."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialog.bench.kernel_cases import Case, Run, Size, cases
from dialog.bench.kernel_peers import cases_beside_pytorch
from dialog.bench.timing import kept_bytes, suite
from models.device import Where, choose_device

CEILINGS = {
    "H100 80GB HBM3": (3.35e12, 989e12),
    "H100 PCIe": (2.0e12, 756e12),
    "H200": (4.8e12, 989e12),
    "A100": (2.0e12, 312e12),
}
"""Bytes and dense 16-bit floating operations a second, from the makers' data sheets, by a part of the GPU's name."""


def measure(
    *, repeats: int = 5, only: str = "", device: Where = None, size: Size | None = None, tune: Path | None = None
) -> dict[str, Any]:
    """The object of `rapport bench kernels --json`.

    One row an op and pass. On a CPU ours is the PyTorch version and the peer is the reference, small sizes; windows,
    sigmoid, a gate a head and a GRU also stand beside what PyTorch itself offers, at three lengths. On a GPU
    ours is the Triton kernel and the peer the quickest of: the PyTorch version under torch.compile, and the public
    kernels there are (SDPA, FlexAttention, cuDNN, flash-linear-attention where it is installed). Rows there carry
    bytes and floating operations a second, of the least a forward pass needs, and their share of the chip's ceilings.
    `kept_to_inputs` is what ours keeps for its backward pass, in bytes to those of the inputs, which may be among it.
    `only` picks the ops whose names contain it. What cannot run becomes a row with an `error`. With `tune` the rows are
    the quickest tiles on this GPU instead, and go into that file (`dialog.bench.tune`); ValueError where there is none.
    """
    where = choose_device(device)
    if tune is not None:
        if where.type != "cuda":
            raise ValueError(f"--tune looks for the quickest tiles on a GPU, and this is {where}")
        from dialog.bench.tune import tune as search

        rows = search(tune, lambda run: _medians([run], repeats, where)[0], device=where)
        return suite("kernels", rows, where=where, table=str(tune))
    torch.manual_seed(0)
    if size is None:
        on_gpu = Size(B=4, H=16, T=4096, K=64, dtype=torch.bfloat16, device=where)
        size = on_gpu if where.type == "cuda" else Size(B=1, H=4, T=256, K=32, dtype=torch.float32, device=where)
    rows = []
    beside = cases_beside_pytorch(size) if where.type == "cpu" else ()
    for case in (*cases(size), *beside):
        if only in case.name:
            rows += _rows(case, where, repeats)
    clock = {"clock": "processor seconds"} if where.type == "cpu" else {}
    return suite("kernels", rows, where=where, **clock)


def _rows(case: Case, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    passes = ["forward"]
    if any(z.requires_grad for z in case.inputs):
        passes.append("forward and backward")
    rows = []
    for which in passes:
        row: dict[str, Any] = {"name": f"{case.name}, {which}", "shape": case.shape}
        try:
            row |= _compare(case, which == "forward", device, repeats)
        except (RuntimeError, ValueError) as error:  # an op this machine cannot run is a finding, not the end
            row |= {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        rows.append(row)
    return rows


def _compare(case: Case, forward: bool, device: torch.device, repeats: int) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    ours = case.ours("triton" if on_gpu else "torch")
    if on_gpu:
        peers = dict(case.peers) | {"torch.compile": torch.compile(case.ours("torch"))}
    else:
        peers = dict(case.beside) or {"the reference": case.ours("reference")}
    runs = [_pass(run, case.inputs, forward) for run in (ours, *peers.values())]
    seconds, *others = _medians(runs, repeats, device)
    quickest = min(range(len(others)), key=others.__getitem__)
    row = {
        "seconds": seconds,
        "peer": list(peers)[quickest],
        "peer_seconds": others[quickest],
        "ratio": seconds / others[quickest],
    }
    if not forward:
        given = {z.untyped_storage().data_ptr(): z.untyped_storage().nbytes() for z in case.inputs}
        row["kept_to_inputs"] = kept_bytes(lambda: ours(*case.inputs)) / sum(given.values())
    if on_gpu and len(peers) > 1:
        row["other_peers"] = {name: s for i, (name, s) in enumerate(zip(peers, others, strict=True)) if i != quickest}
    if on_gpu and forward:
        row |= {"bytes_per_second": case.n_bytes / seconds, "flops_per_second": case.flops / seconds}
        name = torch.cuda.get_device_name(device)
        for known, (bandwidth, flops) in CEILINGS.items():
            if known in name:
                row |= {
                    "of_bandwidth": case.n_bytes / seconds / bandwidth,
                    "of_flops": case.flops / seconds / flops,
                }
    return row


def _pass(run: Run, inputs: Sequence[Tensor], forward: bool) -> Callable[[], None]:
    def only_forward() -> None:
        with torch.no_grad():
            run(*inputs)

    wanted = [z for z in inputs if z.requires_grad]
    parts: list[Tensor] = []

    def both() -> None:
        y = run(*inputs)
        if not parts:
            parts.append(torch.randn_like(y))
        torch.autograd.grad(y, wanted, parts[0], allow_unused=True)

    return only_forward if forward else both


def _medians(runs: Sequence[Callable[[], None]], repeats: int, device: torch.device) -> list[float]:
    """Median seconds of each, a processor's own on a CPU. They take turns; on a GPU each turn is as many calls as fill
    a hundredth of a second."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    calls = []
    for run in runs:
        run()
        _wait(device)
        start = clock()
        run()
        _wait(device)
        once = clock() - start
        calls.append(max(1, min(1000, int(0.01 / max(once, 1e-6)))) if device.type == "cuda" else 1)
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, n, seconds in zip(runs, calls, taken, strict=True):
            _wait(device)
            start = clock()
            for _ in range(n):
                run()
            _wait(device)
            seconds.append((clock() - start) / n)
    return [sorted(seconds)[repeats // 2] for seconds in taken]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
