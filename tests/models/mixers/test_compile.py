"""The mixers under a compiler and an exporter: one graph for every length, with and without padding."""

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim, export

from models.mixers import MIXERS, build_mixer
from models.mixers.base import SequenceMixer

LENGTHS = (34, 35, 40, 48, 55, 64, 89, 101)
"""At least two blocks of any mixer: a compiler makes graphs of their own for none and for one of anything."""
NOT_ONE_GRAPH = {"titans_mac": "memory and attention take turns, a segment after the other"}
"""name -> why it is not one graph for every length."""
QUICK = {"gla", "softmax"}


def each(names: list[str]) -> list[Any]:
    """All of them, the quick ones always."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def inputs(mixer: SequenceMixer[Any], n_tokens: int) -> dict[str, Any]:
    """x (2, T, 16), ids where they are taken, and a mask whose second row is shorter."""
    return {
        "x": torch.randn(2, n_tokens, 16),
        "ids": torch.randint(3, (2, n_tokens)) if mixer.takes_ids else None,
        "mask": torch.arange(n_tokens) < torch.tensor([n_tokens, n_tokens - 2])[:, None],
    }


@pytest.mark.parametrize("name", each(sorted(MIXERS)))
def test_a_mixer_is_one_graph_for_every_length(name: str) -> None:
    torch.compiler.reset()
    mixer = build_mixer(name, d_model=16).eval()
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(mixer, dynamic=True, fullgraph=name not in NOT_ONE_GRAPH, backend=counter)
    for n_tokens in LENGTHS if name not in NOT_ONE_GRAPH else LENGTHS[::4]:
        given = inputs(mixer, n_tokens)
        with torch.no_grad():
            torch.testing.assert_close(compiled(**given)[0], mixer(**given)[0], atol=1e-4, rtol=1e-4)
    assert (counter.frame_count == 1) == (name not in NOT_ONE_GRAPH), f"{counter.frame_count} graphs"


@pytest.mark.parametrize("name", each(sorted(set(MIXERS) - set(NOT_ONE_GRAPH))))
def test_a_mixer_is_exported_for_every_length(name: str) -> None:
    mixer = build_mixer(name, d_model=16).eval()
    example = {key: z for key, z in inputs(mixer, 300).items() if z is not None}
    n_tokens = Dim("T", min=257, max=4096)
    shapes = {key: {1: n_tokens} for key in example}
    # What its solver cannot prove of T, such as 2 % (4 (T // 16)) != 0, is asked as the program runs.
    how: Any = {"dynamic_shapes": shapes, "strict": False, "prefer_deferred_runtime_asserts_over_guards": True}
    with torch.no_grad():
        program = export(mixer, (), example, **how).module()
        for n in (257, 320):
            given = {key: z for key, z in inputs(mixer, n).items() if z is not None}
            torch.testing.assert_close(program(**given)[0], mixer(**given)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["gla", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_compiled_mixer_has_the_gradients_of_the_plain_one(name: str) -> None:
    torch.compiler.reset()
    mixer = build_mixer(name, d_model=16)
    compiled = torch.compile(mixer, dynamic=True, fullgraph=True, backend="aot_eager")
    x = torch.randn(2, 70, 16, requires_grad=True)
    wanted = [x, *mixer.parameters()]
    ours, plain = (torch.autograd.grad(m(x)[0].square().sum(), wanted) for m in (compiled, mixer))
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
