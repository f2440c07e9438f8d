"""Recurrent cells as dynamical systems along the trajectory that they take."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.mixers.dynamical import DynamicalSystem
from models.mixers.elman import ElmanCell
from models.mixers.gru import GRUCell
from models.mixers.lstm import LSTMCell
from models.mixers.recurrent import Cell, RecurrentMixer, Vectors
from models.mixers.rhn import RHNCell


class Step(NamedTuple):
    """s_t = A s_{t-1} + B [x_t; 1], h_t = C s_t, of which A and C hold at this step alone."""

    A: Tensor  # (B, N, N)
    B: Tensor  # (B, N, D + 1)
    C: Tensor  # (B, N), diagonal


def cell_system(mixer: RecurrentMixer, x: Tensor) -> DynamicalSystem:
    """Gates and slopes as they come out for x: tanh(a) is tanh(a) / a times a, and a is linear. An LSTM's state here is
    c alone, whose h is a multiple of it."""
    c, cell = mixer.config, mixer.cells[0]
    if c.n_layers > 1 or c.layer_norm or c.attention != "none" or c.learned_start:
        raise ValueError(
            f"{type(mixer).__name__} of several layers, with norms, attention or a learned start is no linear system "
            "in its inputs with matrices we know"
        )
    assert isinstance(cell, Cell)
    inputs = torch.cat([cell.inputs.weight, cell.inputs.bias[:, None]], 1)  # (n_inputs N, D + 1)
    known, state = KNOWN[type(cell)], mixer.initial_state(len(x)).layers[0]
    C = torch.ones_like(state[0])
    steps = []
    for u in cell.inputs(x).to(C.dtype).unbind(1):
        after = cell(u, state)
        step = known(cell, u, inputs, state, after, C)
        steps.append(step)
        state, C = after, step.C
    A, B, C = (torch.stack(part, 1) for part in zip(*steps, strict=True))
    C, D = torch.diag_embed(C), x.new_zeros(*x.shape, x.shape[-1] + 1)
    if isinstance(mixer.out, nn.Linear):
        C, D[..., -1] = mixer.out.weight @ C, mixer.out.bias
    return DynamicalSystem(A, B, C, D, "trajectory")


def over_itself(value: Tensor, z: Tensor) -> Tensor:
    """value / z for a value that is 0 where z is, with a slope of 1 there."""
    small = z.abs() < 1e-8
    return torch.where(small, 1.0, value / torch.where(small, 1.0, z))


def _elman(cell: Cell, u: Tensor, inputs: Tensor, before: Vectors, after: Vectors, C: Tensor) -> Step:
    bend = over_itself(after[0], u + cell.heard(before[0]))[..., None]
    return Step(bend * cell.recurrent.dense(), bend * inputs, torch.ones_like(C))


def _gru(cell: Cell, u: Tensor, inputs: Tensor, before: Vectors, after: Vectors, C: Tensor) -> Step:
    assert isinstance(cell, GRUCell)
    (h,), (u_r, u_z, u_n) = before, u.chunk(3, -1)
    r, z = (torch.cat([u_r, u_z], -1) + cell.heard(h)).sigmoid().chunk(2, -1)
    R, W = cell.candidate.dense(), inputs.chunk(3)[2].expand(len(u), -1, -1)
    if cell.candidate_bias is None:
        a, R = u_n + (r * h) @ R.mT, R * r[:, None]
    else:
        a, R = u_n + r * (h @ R.mT + cell.candidate_bias), r[..., None] * R
        W = torch.cat([W[..., :-1], W[..., -1:] + (r * cell.candidate_bias)[..., None]], -1)
    new = ((1 - z) * over_itself(a.tanh(), a))[..., None]
    return Step(torch.diag_embed(z) + new * R, new * W, torch.ones_like(C))


def _lstm(cell: Cell, u: Tensor, inputs: Tensor, before: Vectors, after: Vectors, C: Tensor) -> Step:
    assert isinstance(cell, LSTMCell)
    n, (h, c) = len(cell.gates), before
    place = cell.gates.index("g")
    parts = dict(zip(cell.gates, (u + cell.heard(h)).chunk(n, -1), strict=True))
    f = cell._gate(parts, "f", c) if "f" in parts else torch.ones_like(c)
    i = 1 - f if cell.coupled else cell._gate(parts, "i", c)
    written = (i * over_itself(parts["g"].tanh(), parts["g"]))[..., None]
    A = torch.diag_embed(f) + written * cell.recurrent.dense().chunk(n)[place] * C[:, None]
    o = cell._gate(parts, "o", after[1])
    return Step(A, written * inputs.chunk(n)[place], o if cell.identity else o * over_itself(after[1].tanh(), after[1]))


def _rhn(cell: Cell, u: Tensor, inputs: Tensor, before: Vectors, after: Vectors, C: Tensor) -> Step:
    assert isinstance(cell, RHNCell)
    (s,) = before
    A = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device).expand(len(s), -1, -1)
    B = s.new_zeros(len(s), s.shape[-1], inputs.shape[-1])
    recurrent, logits, W = cell.recurrent, u + cell.heard(s), inputs
    for layer in range(len(cell.deeper) + 1):
        if layer:
            recurrent, bias = cell.deeper[layer - 1], cell.biases[layer - 1]  # type: ignore[assignment]
            logits, W = recurrent(s) + bias, nn.functional.pad(bias[:, None], (inputs.shape[-1] - 1, 0))
        a, t, *carry = logits.chunk(cell.n_gates, -1)
        t = t.sigmoid()
        kept = carry[0].sigmoid() if carry else 1 - t
        new = (t * over_itself(a.tanh(), a))[..., None]
        turn = torch.diag_embed(kept) + new * recurrent.dense().chunk(cell.n_gates)[0]
        A, B = turn @ A, turn @ B + new * W.chunk(cell.n_gates)[0]
        s = t * a.tanh() + kept * s
    return Step(A, B, torch.ones_like(C))


KNOWN: dict[type[Cell], Callable[[Cell, Tensor, Tensor, Vectors, Vectors, Tensor], Step]] = {
    ElmanCell: _elman,
    GRUCell: _gru,
    LSTMCell: _lstm,
    RHNCell: _rhn,
}
