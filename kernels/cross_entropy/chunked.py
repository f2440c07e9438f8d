"""The same by blocks of rows, the gradients taken on the way: a block's scores are the most that stands in memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.first_order import first_order

ROWS = 256


def linear_cross_entropy(x: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Shapes as at the door."""
    y: Tensor = _Chunked.apply(x, weight, labels)
    return y


class _Chunked(torch.autograd.Function):
    """With p = softmax(W x) less 1 at the label, dx = p W / N and dW = sum of p^T x / N: known before the backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        wide = torch.promote_types(dtype, torch.float32)
        wanted = any(ctx.needs_input_grad[:2])
        with torch.autocast(kind, enabled=False):
            low, table, n = x.to(dtype), weight.to(dtype), len(x)
            total = torch.zeros((), dtype=wide, device=x.device)
            d_x = torch.empty_like(x)
            d_weight = torch.zeros(weight.shape if wanted else (0,), dtype=wide, device=x.device)
            for rows, label, out in zip(low.split(ROWS), labels.split(ROWS), d_x.split(ROWS), strict=True):
                scores = F.linear(rows, table).to(wide)
                log_z = scores.logsumexp(-1, keepdim=True)
                total += (log_z - scores.gather(1, label[:, None])).sum()
                if wanted:
                    p = (scores - log_z).exp_()
                    p[torch.arange(len(label), device=x.device), label] -= 1
                    p = p.to(dtype)
                    out.copy_(p @ table)
                    d_weight += p.T @ rows
        if wanted:
            ctx.save_for_backward(d_x.div_(n), d_weight.div_(n).to(weight.dtype))
        return total / n

    @staticmethod
    @first_order
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor, Tensor, None]:
        d_x, d_weight = ctx.saved_tensors
        return d_x * d_loss.to(d_x.dtype), d_weight * d_loss.to(d_weight.dtype), None
