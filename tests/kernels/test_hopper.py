"""The kernels compile for a Hopper GPU, forwards and backwards, here where there may be none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

ROOT = Path(__file__).parents[2]
SLOW = (
    "scan",
    "gla",
    "value_gates",
    "rat",
    "attention",
    "prefix_softmax",
    "taylor",
    "rnn",
    "taps",
    "landmark",
    "neural_memory",
)


@pytest.mark.timeout(2000)  # attention has thirty variants, minutes of one core
@pytest.mark.parametrize("op", ["crf", *(pytest.param(op, marks=pytest.mark.slow) for op in SLOW)])
def test_every_kernel_of_an_op_compiles_for_hopper(op: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/kernels/hopper.py"), op],
        env=environment, capture_output=True, text=True, timeout=1900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "kernels compiled" in done.stdout
