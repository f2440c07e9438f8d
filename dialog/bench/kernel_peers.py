"""On a CPU: four ops beside what anyone would write in PyTorch in their place, at several lengths."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.bench.kernel_cases import Case, Run, Size, recurrent_weights
from kernels.attention import Pattern, attention
from kernels.backend import Backend
from kernels.gla import gated_linear_attention
from kernels.rnn import gru

CHUNK = 64


def cases_beside_pytorch(size: Size) -> Iterator[Case]:
    """At the size's own length, at twice and at four times it."""
    for times in (1, 2, 4):
        yield from _at(replace(size, T=times * size.T))


def _at(s: Size) -> Iterator[Case]:
    q, k, v = s.heads(3)
    window = min(128, s.T // 2)
    far = torch.arange(s.T, device=s.device)[:, None] - torch.arange(s.T, device=s.device)
    mask = (far >= 0) & (far <= window)
    in_window, sigmoid = Pattern(window=window), Pattern(kind="sigmoid")
    common: dict[str, Any] = {"inputs": (q, k, v), "shape": s.shape, "peers": {}, "n_bytes": 0.0, "flops": 0.0}
    yield Case(
        name=f"softmax, window {window}, T = {s.T}",
        ours=lambda backend: lambda q, k, v: attention(q, k, v, in_window, backend=backend),
        beside={"SDPA with the same mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)},
        **common,
    )
    yield Case(
        name=f"sigmoid, T = {s.T}",
        ours=lambda backend: lambda q, k, v: attention(q, k, v, sigmoid, backend=backend),
        beside={"plain scores": lambda q, k, v: ((q @ k.mT * s.K**-0.5).sigmoid() * (far >= 0)) @ v},
        **common,
    )
    log_f = F.logsigmoid(torch.randn(s.B, s.H, s.T, 1, device=s.device)).div(16).requires_grad_()
    yield Case(
        name=f"gated linear attention, a gate a head, T = {s.T}",
        ours=lambda backend: lambda q, k, v, f: gated_linear_attention(q, k, v, f, backend=backend)[0],
        beside={"plain chunks": plain_chunks},
        **common | {"inputs": (q, k, v, log_f)},
    )
    width = s.H * s.K
    inputs = (s.randn(s.B, s.T, 3 * width), recurrent_weights(s, 3), s.randn(3 * width))
    start = torch.zeros(s.B, width, device=s.device)
    # PyTorch's loop reads inputs, ours what they say to the gates: an input is here what it says.
    same, gates = torch.eye(3 * width, device=s.device), (torch.arange(3 * width, device=s.device) < 2 * width).float()

    def ours(backend: Backend) -> Run:
        return lambda u, w, b: gru(u @ same.to(u) + b * gates, w, b[2 * width :], start.to(u), backend=backend)

    def pytorchs(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
        weights = [same.to(u), w, torch.zeros_like(b), b]
        return torch.gru(u, start.to(u)[None], weights, True, 1, 0.0, False, False, True)[0]

    yield Case(
        name=f"GRU's recurrence, T = {s.T}", ours=ours, beside={"torch.gru": pytorchs}, **common | {"inputs": inputs}
    )


def plain_chunks(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor) -> Tensor:
    """Gated linear attention, a gate a head, as it is written in plain PyTorch: running sums and a C x C table."""
    size = min(CHUNK, q.shape[2])
    q, k, v, log_f = (F.pad(z, (0, 0, 0, -z.shape[2] % size)).unflatten(2, (-1, size)) for z in (q, k, v, log_f))
    sums = log_f.cumsum(3)  # (B, H, N, C, 1)
    past = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    o = (q @ k.mT * (sums - sums.mT).masked_fill(~past, -torch.inf).exp()) @ v
    ends = sums[..., -1:, :]
    added, kept = (k * (ends - sums).exp()).mT @ v, ends.exp()
    S, before = torch.zeros_like(added[:, :, 0]), []
    for n in range(added.shape[2]):
        before.append(S)
        S = kept[:, :, n] * S + added[:, :, n]
    return (o + (q * sums.exp()) @ torch.stack(before, 2)).flatten(2, 3)
