"""Attention tile by tile: no T x S tensor is made, and a tile nobody sees is not visited.

The forward keeps a running maximum and sum a row where the weights are softmax's; the backward makes the weights
again, once by query block for the queries' gradients and once by key block for the keys' and values'; or once by key
block for all, where the table of tiles says so.
"""

import math
from typing import Any

import torch
import triton
from torch import Tensor

from kernels.attention.pattern import Pattern, Structure
from kernels.attention.triton_backward import keys_kernel, queries_kernel
from kernels.attention.triton_forward import combine_kernel, forward_kernel
from kernels.first_order import first_order
from kernels.grid import line
from kernels.strided import last_axis_dense, strides
from kernels.tiles import Tile, tile

FEW = 16
"""Up to so many queries, their keys are split until there are PROGRAMS_WANTED, into parts of LEAST_BLOCKS or more."""
PROGRAMS_WANTED = 264
"""Two a multiprocessor on a Hopper chip."""
MAX_PARTS = 64
LEAST_BLOCKS = 4


def attention(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, structure: Structure) -> Tensor:
    """As `reference.attention`; q, k, v of one dtype of 32 or 16 bits.

    Dropout draws from PyTorch's generator on the CPU, one seed a call, and not the weights the PyTorch version drops.
    """
    s = structure
    differentiable = (s.k_other, s.relative, s.bias, s.offset)
    seed = int(torch.randint(2**31, ())) if pattern.dropout else 0
    y: Tensor = _Attention.apply(q, k, v, *differentiable, s.ids, s.start, s.end, s.allowed, pattern, seed)
    return y


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        k_other: Tensor | None,
        relative: Tensor | None,
        bias: Tensor | None,
        offset: Tensor | None,
        ids: Tensor | None,
        start: Tensor | None,
        end: Tensor | None,
        allowed: Tensor | None,
        pattern: Pattern,
        seed: int,
    ) -> Tensor:
        q, k, v = (last_axis_dense(z) for z in (q, k, v))
        k_other = None if k_other is None else last_axis_dense(k_other)
        batch, n_heads, n_queries, _ = q.shape
        o = q.new_empty(batch, n_queries, n_heads, v.shape[-1]).transpose(1, 2)  # heads merge without a copy
        log_sum = q.new_empty(batch, n_heads, n_queries, dtype=torch.float32)
        s = Structure(start, end, ids, k_other, relative, bias, allowed, offset)
        _forward(q, k, v, o, log_sum, pattern, s, seed)
        ctx.save_for_backward(q, k, v, o, log_sum, k_other, relative, bias, offset, ids, start, end, allowed)
        ctx.pattern, ctx.seed = pattern, seed
        return o

    @staticmethod
    @first_order
    def backward(ctx: Any, d_o: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, o, log_sum, k_other, relative, bias, offset, ids, start, end, allowed = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        s = Structure(start, end, ids, k_other, relative, bias, allowed, offset)
        d_o = last_axis_dense(d_o)
        batch, n_heads, n_queries, width = q.shape
        n_groups, n_keys = k.shape[1:3]
        delta = (d_o.float() * o.float()).sum(-1).contiguous()  # (B, H, T); only softmax reads it

        wants = dict(zip(("relative", "bias", "offset"), ctx.needs_input_grad[4:7], strict=True))
        d_q = q.new_empty(batch, n_queries, n_heads, width).transpose(1, 2)
        d_k = k.new_empty(batch, n_keys, n_groups, width).transpose(1, 2)
        d_v = v.new_empty(batch, n_keys, n_groups, v.shape[-1]).transpose(1, 2)
        d_other = torch.empty_like(d_k) if k_other is not None else None

        shape = _tile("backward", q, v)
        blocks = triton.cdiv(n_queries, shape.queries)
        d_relative = q.new_zeros(batch, blocks, *relative.shape, dtype=torch.float32) if wants["relative"] else None
        d_bias = q.new_zeros(batch, n_heads, n_queries, n_keys, dtype=torch.float32) if wants["bias"] else None
        d_offset = torch.empty_like(log_sum) if wants["offset"] else None
        common = (d_o, log_sum, delta, *strides(q), *strides(k), *strides(v), *strides(d_o))
        last = _structure_arguments(q, k, pattern, s, ctx.seed)
        flags = _flags(q, k, v, pattern, s) | _sizes(shape)
        one_pass = _one_pass(shape, wants)
        if one_pass:
            d_q = torch.zeros_like(d_q, dtype=torch.float32)
        else:
            queries_kernel[line(blocks, batch * n_heads)](
                q, k, v, *common, d_q, *strides(d_q), _or(d_relative, q), _or(d_bias, q), _or(d_offset, q), *last,
                **flags, D_RELATIVE=wants["relative"], D_BIAS=wants["bias"], D_OFFSET=wants["offset"],
                # Summing a tile's diagonals takes registers: over four warps it spilled 288 bytes a thread.
                num_warps=max(8, shape.warps) if wants["relative"] else shape.warps, num_stages=shape.stages,
            )  # fmt: skip
        keys_kernel[line(triton.cdiv(n_keys, shape.keys), batch * n_groups)](
            q, k, v, *common, d_k, d_v, _or(d_other, q), *strides(d_k), *strides(d_v), d_q, *strides(d_q), *last,
            **flags, PER_GROUP=n_heads // n_groups, ONE_PASS=one_pass,
            num_warps=shape.warps, num_stages=shape.stages,
        )  # fmt: skip
        return (
            d_q.to(q.dtype),
            d_k,
            d_v,
            d_other,
            None if d_relative is None else d_relative.sum((0, 1)).to(relative.dtype),
            None if d_bias is None else d_bias.sum_to_size(bias.shape).to(bias.dtype),
            None if d_offset is None else d_offset.sum_to_size(offset.shape).to(offset.dtype),
            *(None,) * 6,
        )


def _one_pass(shape: Tile, wants: dict[str, bool]) -> bool:
    """Whether scores are made once: where the tile says so, nothing that was added to the scores wants a gradient, and
    nobody asked PyTorch for the same bits every time."""
    # 2: not even a warning would do
    return shape.passes == 1 and not any(wants.values()) and torch.get_deterministic_debug_mode() < 2


def _forward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, log_sum: Tensor, pattern: Pattern, s: Structure, seed: int
) -> None:
    """Fills o and log_sum."""
    shape = _tile("forward", q, v)
    rows, blocks = q.shape[0] * q.shape[1], triton.cdiv(q.shape[2], shape.queries)
    flags = _flags(q, k, v, pattern, s) | _sizes(shape)
    parts, base, span = _split(q, k, pattern, rows * blocks, shape.keys)
    o_parts, log_sums = o, log_sum
    if parts > 1:
        o_parts = o.new_empty(parts, *o.shape, dtype=torch.float32)
        log_sums = log_sum.new_empty(parts, *log_sum.shape)
    forward_kernel[line(parts, blocks, rows)](
        q, k, v, o_parts, log_sums, *strides(q), *strides(k), *strides(v), *o_parts.stride()[-4:-1],
        *_structure_arguments(q, k, pattern, s, seed), **flags, SPLIT=parts > 1, parts=parts, base=base, span=span,
        num_warps=shape.warps, num_stages=shape.stages,
    )  # fmt: skip
    if parts > 1:
        combine_kernel[line(q.shape[2], rows)](
            o_parts, log_sums, o, log_sum, *strides(o), q.shape[1], q.shape[2], parts,
            PARTS=triton.next_power_of_2(parts), num_warps=4,
            **{name: flags[name] for name in ("V", "BLOCK_V", "FOLD", "KIND")},
        )  # fmt: skip


def _split(q: Tensor, k: Tensor, pattern: Pattern, programs: int, block_n: int) -> tuple[int, int, int]:
    """How many parts the keys of a few queries come in, the first slot of the first part, and slots a part."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    base = 0
    if pattern.window is not None:
        base = max(0, n_keys - n_queries - pattern.window) // block_n * block_n
    blocks = triton.cdiv(n_keys - base, block_n)
    parts = min(MAX_PARTS, triton.cdiv(PROGRAMS_WANTED, programs), blocks // LEAST_BLOCKS)
    if n_queries > FEW or parts <= 1:
        return 1, 0, 0
    each = triton.cdiv(blocks, parts)
    return triton.cdiv(blocks, each), base, each * block_n


def _or(x: Tensor | None, other: Tensor) -> Tensor:
    """A pointer the kernel will not follow, where there is nothing to point at."""
    return other if x is None else x


def _broadcast_strides(x: Tensor | None) -> tuple[int, ...]:
    """Strides with 0 where an axis of size 1 stands for any size; (B, H, T, S) or (B, H, T)."""
    if x is None:
        return (0, 0, 0, 0)
    return tuple(0 if n == 1 else stride for n, stride in zip(x.shape, x.stride(), strict=True))


def _structure_arguments(q: Tensor, k: Tensor, pattern: Pattern, s: Structure, seed: int) -> tuple[Any, ...]:
    n_keys, width = k.shape[2], q.shape[-1]
    n_distances = 1 if s.relative is None else s.relative.shape[2]
    return (
        _or(s.k_other, q),
        *strides(k if s.k_other is None else s.k_other),
        q if s.ids is None else s.ids.contiguous(),
        _or(s.start, q),
        _or(s.end, q),
        q if s.relative is None else s.relative.contiguous(),
        _or(s.bias, q),
        *_broadcast_strides(s.bias),
        q if s.allowed is None else s.allowed.view(torch.uint8),
        *_broadcast_strides(s.allowed),
        _or(s.offset, q),
        *_broadcast_strides(s.offset)[:3],
        q.shape[1],
        q.shape[2],
        n_keys,
        n_distances,
        0 if pattern.causal else n_distances // 2,
        pattern.scale if pattern.scale is not None else 1 / math.sqrt(width),
        pattern.window or 0,
        pattern.ceiling,
        pattern.dropout,
        seed,
    )


def _flags(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, s: Structure) -> dict[str, Any]:
    added = s.relative is not None or s.bias is not None or s.offset is not None
    return {
        "KIND": ("softmax", "sigmoid", "exp").index(pattern.kind),
        "CAUSAL": pattern.causal,
        "WINDOWED": pattern.window is not None,
        "ONLY": (None, "same", "other").index(pattern.only),
        "IDS": s.ids is not None,
        "OTHER": s.k_other is not None,
        "TABLES": 0 if s.relative is None else s.relative.shape[0],
        "BIAS": s.bias is not None,
        "ALLOWED": s.allowed is not None,
        "OFFSET": s.offset is not None,
        "START": s.start is not None,
        "END": s.end is not None,
        "DROPOUT": pattern.dropout > 0,
        "FOLD": pattern.kind == "softmax" and not added and (pattern.scale is None or pattern.scale > 0),
        "GROUPS": k.shape[1],
        "K": q.shape[-1],
        "V": v.shape[-1],
        "BLOCK_K": max(16, triton.next_power_of_2(q.shape[-1])),
        "BLOCK_V": max(16, triton.next_power_of_2(v.shape[-1])),
        # In single precision three passes of tf32 keep its accuracy on the tensor cores; narrower types ignore this.
        "PRECISION": "tf32x3",
    }


def _sizes(shape: Tile) -> dict[str, int]:
    return {"BLOCK_M": shape.queries, "BLOCK_N": shape.keys, "LOOPS": shape.loops}


def _tile(kernel: str, q: Tensor, v: Tensor) -> Tile:
    """What the table has for this device, else what fits its memory and registers. A few queries are a lower tile."""
    width = max(q.shape[-1], v.shape[-1])
    found = tile(f"attention.{kernel}", q, width) or _usual(kernel, width, q)
    queries = max(16, min(found.queries, triton.next_power_of_2(q.shape[2])))
    return found._replace(queries=queries, warps=found.warps if queries == found.queries else min(found.warps, 4))


def _usual(kernel: str, width: int, x: Tensor) -> Tile:
    """Chosen for a Hopper chip by its registers, and not measured."""
    if not x.is_cuda:
        return Tile(queries=16, keys=16, warps=4, stages=1, loops=2)
    row_bytes = triton.next_power_of_2(width) * x.element_size()
    if row_bytes > 512:  # tiles of it would fill the shared memory
        return Tile(queries=32, keys=32, warps=4, stages=1, loops=1)
    if row_bytes > 256 or (row_bytes > 128 and x.element_size() > 2):
        return Tile(queries=64, keys=32, warps=4, stages=2, loops=1 if row_bytes > 256 else 2)
    if kernel == "backward":
        return Tile(
            queries=64, keys=32 if row_bytes > 128 else 64, warps=4, stages=2 if row_bytes > 128 else 3, loops=2
        )
    return Tile(queries=128, keys=64, warps=8, stages=2 if row_bytes > 128 else 3, loops=2)
