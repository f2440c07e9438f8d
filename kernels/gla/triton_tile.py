"""What the kernels of gated linear attention share: tiles of strided tensors, and the decays inside a chunk.

Heads may share keys, values, gates and a state: of H query heads, PER each share those of one of H / PER groups. A
row is a batch entry's head, a pair a batch entry's group. C is a chunk's length, G is 1 when the channels share a
gate, else K; a gate of one column is read for every channel. Gates are exponents of 2 from the first kernel on.

A chunk is halved again and again, and the queries of a part's later half meet the keys of its earlier half over the
border between them: what is summed up to the border belongs to the key, the rest to the query. No sum is a difference
of two, whose rounding would grow with what went before. Which level i and j meet at is the highest bit of i ^ j. A
chunk's tree (2 C, G) has the gates' sums over all its parts: the two halves of node n are 2 n and 2 n + 1, and its
steps are the nodes from C on.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def load_rows(ptr, stride, lanes, columns, n, WIDTH: tl.constexpr, wide):
    """Rows `lanes` from where the pointer stands, as the wide dtype: zeros from row n on and beyond the width."""
    inside = (lanes < n)[:, None] & (columns < WIDTH)[None, :]
    return tl.load(ptr + lanes[:, None] * stride + columns[None, :], mask=inside, other=0.0).to(wide)


@triton.jit
def load_gates(ptr, lanes, columns, n, K: tl.constexpr, G: tl.constexpr, wide):
    """As `load_rows` of a dense (n, G) table; its one column stands for all K where G is 1."""
    at = lanes[:, None] * G + (columns * 0 if G == 1 else columns)[None, :]
    return tl.load(ptr + at, mask=(lanes < n)[:, None] & (columns < K)[None, :], other=0.0).to(wide)


@triton.jit
def load_gate(ptr, columns, K: tl.constexpr, G: tl.constexpr, wide):
    """One row of such a table."""
    return tl.load(ptr + (columns * 0 if G == 1 else columns), mask=columns < K, other=0.0).to(wide)


@triton.jit
def joined(tree_ptr, up, after, lanes, columns, K: tl.constexpr, C: tl.constexpr, level):
    """The sums of parts twice as long: `up` from a part's first step to each, `after` from the next to its last."""
    other = load_rows(tree_ptr, K, ((C + lanes) >> level) ^ 1, columns, 2 * C, K, up.dtype)
    late = is_late(lanes, level)
    return tl.where(late, up + other, up), tl.where(late, after, after + other)


@triton.jit
def is_late(lanes, level):
    """(C, 1): whether a step is in the later half of its part at this level."""
    return ((lanes >> level) & 1 == 1)[:, None]


@triton.jit
def one_gate(log_f_ptr, stride, lanes, n, wide):
    """(C, C): what is left of a key's step at a query's under one gate for all channels, and 0 of later keys."""
    f = tl.load(log_f_ptr + lanes * stride, mask=lanes < n, other=0.0).to(wide) * 1.4426950408889634
    between = tl.cumsum(tl.where(lanes[:, None] > lanes[None, :], f[:, None], 0.0), 0)
    return tl.where(lanes[:, None] >= lanes[None, :], tl.exp2(between), 0.0)
