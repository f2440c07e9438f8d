"""Compiles the Triton kernels of an op for a Hopper GPU (sm_90) on a machine without one.

Run as a program, without the interpreter: it calls the ops' triton_kernel modules on CPU tensors while each launch is
replaced by compiling the kernel for exactly those arguments, down to machine code. What is printed for each is what
the assembler says: registers a thread, bytes spilled, bytes of shared memory; and how many instructions there are, in
all and in each loop that holds no other. With `--counts FILE` these are kept as well, of each op's first case.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from kernels import tiles

HOPPER = GPUTarget("cuda", 90, 32)
SHARED_MEMORY = 227 * 1024
TYPES = {
    torch.float64: "fp64", torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16",
    torch.int64: "i64", torch.int32: "i32", torch.int8: "i8", torch.uint8: "u8", torch.bool: "i1",
}  # fmt: skip
LAUNCH = ("num_warps", "num_stages", "num_ctas", "maxnreg")

compiled: dict[str, str] = {}
counts: list[dict[str, Any]] = []


def compile_instead(self: Any, *args: Any, grid: Any = None, warmup: bool = False, **named: Any) -> None:
    """In the place of JITFunction.run."""
    options = {name: named.pop(name) for name in LAUNCH if name in named}
    bound = dict(zip(self.arg_names, args, strict=False)) | named
    signature: dict[str, str] = {}
    constants: dict[tuple[int], Any] = {}
    attributes: dict[tuple[int], Any] = {}
    for i, parameter in enumerate(self.params):
        value = bound.get(parameter.name, parameter.default)
        signature[parameter.name] = kind = "constexpr" if parameter.is_constexpr else _type(value)
        if kind == "constexpr":
            constants[(i,)] = value
        elif isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            attributes[(i,)] = [["tt.divisibility", 16]]
    key = f"{self.fn.__module__}.{self.fn.__name__} {signature} {constants} {options}"
    if key not in compiled:
        made = triton.compile(ASTSource(self, signature, constants, attributes), target=HOPPER, options=options)
        shared, found = made.metadata.shared, _resources(made.asm["cubin"])
        compiled[key] = ", ".join([f"{self.fn.__name__}: shared {shared}", *(f"{k} {n}" for k, n in found.items())])
        counts.append({"kernel": self.fn.__name__, "shared": shared, **found})
        print(compiled[key], flush=True)
        if shared > SHARED_MEMORY:
            sys.exit(
                f"{self.fn.__name__} wants {shared} bytes of shared memory, and a Hopper block has {SHARED_MEMORY}"
            )


def _type(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, bool):
        return "i1"
    if value is None or value == 1:
        return "constexpr"
    if isinstance(value, int):
        return "i32" if abs(value) < 2**31 else "i64"
    return "fp32"


def _resources(cubin: bytes) -> dict[str, Any]:
    """Registers, stack bytes and instructions, where cuobjdump came with Triton."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not (tool.exists() or shutil.which("cuobjdump")):
        return {}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage, code = (
            subprocess.run(
                [str(tool if tool.exists() else "cuobjdump"), what, file.name],
                capture_output=True, text=True, check=False,
            ).stdout
            for what in ("-res-usage", "-sass")
        )  # fmt: skip
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    numbers = {"registers": int(found[1]), "stack": int(found[2])} if found else {}
    return numbers | instructions(code)


def instructions(code: str) -> dict[str, Any]:
    """Of machine code as cuobjdump prints it: all instructions, and those of each loop without a loop in it."""
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.+?);", code)
    places = [int(place, 16) for place, _ in lines]
    jumps = [
        (place, re.search(r"\bBRA\b.*?0x([0-9a-f]+)", said)) for place, (_, said) in zip(places, lines, strict=True)
    ]
    loops = [(int(to[1], 16), place) for place, to in jumps if to and int(to[1], 16) < place]
    inner = [(a, b) for a, b in loops if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)]
    sizes = [sum(a <= place <= b for place in places) for a, b in inner]
    return {"instructions": len(lines), "loops": sizes} if lines else {}


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def scan(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.scan import triton_kernel

    a, b = (randn(2, 130, 64, dtype=dtype) for _ in range(2))
    yield triton_kernel.scanned(a, b, randn(2, 64), dtype)[0]


def gla(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.gla import triton_kernel

    for gates in (64, 1):
        q, k, v = (
            randn(1, 2, 130, 64, dtype=dtype),
            randn(1, 2, 130, 64, dtype=dtype),
            randn(1, 2, 130, 128, dtype=dtype),
        )
        log_f, S = randn(1, 2, 130, gates), randn(1, 2, 64, 128)
        o, last = triton_kernel.gated_linear_attention(q, k, v, log_f, S)
        yield o.sum() + last.sum()
        with torch.no_grad():
            triton_kernel.gated_linear_attention(*(z[:, :, :1] for z in (q, k, v, log_f)), S)


def value_gates(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.gla import triton_values

    for width in (64, 128):
        q, k = (randn(1, 2, 130, width, dtype=dtype) for _ in range(2))
        v, log_g = randn(1, 2, 130, 64, dtype=dtype), randn(1, 2, 130, 64)
        o, last = triton_values.value_gated_attention(q, k, v, log_g, randn(1, 2, width, 64))
        yield o.sum() + last.sum()


def rat(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.rat import triton_kernel

    phase = torch.zeros(2, dtype=torch.long)
    for width in (64, 128):
        k, v, g = (randn(2, 130, 4, width, dtype=dtype) for _ in range(3))
        yield torch.cat(triton_kernel.chunk_scan(k[:, :, :2], v, g, 16, phase, randn(2, 4, width), randn(2, 4, width)))
        ends = (randn(2, 8, 4, width, dtype=dtype) for _ in range(2))
        end = (torch.arange(130) // 16).expand(2, -1)
        yield triton_kernel.chunk_attention(k, v, g, *ends, phase, end)


def attention(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.attention import Pattern, Structure, triton_kernel

    ids, end = torch.zeros(2, 130, dtype=torch.long), torch.full((2,), 130)
    identity = Structure(end=end, ids=ids, k_other=randn(2, 4, 130, 64, dtype=dtype), relative=randn(2, 4, 9))
    for width, pattern, structure in (
        (64, Pattern(), Structure()),
        (128, Pattern(dropout=0.1), Structure()),
        (256, Pattern(), Structure()),
        (64, Pattern(kind="sigmoid"), Structure(offset=randn(1, 1, 130))),
        (64, Pattern(window=100, causal=False), identity),
    ):
        q, k, v = (randn(2, 4, 130, width, dtype=dtype) for _ in range(3))
        yield triton_kernel.attention(q, k, v, pattern, structure)


def prefix_softmax(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.prefix_softmax import triton_kernel

    for width in (64, 128):
        v = randn(2, 4, 130, width, dtype=dtype)
        yield triton_kernel.prefix_softmax(randn(2, 4, 130), v, randn(2, 4), randn(2, 4, width))[0]


def taylor(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.taylor import n_features, triton_kernel

    for width, d_value, order, lowest in ((16, 33, 2, 0), (64, 64, 2, 0), (8, 128, 3, 1)):
        q, k = (randn(1, 2, 130, width, dtype=dtype) for _ in range(2))
        S = randn(1, 2, n_features(width, order, lowest), d_value)
        o, last = triton_kernel.taylor_attention(q, k, randn(1, 2, 130, d_value, dtype=dtype), S, order, lowest)
        yield o.sum() + last.sum()


def rnn(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.rnn import triton_kernel

    if dtype != torch.float32:
        return  # the op computes in float32 whatever it is given
    weights = (randn(768, 256), randn(768), randn(768, 256), randn(768))
    source, lengths = torch.zeros(3, 2, dtype=torch.long), torch.full((3,), 2)
    yield triton_kernel.dialog_gru(
        randn(3, 2, 1024), *weights, source, randn(3, 2), randn(3, 2), randn(3, 2, 256), lengths
    )


def crf(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.crf import linear_chain, skip_chain, triton_kernel

    mask, ids = torch.ones(2, 9, dtype=torch.bool), torch.zeros(2, 9, dtype=torch.long)
    start, last, same, other = randn(7), randn(7), randn(7, 7), randn(7, 7)
    for chain in (skip_chain(ids, mask, start, last, same, other), linear_chain(mask, start, last, same)):
        emissions = randn(2, 9, 7, dtype=dtype)
        triton_kernel.viterbi(emissions, chain)
        triton_kernel.marginals(emissions, chain)
        yield triton_kernel.log_partition(emissions, chain)


def taps(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.taps import triton_kernel

    yield triton_kernel.taps(randn(2, 130, 64, dtype=dtype), randn(64, 20, dtype=dtype), 2)


def landmark(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.landmark import triton_kernel
    from kernels.landmark.far import Far

    place, marks = torch.arange(130).expand(1, -1), randn(1, 2, 130, 3)
    for width in (64,) if dtype == torch.float32 else (64, 128):
        q, k, v = (randn(1, 2, n, width, dtype=dtype) for n in (130, 192, 192))
        for far in (None, Far(q, k, 1)):
            yield triton_kernel.landmark_attention(q, k, v, marks, place, 64, True, far)


def neural_memory(dtype: torch.dtype) -> Iterator[Tensor]:
    from kernels.neural_memory import Fast, Gates, Rule, Squared, triton_kernel

    if dtype != torch.float32:
        return  # the op computes in float32 whatever it is given
    for layers, chunk, width in ((1, 16, 64), (2, 16, 32), (2, 32, 64)):
        q, k, v = (randn(1, 2, 130, width) for _ in range(3))
        weights = tuple(randn(1, 2, width, width) for _ in range(layers))
        gates, phase = Gates(*(-randn(1, 2, 130).square() for _ in range(3))), torch.zeros(1, dtype=torch.long)
        rule = Rule(error=Squared(2.0), chunk=chunk)
        yield triton_kernel.neural_memory(q, k, v, gates, Fast(weights, weights, weights, phase), rule, None)[0]


OPS: dict[str, Callable[[torch.dtype], Iterator[Tensor]]] = {
    "scan": scan,
    "gla": gla,
    "value_gates": value_gates,
    "rat": rat,
    "attention": attention,
    "prefix_softmax": prefix_softmax,
    "taylor": taylor,
    "rnn": rnn,
    "crf": crf,
    "taps": taps,
    "landmark": landmark,
    "neural_memory": neural_memory,
}

if __name__ == "__main__":
    JITFunction.run = compile_instead
    # What looks at the device to choose its blocks is to choose those it would on the GPU.
    tiles.capability = lambda x: "9.0"
    torch.Tensor.is_cuda = property(lambda self: True)  # type: ignore[assignment, misc]
    names = sys.argv[1:]
    file = Path(names.pop(1)) if names[:1] == ["--counts"] else None
    names = names[1:] if file else names
    kept = []
    for name in names or OPS:
        for dtype in (torch.bfloat16, torch.float32):
            for output in OPS[name](dtype):
                output.float().sum().backward()
                if file:
                    break
            kept += [{"op": name, "dtype": str(dtype).removeprefix("torch."), **row} for row in counts]
            counts.clear()
            if file:
                file.write_text(
                    json.dumps({"triton": triton.__version__, "rows": kept}, indent=2) + "\n", encoding="utf-8"
                )
    print(f"{len(compiled)} kernels compiled")
