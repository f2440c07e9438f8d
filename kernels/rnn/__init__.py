"""Recurrences that no scan can give: those of GRU, highway and Elman networks, and of a DialogGRU with its links."""

import torch
from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose
from kernels.backend import named as asked_for
from kernels.rnn import dialogue, reference
from kernels.rnn.cells import elman, gru, highway
from kernels.rnn.links import Links, Turns, link, no_turns

__all__ = ["Links", "Turns", "dialog_gru", "elman", "gru", "highway", "link", "no_turns"]


def dialog_gru(
    gates: Tensor,
    w_contagion: Tensor,
    b_contagion: Tensor,
    w_inertia: Tensor,
    b_inertia: Tensor,
    source: Tensor,
    p_inertia: Tensor,
    p_contagion: Tensor,
    memory: Tensor,
    *,
    lengths: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """h (B, T, H) of one DialogGRU layer; `reference.dialog_gru` says what every argument is.

    Computed and answered in float32 or wider. lengths (B,) long, at most T; None where every row is full.
    Raises ValueError where shapes disagree.
    """
    batch, n_tokens = gates.shape[:2]
    width = memory.shape[-1]
    expected = {
        "gates": (gates, (batch, n_tokens, 4 * width)),
        "w_contagion": (w_contagion, (3 * width, width)),
        "b_contagion": (b_contagion, (3 * width,)),
        "w_inertia": (w_inertia, (3 * width, width)),
        "b_inertia": (b_inertia, (3 * width,)),
        "source": (source, (batch, n_tokens)),
        "p_inertia": (p_inertia, (batch, n_tokens)),
        "p_contagion": (p_contagion, (batch, n_tokens)),
        "memory": (memory, (batch, memory.shape[1], width)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected {shape}")
    if memory.shape[1] < 1:
        raise ValueError("memory holds no slot, and the previous state is read from its last one")
    if lengths is None:
        lengths = source.new_full((batch,), n_tokens)
    dtype = torch.promote_types(gates.dtype, torch.float32)
    gates, w_contagion, b_contagion, w_inertia, b_inertia, p_inertia, p_contagion, memory = (
        z.to(dtype) for z in (gates, w_contagion, b_contagion, w_inertia, b_inertia, p_inertia, p_contagion, memory)
    )
    args = (gates, w_contagion, b_contagion, w_inertia, b_inertia, source, p_inertia, p_contagion, memory, lengths)
    chosen = choose(gates, backend)
    if chosen == "triton" and dtype == torch.float32:
        from kernels.rnn import triton_kernel

        return triton_kernel.dialog_gru(*args)
    if chosen == "triton" and asked_for(backend) == "triton":
        raise BackendUnavailable(f"triton was asked for, but its DialogGRU takes float32, and this is {dtype}")
    run = reference if chosen == "reference" else dialogue
    with as_given(gates):
        y: Tensor = run.dialog_gru(*args)
        return y
