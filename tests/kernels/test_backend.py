"""Which implementation runs, and why."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels import backend
from kernels.backend import BackendUnavailable, choose, triton_runs_on, use_backend

X = torch.zeros(1)


def test_the_argument_goes_before_the_context_and_that_before_the_device() -> None:
    assert choose(X) == "torch"
    with use_backend("reference"):
        assert choose(X) == "reference"
        assert choose(X, "torch") == "torch"
        with use_backend(None):
            assert choose(X) == "torch"
        assert choose(X) == "reference"
    assert choose(X) == "torch"


def test_the_context_ends_with_an_error_too() -> None:
    with pytest.raises(RuntimeError, match="stop"), use_backend("reference"):
        raise RuntimeError("stop")
    assert choose(X) == "torch"


def test_what_is_asked_for_by_name_runs_or_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert not triton_runs_on(X)
    with pytest.raises(BackendUnavailable, match="the tensor is on cpu"):
        choose(X, "triton")
    with use_backend("triton"), pytest.raises(BackendUnavailable, match="the tensor is on cpu"):
        choose(X)
    monkeypatch.setattr(backend, "_triton_is_installed", lambda: False)
    with pytest.raises(BackendUnavailable, match="not installed"):
        choose(X, "triton")


def test_the_interpreter_runs_anywhere_but_is_not_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose(X, "triton") == "triton"
    assert choose(X) == "torch"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="'abacus' is not one of reference, torch, triton"):
        choose(X, "abacus")  # type: ignore[arg-type]
    with pytest.raises(BackendUnavailable, match="'abacus'"), use_backend("abacus"):  # type: ignore[arg-type]
        pass


def test_no_kernel_is_imported_before_it_is_wanted() -> None:
    """On a machine without a GPU, or without Triton, everything else works."""
    program = """
import sys
sys.modules["triton"] = None  # an import of it fails
import torch
from models.mixers import MIXERS, build_mixer
for name in MIXERS:
    mixer = build_mixer(name, d_model=32)
    mixer(torch.randn(1, 3, 32), ids=torch.zeros(1, 3, dtype=torch.long) if mixer.takes_ids else None)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
