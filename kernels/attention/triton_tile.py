"""What the attention kernels share: the scores of one tile and who sees whom in it, straight from numbers and ids.

A tile is full where every one of its queries sees all its keys as far as rows' bounds, causality and windows go: it is
loaded and scored without asking. The others, the EDGE tiles, are few: those on the diagonal and at a window's or a
row's ends. LOOPS is 2, a loop for each kind, or 1, where two bodies would not fit the registers.

With FOLD, softmax to whose scores nothing is added, scale and log2 e are one factor, taken in the exponential's own
multiplication: scores are then plain products, and a row's log_sum is an exponent of 2.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def key_bounds(start_ptr, end_ptr, b, S, START: tl.constexpr, END: tl.constexpr):
    """The first key slot of row b that holds something, and the one after the last."""
    start = 0
    end = S
    if START:
        start = tl.load(start_ptr + b).to(tl.int32)
    if END:
        end = tl.minimum(tl.load(end_ptr + b).to(tl.int32), S)
    return start, end


@triton.jit
def load_rows(ptr, stride, first, lanes, columns, n, WIDTH: tl.constexpr, BLOCK: tl.constexpr, EDGE: tl.constexpr):
    """Rows first + lanes of a (n, WIDTH) matrix, zeros outside; only an EDGE tile has rows outside."""
    at = lanes[:, None].to(tl.int64) * stride + columns[None, :]
    ptr += first.to(tl.int64) * stride
    if EDGE:
        rows = tl.load(ptr + at, mask=(first + lanes < n)[:, None] & (columns < WIDTH)[None, :], other=0.0)
    elif WIDTH < BLOCK:
        rows = tl.load(ptr + at, mask=(columns < WIDTH)[None, :], other=0.0)
    else:
        rows = tl.load(ptr + at)
    return rows


@triton.jit
def load_keys(
    k_ptr, k_t, other_ptr, other_t, ids_ptr, n, lanes, columns, S,
    K: tl.constexpr, BLOCK_K: tl.constexpr, OTHER: tl.constexpr, IDS: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """k and k_other (N, K) and the ids (N) of slots n + lanes; the pointers stand at this row and key head."""
    k = load_rows(k_ptr, k_t, n, lanes, columns, S, K, BLOCK_K, EDGE)
    k_other = k
    if OTHER:
        k_other = load_rows(other_ptr, other_t, n, lanes, columns, S, K, BLOCK_K, EDGE)
    id_j = lanes
    if IDS:
        id_j = tl.load(ids_ptr + n + lanes, mask=n + lanes < S, other=0)
    return k, k_other, id_j


@triton.jit
def load_query_structure(ids_ptr, offset_ptr, offset_t, t, i, T, S, IDS: tl.constexpr, OFFSET: tl.constexpr):
    """The ids and offsets (M) of queries t at slots i; the pointers stand at this row and head."""
    id_i = i
    if IDS:
        id_i = tl.load(ids_ptr + i, mask=i < S, other=0)
    offset_i = tl.zeros_like(t).to(tl.float32)
    if OFFSET:
        offset_i = tl.load(offset_ptr + t * offset_t, mask=t < T, other=0.0).to(tl.float32)
    return id_i, offset_i


@triton.jit
def dropped(seed, row, t, j, S, dropout):
    """What dropout multiplies the weights (M, N) of one row and head by: 0, or 1 / (1 - dropout).

    A function of its arguments, so that forward and backward agree without anything stored.
    """
    return tl.where(tl.rand(seed + row, t[:, None] * S + j[None, :]) < dropout, 0.0, 1.0 / (1.0 - dropout))


@triton.jit
def tile_scores(
    q, k, k_other, i, j, id_i, id_j, relative_ptr, bias_ptr, allowed_ptr, offset_i,
    bias_t, bias_s, allowed_t, allowed_s, first, S, start, end, H, P, centre, scale, window,
    CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, ONLY: tl.constexpr, IDS: tl.constexpr, OTHER: tl.constexpr,
    TABLES: tl.constexpr, BIAS: tl.constexpr, ALLOWED: tl.constexpr, OFFSET: tl.constexpr, PRECISION: tl.constexpr,
    START: tl.constexpr, END: tl.constexpr, FOLD: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """score (M, N) float32, with FOLD without its scale; seen (M, N), and same (M, N).

    q (M, K), k and k_other (N, K); i (M), j (N) are slots. The pointers of structure stand at this row and head. Who is
    not seen is told by `seen` alone, and not at all in a full tile unless ONLY or ALLOWED say more.
    """
    score = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    inside = (i[:, None] < S) & (j[None, :] < S)
    distance = i[:, None] - j[None, :]
    seen = inside
    same = inside
    if IDS:
        same = id_i[:, None] == id_j[None, :]
    if OTHER:
        score = tl.where(same, score, tl.dot(q, tl.trans(k_other), input_precision=PRECISION))
    if not FOLD:
        score = score * scale
    if TABLES > 0:
        where = tl.minimum(tl.maximum(distance + centre, 0), P - 1)
        if TABLES == 2:
            where = tl.where(same, where, where + H * P)
        score += tl.load(relative_ptr + where).to(tl.float32)
    t = (i - first)[:, None].to(tl.int64)
    if BIAS:
        score += tl.load(bias_ptr + t * bias_t + j[None, :] * bias_s, mask=inside, other=0.0).to(tl.float32)
    if OFFSET:
        score += offset_i[:, None]
    if EDGE:
        # A query past the last may see whom it likes: nobody reads it. Causal ones see nothing past the last key.
        seen = distance >= 0 if CAUSAL else (j < end)[None, :]
        if END and CAUSAL:
            seen = seen & (j < end)[None, :]
        if START:
            seen = seen & (j >= start)[None, :]
        if WINDOWED:
            seen = seen & (distance <= window)
            if not CAUSAL:
                seen = seen & (distance >= -window)
    if ONLY == 1:
        seen = seen & same
    if ONLY == 2:
        seen = seen & (same == 0)
    if ALLOWED:
        seen = seen & (tl.load(allowed_ptr + t * allowed_t + j[None, :] * allowed_s, mask=inside, other=0) != 0)
    return score, seen, same


@triton.jit
def key_tiles(
    i_first, i_last, S, start, end, window,
    CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BLOCK_N: tl.constexpr, LOOPS: tl.constexpr,
):  # fmt: skip
    """low, full, rest, stop: queries i_first .. i_last look at key slots low .. stop - 1, and all of them see all of
    full .. rest - 1. All four lie whole blocks apart from 0."""
    low = start
    high = end
    whole_low = start
    whole_high = end
    if CAUSAL:
        high = tl.minimum(high, i_last + 1)
        whole_high = tl.minimum(whole_high, i_first + 1)
    if WINDOWED:
        low = tl.maximum(low, i_first - window)
        whole_low = tl.maximum(whole_low, i_last - window)
        if not CAUSAL:
            high = tl.minimum(high, i_last + window + 1)
            whole_high = tl.minimum(whole_high, i_first + window + 1)
    low = (low // BLOCK_N) * BLOCK_N
    stop = tl.maximum(tl.cdiv(high, BLOCK_N) * BLOCK_N, low)
    full = tl.minimum(tl.cdiv(whole_low, BLOCK_N) * BLOCK_N, stop)
    rest = tl.minimum(tl.maximum((whole_high // BLOCK_N) * BLOCK_N, full), stop)
    if LOOPS == 1:  # all tiles as if they were edges
        full = low
        rest = low
    return low, full, rest, stop


@triton.jit
def query_tiles(
    n, first, T, start, end, window,
    CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, LOOPS: tl.constexpr,
):  # fmt: skip
    """low, full, rest, stop of the queries, 0 .. T - 1, that look at key slots n .. n + BLOCK_N - 1, as key_tiles."""
    low = 0
    high = T
    whole_low = 0
    whole_high = T
    if CAUSAL:
        low = tl.maximum(low, n - first)
        whole_low = tl.maximum(whole_low, n + BLOCK_N - 1 - first)
    if WINDOWED:
        high = tl.minimum(high, n + BLOCK_N + window - first)
        whole_high = tl.minimum(whole_high, n + window - first + 1)
        if not CAUSAL:
            low = tl.maximum(low, n - window - first)
            whole_low = tl.maximum(whole_low, n + BLOCK_N - 1 - window - first)
    high = tl.where((n >= end) | (n + BLOCK_N <= start), 0, high)
    whole_high = tl.where((n < start) | (n + BLOCK_N > end), 0, whole_high)
    low = (low // BLOCK_M) * BLOCK_M
    stop = tl.maximum(tl.cdiv(high, BLOCK_M) * BLOCK_M, low)
    full = tl.minimum(tl.maximum(tl.cdiv(whole_low, BLOCK_M) * BLOCK_M, low), stop)
    rest = tl.minimum(tl.maximum((whole_high // BLOCK_M) * BLOCK_M, full), stop)
    if LOOPS == 1:
        full = low
        rest = low
    return low, full, rest, stop


@triton.jit
def walk(low, full, rest, stop, EDGE: tl.constexpr):
    """How far it is over the full tiles, or over the edge tiles before and after them as one stretch."""
    return full - low + stop - rest if EDGE else rest - full


@triton.jit
def tile_at(n, low, full, rest, EDGE: tl.constexpr, LEFT: tl.constexpr):
    """The tile n slots along that walk. LEFT: there may be edge tiles before the full ones."""
    if not EDGE:
        return full + n
    return tl.where(n < full - low, low + n, rest + n - (full - low)) if LEFT else rest + n


@triton.jit
def exponential(score, level, FOLD: tl.constexpr, scale):
    """e to the score less its row's level; with FOLD the level is an exponent of 2, and this one multiply-add."""
    if FOLD:
        return tl.exp2(score * (scale * 1.4426950408889634) - level[:, None])
    else:
        return tl.exp2((score - level[:, None]) * 1.4426950408889634)


@triton.jit
def weigh(score, seen, log_sum, scale, ceiling, KIND: tl.constexpr, FOLD: tl.constexpr, MASKED: tl.constexpr):
    """The weights (M, N), once a row's log_sum is known; KIND 0 is softmax, 1 sigmoid, 2 exp."""
    if KIND == 0:
        weight = exponential(score, log_sum, FOLD, scale)
    elif KIND == 1:
        weight = tl.sigmoid(score)
    else:
        weight = tl.exp(tl.minimum(score, ceiling))
    if MASKED:
        weight = tl.where(seen, weight, 0.0)
    return weight


@triton.jit
def score_gradient(weight, score, d_weight, delta, ceiling, KIND: tl.constexpr):
    """The gradient of the scores (M, N) from that of the weights; delta (M) is do . o, which softmax needs."""
    if KIND == 0:
        return weight * (d_weight - delta[:, None])
    elif KIND == 1:
        return weight * (1.0 - weight) * d_weight
    else:
        return tl.where(score <= ceiling, weight * d_weight, 0.0)
