"""Gated linear attention on a GPU: chunks of 64, halved again and again, and the recurrence itself for a few tokens.

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
from kernels.strided import last_axis_dense, strides

CHUNK = 64
FEW = 16
"""Up to this many tokens without gradients, the recurrence is run as it stands."""


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """q (B, H, T, K) and k, v, log_f, S of as many heads or of groups of them; log_f (B, G, T, K), or (B, G, T, 1).

    No copy is made of what has a dense last axis, (B, T, H, K) transposed among it, nor of heads that are shared.
    """
    q, k, v, log_f = (last_axis_dense(z) for z in (q.to(v.dtype), k.to(v.dtype), v, log_f))
    inputs = (q, k, v, log_f, S.contiguous())
    if v.shape[2] <= FEW and not (torch.is_grad_enabled() and any(z.requires_grad for z in inputs)):
        return _steps(*inputs)
    y: tuple[Tensor, Tensor] = _Chunked.apply(*inputs)
    return y


def _steps(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    (batch, heads, n_tokens, width), (groups, d_value) = q.shape, v.shape[1::2]
    o, last = _by_token(q, d_value), torch.empty_like(S)
    block_k = triton.next_power_of_2(width)
    block_v = max(1, min(triton.next_power_of_2(d_value), 4096 // block_k))  # S in registers, 32 a thread
    forward.step_kernel[line(triton.cdiv(d_value, block_v), batch * groups)](
        q, *strides(q), k, *strides(k), v, *strides(v), log_f, *strides(log_f), S, o, last, n_tokens, heads,
        PER=heads // groups, K=width, V=d_value, G=log_f.shape[-1], BLOCK_K=block_k, BLOCK_V=block_v, num_warps=4,
    )  # fmt: skip
    return o, last


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        run = _Launch(q, k, v, log_f)
        P = run.scores()
        H, last = run.states(S)
        o = _by_token(q, run.V)
        forward.output_kernel[line(run.n_v, run.n_chunks, run.rows)](
            q, *strides(q), v, *strides(v), run.up_to, H, P, o, run.T, run.heads, **run.sizes, **run.blocks
        )
        ctx.save_for_backward(q, k, v, log_f, S)
        return o, last

    @staticmethod
    @first_order
    def backward(ctx: Any, do: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:
        q, k, v, log_f, S = ctx.saved_tensors
        do, dlast = last_axis_dense(do), dlast.contiguous()
        run = _Launch(q, k, v, log_f)
        P = run.scores()
        H, _ = run.states(S)
        DH, dS = v.new_empty(run.pairs, run.n_chunks, run.K, run.V), torch.empty_like(S)
        backward.dstates_kernel[line(run.n_k, run.n_v, run.pairs)](
            q, *strides(q), do, *strides(do), run.up_to, dlast, DH, dS, run.T, run.groups, **run.sizes, **run.blocks
        )
        dv = _by_token(v, run.V)
        backward.dvalues_kernel[line(run.n_v, run.n_chunks, run.pairs)](
            k, *strides(k), do, *strides(do), run.after, P, DH, dv, run.T, run.groups, **run.sizes, **run.blocks
        )
        dP = P  # the scores are done with: the same memory
        backward.dscores_kernel[line(run.n_chunks, run.rows)](
            do, *strides(do), v, *strides(v), dP, run.T, run.heads,
            PER=run.sizes["PER"], V=run.V, C=run.C, BLOCK_V=run.blocks["BLOCK_V"], PRECISION=run.precision,
        )  # fmt: skip
        dq, dk, dlog_f = _by_token(q, run.K), _by_token(k, run.K), _by_token(k, run.K, S.dtype)
        backward.dkeys_kernel[line(run.n_k, run.n_chunks, run.pairs)](
            q, *strides(q), k, *strides(k), v, *strides(v), do, *strides(do), log_f, *strides(log_f),
            run.tree, run.up_to, run.after, H, DH, dP, dq, dk, dlog_f, run.T, run.groups,
            **run.sizes, **run.blocks | {"num_warps": 8}, LEVELS=run.levels,
        )  # fmt: skip
        if run.G == 1:
            dlog_f = dlog_f.sum(-1, keepdim=True)
        return dq, dk, dv, dlog_f, dS


def _by_token(like: Tensor, width: int, dtype: torch.dtype | None = None) -> Tensor:
    """(B, H, T, width), so laid out that a token's heads lie together and merge without a copy."""
    batch, heads, n_tokens, _ = like.shape
    return like.new_empty(batch, n_tokens, heads, width, dtype=dtype or like.dtype).transpose(1, 2)


class _Launch:
    """Sizes, blocks and grids of one call, and the gates' sums in every chunk."""

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, log_f: Tensor) -> None:
        self.q, self.k, self.v, self.log_f = q, k, v, log_f
        (batch, self.heads, self.T, self.K), (self.groups, self.V) = q.shape, v.shape[1::2]
        self.G = log_f.shape[-1]
        self.C = min(CHUNK, max(16, triton.next_power_of_2(self.T)))
        self.levels, self.n_chunks = self.C.bit_length() - 1, triton.cdiv(self.T, self.C)
        self.rows, self.pairs = batch * self.heads, batch * self.groups
        widest = 64 if v.element_size() == 2 else 32  # beyond, the wider types spill their registers
        block_k, block_v = (min(widest, max(16, triton.next_power_of_2(width))) for width in (self.K, self.V))
        # In single precision three passes of tf32 keep its accuracy on the tensor cores; narrower types ignore this.
        self.precision = "tf32x3" if v.dtype == torch.float32 else "ieee"
        self.sizes = {"PER": self.heads // self.groups, "K": self.K, "V": self.V, "G": self.G, "C": self.C}
        self.blocks = {"BLOCK_K": block_k, "BLOCK_V": block_v, "PRECISION": self.precision, "num_warps": 4}
        self.n_k, self.n_v = triton.cdiv(self.K, block_k), triton.cdiv(self.V, block_v)
        self.up_to, self.after = (log_f.new_empty(self.pairs, self.T, self.G) for _ in range(2))
        self.tree = log_f.new_empty(self.pairs, self.n_chunks, 2 * self.C, self.K) if self.G > 1 else log_f

    def scores(self) -> Tensor:
        """P (rows, T, C), and the sums."""
        if self.G == 1:
            forward.sums_kernel[line(self.n_chunks, self.pairs)](
                self.log_f, *strides(self.log_f), self.up_to, self.after, self.T, self.groups, C=self.C, num_warps=1
            )
        else:
            block = min(64, triton.next_power_of_2(self.K))
            forward.tree_kernel[line(self.n_chunks, triton.cdiv(self.K, block), self.pairs)](
                self.log_f, *strides(self.log_f), self.tree, self.T, self.groups,
                K=self.K, C=self.C, BLOCK=block, LEVELS=self.levels, num_warps=4,
            )  # fmt: skip
        P = self.log_f.new_empty(self.rows, self.T, self.C)
        forward.scores_kernel[line(self.n_chunks, self.rows)](
            self.q, *strides(self.q), self.k, *strides(self.k), self.log_f, *strides(self.log_f),
            self.tree, P, self.up_to, self.after, self.T, self.heads, LEVELS=self.levels,
            **{name: value for name, value in (self.sizes | self.blocks).items() if name not in ("V", "BLOCK_V")},
        )  # fmt: skip
        return P

    def states(self, S: Tensor) -> tuple[Tensor, Tensor]:
        """The state before each chunk and after the last, (pairs, chunks + 1, K, V), and the last one in full width."""
        H, last = self.v.new_empty(self.pairs, self.n_chunks + 1, self.K, self.V), torch.empty_like(S)
        sizes = {name: value for name, value in self.sizes.items() if name != "PER"}
        forward.states_kernel[line(self.n_k, self.n_v, self.pairs)](
            self.k, *strides(self.k), self.v, *strides(self.v), self.up_to, self.after, S, H, last,
            self.T, self.groups, **sizes, **self.blocks,
        )  # fmt: skip
        return H, last
