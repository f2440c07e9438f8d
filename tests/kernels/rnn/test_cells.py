"""The recurrences of GRU, highway and Elman networks: the quick loop against the definition, gradients included."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from kernels.backend import BackendUnavailable
from kernels.rnn import elman, gru, highway
from tests.kernels.accuracy import assert_as_accurate

Op = Callable[..., Tensor]


def arguments(
    kind: str, n_tokens: int, groups: tuple[int, ...] = (), dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    """u, recurrent, a bias where there is one, start; two or three rows, 5 units."""
    torch.manual_seed(n_tokens)
    n, batch = {"elman": 1}.get(kind, 3), 3 - len(groups)
    u, start = (torch.randn(*groups, batch, *rest, dtype=dtype) for rest in ((n_tokens, n * 5), (5,)))
    recurrent, bias = (torch.randn(*groups, n * 5, *rest, dtype=dtype) / 2 for rest in ((5,), ()))
    if kind.startswith("highway"):
        depth, n = (3, 2) if kind == "highway" else (2, 3)
        u = u[..., : n * 5]
        recurrent, bias = torch.randn(depth, n * 5, 5, dtype=dtype), torch.randn(depth - 1, n * 5, dtype=dtype)
    return [u, recurrent, bias[..., :5] if kind == "gru" else bias, start]


def run(kind: str, u: Tensor, recurrent: Tensor, bias: Tensor, start: Tensor, backend: str) -> Tensor:
    how: dict[str, Op] = {
        "gru": lambda **more: gru(u, recurrent, bias, start, **more),
        "gru, reset before": lambda **more: gru(u, recurrent, None, start, **more),
        "elman": lambda **more: elman(u, recurrent, start, **more),
        "highway": lambda **more: highway(u, recurrent, bias, start, **more),
        "highway, three gates": lambda **more: highway(u, recurrent, bias, start, **more),
    }
    return how[kind](backend=backend)


GROUPED = ["gru", "gru, reset before", "elman"]
CASES = [(k, ()) for k in [*GROUPED, "highway", "highway, three gates"]] + [(k, (2,)) for k in GROUPED]


@pytest.mark.parametrize("n_tokens", [1, 7, 33])
@pytest.mark.parametrize(("kind", "groups"), CASES)
def test_the_quick_loop_is_the_definition(kind: str, groups: tuple[int, ...], n_tokens: int) -> None:
    args = arguments(kind, n_tokens, groups)
    results = []
    for backend in ("torch", "reference"):
        leaves = [z.clone().requires_grad_() for z in args]
        h = run(kind, *leaves, backend=backend)
        weight = torch.linspace(-1, 1, h.numel(), dtype=h.dtype).view_as(h)
        results.append([h, *torch.autograd.grad((h * weight).sum(), leaves, materialize_grads=True)])
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("kind", "groups"), CASES)
def test_the_quick_loop_is_as_accurate_in_single_precision(kind: str, groups: tuple[int, ...]) -> None:
    args = arguments(kind, 12, groups, torch.float32)
    assert_as_accurate(partial(run, kind, backend="torch"), partial(run, kind, backend="reference"), args)


def test_recurrences_side_by_side_do_not_mix() -> None:
    args = arguments("gru", 9, (2,))
    both = gru(*args)
    for i in range(2):
        torch.testing.assert_close(both[i], gru(*(z[i] for z in args)))


def test_it_is_pytorchs_gru() -> None:
    peer = nn.GRU(4, 5, batch_first=True).double()
    x, start = torch.randn(3, 8, 4, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    bias = peer.bias_hh_l0
    u = x @ peer.weight_ih_l0.mT + peer.bias_ih_l0 + torch.cat([bias[:10], torch.zeros(5)])
    torch.testing.assert_close(gru(u, peer.weight_hh_l0, bias[10:], start), peer(x, start[None])[0])


def test_what_is_answered_is_no_argument_and_arguments_stay_as_they_are() -> None:
    for kind in ("gru", "gru, reset before", "elman", "highway"):
        args = arguments(kind, 1)
        before = [z.clone() for z in args]
        run(kind, *args, backend="torch").fill_(9.0)
        for now, then in zip(args, before, strict=True):
            assert torch.equal(now, then)


def test_sixteen_bits_are_computed_in_thirty_two() -> None:
    args = arguments("gru", 4, dtype=torch.bfloat16)
    h = gru(*args)
    assert h.dtype == torch.float32
    assert torch.equal(h, gru(*(z.float() for z in args)))


def test_what_does_not_fit_is_refused() -> None:
    u, recurrent, bias, start = arguments("gru", 4)
    with pytest.raises(ValueError, match=r"u is \(3, 4, 14\), expected \(3, 4, 15\)"):
        gru(u[..., 1:], recurrent, bias, start)
    with pytest.raises(ValueError, match=r"bias is \(4,\), expected \(5,\)"):
        gru(u, recurrent, bias[1:], start)
    with pytest.raises(ValueError, match=r"recurrent is \(5, 15\), expected \(5, 5\)"):
        elman(u[..., :5], recurrent.mT, start)
    with pytest.raises(ValueError, match="g 2 or 3"):
        highway(u[..., :5], recurrent[None], bias[None, :0], start)
    with pytest.raises(ValueError, match=r"expected \(B, N\) or \(G, B, N\)"):
        gru(u, recurrent, bias, start[None, None])
    with pytest.raises(BackendUnavailable, match="no kernel"):
        gru(u, recurrent, bias, start, backend="triton")
