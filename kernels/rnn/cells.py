"""The recurrences of a GRU, a recurrent highway network and an Elman network over whole sequences.

The states of step t want those of step t - 1 through a matrix and a nonlinearity, so no scan gives them; what is spared
is everything beside one matrix product and three or four operations a step, forwards and backwards.
"""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose, named
from kernels.rnn import gated, layered, reference


def gru(u: Tensor, recurrent: Tensor, bias: Tensor | None, start: Tensor, *, backend: Backend | None = None) -> Tensor:
    """h (B, T, N) from u (B, T, 3N), what the input says of r, z and n, and the state `start` (B, N).

    recurrent (3N, N); bias (N,) where the reset gate falls on R h, None where it falls on h. With a G before every
    one of these shapes G recurrences run side by side. In float32 or wider. `reference.gru` is what it means.
    ValueError where shapes disagree.
    """
    shape = _checked(u, recurrent, start, 3)
    if bias is not None and bias.shape != shape:
        raise ValueError(f"bias is {tuple(bias.shape)}, expected {tuple(shape)}")
    run = reference.gru if _plain(u, backend) else gated.gru
    with as_given(u):
        u, recurrent, start = _wide(u, recurrent, start)
        h: Tensor = run(u, recurrent, None if bias is None else bias.to(u.dtype), start)
        return h


def highway(u: Tensor, recurrent: Tensor, biases: Tensor, start: Tensor, *, backend: Backend | None = None) -> Tensor:
    """h (B, T, N) of a network of L layers a step, from u (B, T, g N), what the input says to the first of them.

    recurrent (L, g N, N), biases (L - 1, g N), start (B, N); g = 2 for coupled gates, a and t, or 3, a, t and c. In
    float32 or wider. `reference.highway` is what it means. ValueError where shapes disagree.
    """
    gates = u.shape[-1] // max(1, start.shape[-1])
    expected = (len(biases) + 1, gates * start.shape[-1], start.shape[-1])
    if gates not in (2, 3) or recurrent.shape != expected or biases.shape[1:] != expected[1:2]:
        raise ValueError(
            f"u {tuple(u.shape)}, recurrent {tuple(recurrent.shape)}, biases {tuple(biases.shape)} and start "
            f"{tuple(start.shape)} do not fit: expected (B, T, g N), (L, g N, N), (L - 1, g N), (B, N), g 2 or 3"
        )
    _checked(u, recurrent[0], start, gates)
    run = reference.highway if _plain(u, backend) else layered.highway
    with as_given(u):
        h: Tensor = run(*_wide(u, recurrent, biases, start))
        return h


def elman(u: Tensor, recurrent: Tensor, start: Tensor, *, backend: Backend | None = None) -> Tensor:
    """h (B, T, N), h_t = tanh(u_t + R h_{t-1}); u (B, T, N), recurrent (N, N), start (B, N), with or without a G.

    In float32 or wider. ValueError where shapes disagree.
    """
    _checked(u, recurrent, start, 1)
    run = reference.elman if _plain(u, backend) else layered.elman
    with as_given(u):
        h: Tensor = run(*_wide(u, recurrent, start))
        return h


def _checked(u: Tensor, recurrent: Tensor, start: Tensor, n_logits: int) -> torch.Size:
    """The shape of a bias a unit, () or (G,) and N."""
    *groups, batch, width = start.shape
    expected = {
        "u": (u, (*groups, batch, u.shape[-2], n_logits * width)),
        "recurrent": (recurrent, (*groups, n_logits * width, width)),
    }
    if len(groups) > 1:
        raise ValueError(f"start is {tuple(start.shape)}, expected (B, N) or (G, B, N)")
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {tuple(shape)}")
    return torch.Size([*groups, width])


def _plain(u: Tensor, backend: Backend | None) -> bool:
    """Whether it is the definition that runs. There is no kernel: a library's own loop is what a GPU has."""
    if named(backend) == "triton":
        raise BackendUnavailable("triton was asked for, but these recurrences have no kernel")
    return choose(u, backend) == "reference"


def _wide(*given: Tensor) -> tuple[Tensor, ...]:
    dtype = torch.promote_types(given[0].dtype, torch.float32)
    return tuple(z.to(dtype) for z in given)
