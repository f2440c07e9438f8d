"""Which implementation of an op runs, and why."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

Backend = Literal["reference", "torch", "triton"]
"""reference: the definition, written to be read. torch: PyTorch, written to be quick. triton: the kernel.

An op without a quicker PyTorch version answers "torch" with its reference.
"""

_requested: ContextVar[Backend | None] = ContextVar("requested_backend", default=None)


class BackendUnavailable(ValueError):
    """A backend was asked for by name and cannot run here."""


def choose(x: Tensor, backend: Backend | None = None) -> Backend:
    """The argument first, then `use_backend`, then what suits the tensor's device.

    What is asked for by name runs or raises `BackendUnavailable`; only the automatic choice falls back.
    """
    asked = named(backend)
    if asked is not None and asked not in get_args(Backend):
        raise BackendUnavailable(f"backend {asked!r} is not one of {', '.join(get_args(Backend))}")
    if asked == "triton" and not triton_runs_on(x):
        why = f"the tensor is on {x.device}" if _triton_is_installed() else "triton is not installed"
        raise BackendUnavailable(f"triton was asked for, but {why}")
    return asked or ("triton" if x.is_cuda and triton_runs_on(x) else "torch")


def named(backend: Backend | None = None) -> Backend | None:
    """What was asked for by name, by the argument or `use_backend`; an op that cannot do it raises."""
    return backend or _requested.get()


@contextmanager
def use_backend(backend: Backend | None) -> Iterator[None]:
    """Sets the backend of every op inside the `with`, for a whole model; None goes back to the automatic choice."""
    if backend is not None and backend not in get_args(Backend):
        raise BackendUnavailable(f"backend {backend!r} is not one of {', '.join(get_args(Backend))}")
    token = _requested.set(backend)
    try:
        yield
    finally:
        _requested.reset(token)


def as_given(x: Tensor) -> AbstractContextManager[None]:
    """Inside it autocast is off: an op computes in the dtypes it says, whatever the model around it does."""
    return torch.autocast(x.device.type, enabled=False)


def triton_runs_on(x: Tensor) -> bool:
    """True on a GPU, and anywhere under Triton's interpreter, given that Triton is installed. Imports nothing."""
    return (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1") and _triton_is_installed()


@cache
def _triton_is_installed() -> bool:
    return find_spec("triton") is not None
