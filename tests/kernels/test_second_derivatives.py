"""No backward written by hand is silently wrong twice: right, or an error. A new one is found without a list."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dialog.bench.kernel_cases import Case, Size, cases
from kernels.backend import use_backend
from kernels.cross_entropy import linear_cross_entropy
from kernels.first_order import SecondDerivative
from models.mixers import MIXERS, build_mixer

ROOT = Path(__file__).parents[2]
TWICE = {
    "kernels/scan/chunked.py::_LinearScan": "its backward is the scan itself, which is differentiated again",
    "kernels/first_order.py::_Once": "its backward is the error",
    "kernels/gla/chunked.py::_Chunked": "where a second is wanted its backward is that of its PyTorch form",
    "kernels/taps/channels_last.py::_Taps": "its backward is taps and sums, which are differentiated again",
}
SIZE = Size(B=1, H=2, T=8, K=4, dtype=torch.float32, device=torch.device("cpu"))
QUICK = {"aaren", "dialog_gru", "gla", "gru", "lstm", "mesa", "min_rnn", "rat", "rhn", "sigmoid", "softmax"}


@cache
def written_by_hand() -> dict[str, ast.FunctionDef]:
    """Every autograd function of the packages, by file and name, with its backward."""
    found = {}
    for path in sorted([*ROOT.glob("kernels/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("dialog/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any("autograd.Function" in ast.unparse(b) for b in node.bases):
                (backward,) = (f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "backward")
                found[f"{path.relative_to(ROOT)}::{node.name}"] = backward
    return found


@pytest.mark.parametrize("name", sorted(written_by_hand()))
def test_a_backward_by_hand_refuses_or_is_known_to_be_right(name: str) -> None:
    refuses = "first_order" in [ast.unparse(d) for d in written_by_hand()[name].decorator_list]
    assert refuses != (name in TWICE), f"{name} wants @first_order, or a reason in TWICE and not both"


def test_the_list_of_exceptions_is_no_longer_than_it_must_be() -> None:
    assert set(TWICE) <= set(written_by_hand())


def twice(run: Any, inputs: list[Tensor]) -> list[Tensor] | None:
    """Gradients of the gradient's square, None where that is refused."""
    leaves = [z.detach().clone().requires_grad_() for z in inputs]
    y = run(*leaves).square().sum()
    try:
        once = torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
        total = sum((g.square().sum() for g in once if g is not None), torch.zeros(()).double())
        return list(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))
    except (SecondDerivative, NotImplementedError):
        return None
    except RuntimeError as error:
        if "not implemented" in str(error) or "does not require grad" in str(error):
            return None
        raise


def differentiable() -> list[Any]:
    return [pytest.param(c, id=c.name) for c in cases(SIZE) if any(z.requires_grad for z in c.inputs)]


@pytest.mark.parametrize("case", differentiable())
def test_an_op_is_right_twice_or_refuses(case: Case) -> None:
    inputs = [z.detach().double() if z.is_floating_point() else z for z in case.inputs]
    ours = twice(case.ours("torch"), inputs)
    if ours is not None:  # a refusal wants no truth beside it
        torch.testing.assert_close(ours, twice(case.ours("reference"), inputs))


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in sorted(MIXERS)])
def test_a_mixer_is_right_twice_or_refuses(name: str) -> None:
    mixer = build_mixer(name, d_model=16).double()
    ids = torch.tensor([[0, 1, 1, 0, 2]]) if mixer.takes_ids else None
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    run = lambda z: mixer(z, ids=ids)[0]  # noqa: E731
    ours = twice(run, [x])
    if ours is not None:
        with use_backend("reference"):
            truth = twice(run, [x])
        torch.testing.assert_close(ours, truth)


def test_cross_entropy_in_chunks_refuses() -> None:
    h, weight = torch.randn(6, 4).double(), torch.randn(5, 4).double()
    assert twice(lambda h, w: linear_cross_entropy(h, w, torch.arange(6) % 5), [h, weight]) is None
