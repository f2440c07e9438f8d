"""Taylor attention on a GPU: no score and no feature is stored, only the states between chunks."""

from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor

from kernels.first_order import first_order
from kernels.grid import line
from kernels.taylor import chunked
from kernels.taylor import triton_backward as backward
from kernels.taylor import triton_forward as forward
from kernels.taylor.features import monomials


def taylor_attention(q: Tensor, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> tuple[Tensor, Tensor]:
    """Shapes as in reference.py."""
    batch, heads = k.shape[:2]
    rows = [z.flatten(0, 1).contiguous() for z in (q, k, v, S)]
    o, S = _Chunked.apply(*rows, order, lowest)
    return o.unflatten(0, (batch, heads)), S.unflatten(0, (batch, heads))


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> tuple[Tensor, Tensor]:
        run = _Launch(k, v, S, order, lowest)
        H, last = run.states(k, v, S)
        o = torch.empty_like(v)
        forward.output_kernel[run.token_grid](q, k, v, *run.tables, H, o, run.T, **run.sizes)
        ctx.save_for_backward(q, k, v, S)
        ctx.order, ctx.lowest = order, lowest
        return o, last

    @staticmethod
    @first_order
    def backward(ctx: Any, do: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, S = ctx.saved_tensors
        do, dlast = do.contiguous(), dlast.contiguous()
        run = _Launch(k, v, S, ctx.order, ctx.lowest)
        H, _ = run.states(k, v, S)  # made again rather than kept
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        backward.queries_kernel[run.token_grid](q, k, v, do, *run.tables, H, dq, run.T, **run.sizes)
        DH, dS = H, torch.empty_like(S)  # the states are done with: the same memory
        backward.dstates_kernel[run.state_grid](q, do, *run.tables, dlast, DH, dS, run.T, **run.state_sizes)
        backward.keys_kernel[run.token_grid](q, k, v, do, *run.tables, DH, dk, dv, run.T, **run.sizes)
        return dq, dk, dv, dS, None, None


class _Launch:
    """Sizes and grids for tensors k (B H, T, K), v (B H, T, V) and S (B H, F, V); chosen for a Hopper chip's registers
    and not measured."""

    def __init__(self, k: Tensor, v: Tensor, S: Tensor, order: int, lowest: int) -> None:
        (rows, self.T, width), (F, V) = k.shape, S.shape[1:]
        self.n_chunks = triton.cdiv(self.T, chunked.chunk_size(F))
        block_k, block_v = (max(16, triton.next_power_of_2(n)) for n in (width, V))
        tokens = 16 if not k.is_cuda or max(block_k, block_v) > 64 else 32
        block_f = 16 if not k.is_cuda else 32
        self.tables = _tables(width, order, lowest, k.device)
        # Sums and operands are of the state's dtype; three passes of tf32 keep single precision on the tensor cores.
        self.state_sizes = {
            "K": width, "V": V, "F": F, "ORDER": order, "C": chunked.chunk_size(F), "ROWS": tokens,
            "BLOCK_V": block_v, "BLOCK_F": block_f, "PRECISION": "tf32x3", "num_warps": 4,
        }  # fmt: skip
        self.sizes = self.state_sizes | {"LOWEST": lowest, "BLOCK_K": block_k}
        self.state_grid = line(triton.cdiv(F, block_f), rows)
        self.token_grid = line(triton.cdiv(self.T, tokens), rows)

    def states(self, k: Tensor, v: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """The state before each chunk, (B H, chunks, F, V), and after the last."""
        H, last = S.new_empty(len(S), self.n_chunks, *S.shape[1:]), torch.empty_like(S)
        forward.states_kernel[self.state_grid](k, v, *self.tables, S, H, last, self.T, **self.state_sizes)
        return H, last


@cache
@torch.inference_mode(False)
def _tables(width: int, order: int, lowest: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The variables of each feature, (order, F) int32, and its weight (F); `width` stands for no variable."""
    products, weights = monomials(width, order, lowest)
    padded = [(*m, *(width,) * (order - len(m))) for m in products]
    table = torch.tensor(padded, dtype=torch.int32).T.contiguous()
    return table.to(device), torch.tensor(weights, dtype=torch.float64, device=device)
