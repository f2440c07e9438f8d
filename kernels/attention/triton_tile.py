"""What the attention kernels share: the scores of one tile and who sees whom in it, straight from numbers and ids."""

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
def load_keys(
    k_ptr, k_t, other_ptr, other_t, ids_ptr, j, columns, S, K: tl.constexpr, OTHER: tl.constexpr, IDS: tl.constexpr
):
    """k and k_other (N, K) and the ids (N) of slots j; the pointers stand at this row and key head."""
    far = j[:, None].to(tl.int64)
    mask = (j < S)[:, None] & (columns < K)[None, :]
    k = tl.load(k_ptr + far * k_t + columns[None, :], mask=mask, other=0.0)
    k_other = k
    if OTHER:
        k_other = tl.load(other_ptr + far * other_t + columns[None, :], mask=mask, other=0.0)
    id_j = j
    if IDS:
        id_j = tl.load(ids_ptr + j, mask=j < S, other=0)
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
):  # fmt: skip
    """score (M, N) float32, seen (M, N), same (M, N), and where each pair's relative bias lies.

    q (M, K), k and k_other (N, K); i (M), j (N) are slots. The pointers of structure stand at this row and head.
    """
    score = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    seen = (i[:, None] < S) & (j[None, :] >= start) & (j[None, :] < end)
    inside = (i[:, None] < S) & (j[None, :] < S)
    distance = i[:, None] - j[None, :]
    same = seen
    if IDS:
        same = id_i[:, None] == id_j[None, :]
    if OTHER:
        score = tl.where(same, score, tl.dot(q, tl.trans(k_other), input_precision=PRECISION))
    score = score * scale
    where = tl.minimum(tl.maximum(distance + centre, 0), P - 1)
    if TABLES == 2:
        where = tl.where(same, where, where + H * P)
    if TABLES > 0:
        score += tl.load(relative_ptr + where).to(tl.float32)
    t = (i - first)[:, None].to(tl.int64)
    if BIAS:
        score += tl.load(bias_ptr + t * bias_t + j[None, :] * bias_s, mask=inside, other=0.0).to(tl.float32)
    if OFFSET:
        score += offset_i[:, None]
    if CAUSAL:
        seen = seen & (distance >= 0)
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
    return score, seen, same, where


@triton.jit
def key_range(
    i_first, i_last, S, start, end, window, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr, BLOCK_N: tl.constexpr
):
    """From which key slot to which the queries i_first .. i_last need to look; the first is a multiple of the block."""
    low = start
    high = end
    if CAUSAL:
        high = tl.minimum(high, i_last + 1)
    if WINDOWED:
        low = tl.maximum(low, i_first - window)
        if not CAUSAL:
            high = tl.minimum(high, i_last + window + 1)
    return (low // BLOCK_N) * BLOCK_N, high


@triton.jit
def weigh(score, seen, log_sum, ceiling, KIND: tl.constexpr):
    """The weights (M, N), once a row's log_sum is known; KIND 0 is softmax, 1 sigmoid, 2 exp."""
    if KIND == 0:
        weight = tl.exp2((score - log_sum[:, None]) * 1.4426950408889634)
    elif KIND == 1:
        weight = tl.sigmoid(score)
    else:
        weight = tl.exp(tl.minimum(score, ceiling))
    return tl.where(seen, weight, 0.0)


@triton.jit
def score_gradient(weight, score, d_weight, delta, ceiling, KIND: tl.constexpr):
    """The gradient of the scores (M, N) from that of the weights; delta (M) is do . o, which softmax needs."""
    if KIND == 0:
        return weight * (d_weight - delta[:, None])
    elif KIND == 1:
        return weight * (1.0 - weight) * d_weight
    else:
        return tl.where(score <= ceiling, weight * d_weight, 0.0)
