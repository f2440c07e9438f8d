"""The kernels compile for the chip they are written for; the interpreter, which runs them here, would not tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from kernels.crf import triton_kernel as kernels

KINDS = {"kinds": "*i64", "lengths": "*i64", "entries": "*i64", "paths": "*i64", "came_from": "*i8"}
KINDS |= {"taken_off": "*fp64", "N": "i32", "blocks": "i32"}
SIZES = {"L": 7, "P": 8, "R": 8, "G": 3, "STEPS": 64, "EDGES": True, "STORE": True}
for kernel in (kernels._sweep, kernels._expect, kernels._best, kernels._trace):
    signature = {name: "constexpr" if name in SIZES else KINDS.get(name, "*fp32") for name in kernel.arg_names}
    sizes = {name: SIZES[name] for name in kernel.arg_names if name in SIZES}
    source = ASTSource(kernel, signature, constexprs=sizes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
    assert compiled.asm["cubin"], kernel
"""


def test_every_kernel_compiles_for_hopper(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
