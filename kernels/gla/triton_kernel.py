"""Gated linear attention on a GPU: chunks of 64, sub-chunks of 16, the recurrence itself for a few tokens.

Forward writes the states between chunks in the values' dtype; backward makes them again rather than keep them.
"""

from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.gla import triton_backward as backward
from kernels.gla import triton_forward as forward
from kernels.grid import line

CHUNK = 64
SUB = 16
FEW = 16
"""Up to this many tokens without gradients, the recurrence is run as it stands."""


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py; log_f may be (B, H, T, 1), one gate for all key channels."""
    batch, heads = k.shape[:2]
    rows = [z.flatten(0, 1).contiguous() for z in (q.to(v.dtype), k.to(v.dtype), v, log_f, S)]
    if v.shape[2] <= FEW and not (torch.is_grad_enabled() and any(z.requires_grad for z in rows)):
        o, S = _steps(*rows)
    else:
        o, S = _Chunked.apply(*rows)
    return o.unflatten(0, (batch, heads)), S.unflatten(0, (batch, heads))


def _steps(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    rows, n_tokens, width = k.shape
    o, last = torch.empty_like(v), torch.empty_like(S)
    block_k = triton.next_power_of_2(width)
    block_v = max(1, min(triton.next_power_of_2(v.shape[-1]), 4096 // block_k))  # S in registers, 32 a thread
    grid = line(triton.cdiv(v.shape[-1], block_v), rows)
    forward.step_kernel[grid](
        q, k, v, log_f, S, o, last, n_tokens,
        K=width, V=v.shape[-1], G=log_f.shape[-1], BLOCK_K=block_k, BLOCK_V=block_v, num_warps=4,
    )  # fmt: skip
    return o, last


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        run = _Launch(k, v, log_f)
        up_to, after = run.sums(log_f)
        H, last = run.states(k, v, up_to, after, S)
        P = run.scores(q, k, log_f, S.dtype)
        o = torch.empty_like(v)
        forward.output_kernel[run.value_grid](q, v, up_to, H, P, o, run.T, **run.sizes, **run.blocks)
        ctx.save_for_backward(q, k, v, log_f, S)
        return o, last

    @staticmethod
    @first_order
    def backward(ctx: Any, do: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:
        q, k, v, log_f, S = ctx.saved_tensors
        do, dlast = do.contiguous(), dlast.contiguous()
        run = _Launch(k, v, log_f)
        up_to, after = run.sums(log_f)
        H, _ = run.states(k, v, up_to, after, S)
        P = run.scores(q, k, log_f, S.dtype)
        DH = v.new_empty(len(k), run.n_chunks, run.K, run.V)
        dS, dv = torch.empty_like(S), torch.empty_like(v)
        backward.dstates_kernel[run.state_grid](q, up_to, do, dlast, DH, dS, run.T, **run.sizes, **run.blocks)
        backward.dvalues_kernel[run.value_grid](k, after, P, DH, do, dv, run.T, **run.sizes, **run.blocks)
        dP = P  # the scores are done with: the same memory
        backward.dscores_kernel[line(run.n_chunks, len(k))](
            do, v, dP, run.T, V=run.V, C=run.C, BLOCK_V=run.blocks["BLOCK_V"], PRECISION=run.precision
        )
        wide_dq, wide_dk, dlog_f = (torch.empty_like(k, dtype=S.dtype) for _ in range(3))
        ends = k.new_empty(len(k), run.n_chunks, run.K, dtype=S.dtype)
        backward.across_kernel[run.key_grid](
            v, up_to, after, H, DH, do, wide_dq, wide_dk, ends, run.T, **run.sizes, **run.blocks
        )
        grid = line(run.n_chunks * run.C // SUB, run.n_k, len(k))
        backward.within_kernel[grid](q, k, log_f, dP, wide_dq, wide_dk, run.T, **run.within)
        dq, dk = torch.empty_like(q), torch.empty_like(k)
        backward.finish_kernel[run.key_grid](
            q, k, dP, wide_dq, wide_dk, ends, dq, dk, dlog_f, run.T, K=run.K, C=run.C, BLOCK_K=run.blocks["BLOCK_K"]
        )
        if run.G == 1:
            dlog_f = dlog_f.sum(-1, keepdim=True)
        return dq, dk, dv, dlog_f.to(log_f.dtype), dS


class _Launch:
    """Sizes, blocks and grids for tensors k (B H, T, K), v (B H, T, V) and gates (B H, T, G)."""

    def __init__(self, k: Tensor, v: Tensor, gates: Tensor) -> None:
        (rows, self.T, self.K), self.V, self.G = k.shape, v.shape[-1], gates.shape[-1]
        self.C = min(CHUNK, max(SUB, triton.next_power_of_2(self.T)))
        self.n_chunks = triton.cdiv(self.T, self.C)
        widest = 64 if v.element_size() == 2 else 32  # beyond, the wider types spill their registers
        block_k, block_v = (min(widest, max(16, triton.next_power_of_2(width))) for width in (self.K, self.V))
        # In single precision three passes of tf32 keep its accuracy on the tensor cores; narrower types ignore this.
        self.precision = "tf32x3" if v.dtype == torch.float32 else "ieee"
        self.sizes = {"K": self.K, "V": self.V, "G": self.G, "C": self.C}
        self.blocks = {"BLOCK_K": block_k, "BLOCK_V": block_v, "PRECISION": self.precision, "num_warps": 4}
        self.within = {
            "K": self.K, "G": self.G, "C": self.C, "SUB": SUB,
            "BLOCK_K": block_k, "PRECISION": self.precision, "num_warps": 4,
        }  # fmt: skip
        self.n_k, n_v = triton.cdiv(self.K, block_k), triton.cdiv(self.V, block_v)
        self.state_grid = line(self.n_k, n_v, rows)
        self.value_grid = line(n_v, self.n_chunks, rows)
        self.key_grid = line(self.n_k, self.n_chunks, rows)

    def sums(self, log_f: Tensor) -> tuple[Tensor, Tensor]:
        """log f summed inside each chunk, up to each step and after it."""
        up_to, after = torch.empty_like(log_f), torch.empty_like(log_f)
        block = min(64, triton.next_power_of_2(self.G))
        grid = line(self.n_chunks, triton.cdiv(self.G, block), len(log_f))
        forward.sums_kernel[grid](log_f, up_to, after, self.T, G=self.G, C=self.C, BLOCK=block, num_warps=4)
        return up_to, after

    def states(self, k: Tensor, v: Tensor, up_to: Tensor, after: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """The state before each chunk and after the last, (B H, chunks + 1, K, V), and the last one in full width."""
        H, last = v.new_empty(len(k), self.n_chunks + 1, self.K, self.V), torch.empty_like(S)
        forward.states_kernel[self.state_grid](k, v, up_to, after, S, H, last, self.T, **self.sizes, **self.blocks)
        return H, last

    def scores(self, q: Tensor, k: Tensor, log_f: Tensor, dtype: torch.dtype) -> Tensor:
        """P (B H, T, C)."""
        P = k.new_empty(len(k), self.T, self.C, dtype=dtype)
        grid = line(self.n_chunks * self.C // SUB, len(k))
        forward.scores_kernel[grid](q, k, log_f, P, self.T, **self.within)
        return P
