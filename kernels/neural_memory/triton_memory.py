"""The kernels of the neural memory: a program a head, which keeps the weights and walks from chunk to chunk.

q, k, v, y (B H, N C, D), N chunks of C tokens. The gates come as tables (`tables.py`): B, c, reach, reach_momentum and
decay (B H, N C), P (B H, N, C, C), ends (B H, N, 3): what a chunk leaves of the weights, of the momentum in the
weights, and of the momentum. A state is flat, (B H, 2, numbers): weights, then momentum; each is the first matrix
(HID, D) and then, of two layers, the second (D, HID). An anchor is (B H, numbers). last (B) is the last chunk that has
a token, from which on the anchor stays.

With X the input of a layer, W, S, A its matrices now and at the anchor, (E, a) the gradients as outer products:
Y = B W X + c S X - ((X a^T) * P) E, W' = B_C W + c_C S - (E * reach)^T a, S' = eta_C S - (E * reach_momentum)^T a.
"""

# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def _dot(a, b, PRECISION: tl.constexpr):
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=a.dtype)


@triton.jit
def _matrix(ptr, R: tl.constexpr, C: tl.constexpr, WIDE_R: tl.constexpr, WIDE_C: tl.constexpr):
    """(WIDE_R, WIDE_C) of a matrix (R, C), zeros outside."""
    r, c = tl.arange(0, WIDE_R), tl.arange(0, WIDE_C)
    inside = (r < R)[:, None] & (c < C)[None, :]
    return tl.load(ptr + r[:, None] * C + c[None, :], mask=inside, other=0.0)


@triton.jit
def _keep(ptr, values, R: tl.constexpr, C: tl.constexpr, WIDE_R: tl.constexpr, WIDE_C: tl.constexpr):
    r, c = tl.arange(0, WIDE_R), tl.arange(0, WIDE_C)
    inside = (r < R)[:, None] & (c < C)[None, :]
    tl.store(ptr + r[:, None] * C + c[None, :], values, mask=inside)


@triton.jit
def _numbers(ptr, C: tl.constexpr, BLOCK_C: tl.constexpr):
    """A chunk's numbers, as a column."""
    i = tl.arange(0, BLOCK_C)
    return tl.load(ptr + i, mask=i < C, other=0.0)[:, None]


@triton.jit
def _keep_numbers(ptr, values, C: tl.constexpr, BLOCK_C: tl.constexpr):
    i = tl.arange(0, BLOCK_C)
    tl.store(ptr + i, values, mask=i < C)


@triton.jit
def _slope(z):
    s = tl.sigmoid(z)
    return s * (1 + z * (1 - s))


@triton.jit
def _curvature(z):
    s = tl.sigmoid(z)
    return s * (1 - s) * (2 + z * (1 - 2 * s))


@triton.jit
def _error(prediction, v, LOSS: tl.constexpr, scale):
    """The loss's gradient by the prediction: `rule.Squared`, `rule.Dot`, `rule.Huber`."""
    if LOSS == "dot":
        return -v
    e = prediction - v
    if LOSS == "squared":
        return e * scale
    return e * tl.minimum(scale / tl.sqrt(tl.sum(e * e, 1) + 1e-12), 1.0)[:, None]


@triton.jit
def _error_backward(prediction, v, de, LOSS: tl.constexpr, scale):
    """From the gradient of that error to the prediction's; v's is its negative, but for the dot product's."""
    if LOSS == "dot":
        return de * 0.0
    if LOSS == "squared":
        return de * scale
    e = prediction - v
    square = tl.sum(e * e, 1) + 1e-12
    share = scale / tl.sqrt(square)
    along = tl.sum(e * de, 1) / square
    return tl.where((share < 1.0)[:, None], share[:, None] * (de - e * along[:, None]), de)


@triton.jit
def _read(x, B, c, P, W, S, E, a, PRECISION: tl.constexpr):
    """What a layer answers the chunk's inputs x."""
    near = _dot(_dot(x, tl.trans(a), PRECISION) * P, E, PRECISION)
    return B * _dot(x, tl.trans(W), PRECISION) + c * _dot(x, tl.trans(S), PRECISION) - near


@triton.jit
def _read_backward(x, B, c, P, W, S, E, a, dy, dW, dS, PRECISION: tl.constexpr):
    """dx, dB, dc, dP, dE, da of that, and dW, dS with their part added."""
    scores = _dot(x, tl.trans(a), PRECISION)
    met = _dot(dy, tl.trans(E), PRECISION)
    from_w, from_s = _dot(dy, W, PRECISION), _dot(dy, S, PRECISION)
    dx = B * from_w + c * from_s - _dot(met * P, a, PRECISION)
    dW += _dot(tl.trans(B * dy), x, PRECISION)
    dS += _dot(tl.trans(c * dy), x, PRECISION)
    dE = -_dot(tl.trans(scores * P), dy, PRECISION)
    da = -_dot(tl.trans(met * P), x, PRECISION)
    return dx, tl.sum(from_w * x, 1), tl.sum(from_s * x, 1), -met * scores, dE, da, dW, dS


@triton.jit
def _write_backward(E, a, reach, reach_momentum, dW, dS, PRECISION: tl.constexpr):
    """dE, da and the gradients of the reaches, of what a chunk leaves in W and S."""
    a_w, a_s = _dot(a, tl.trans(dW), PRECISION), _dot(a, tl.trans(dS), PRECISION)
    dE = -(reach * a_w + reach_momentum * a_s)
    da = -(reach * _dot(E, dW, PRECISION) + reach_momentum * _dot(E, dS, PRECISION))
    return dE, da, -tl.sum(E * a_w, 1), -tl.sum(E * a_s, 1)


@triton.jit
def forward_kernel(
    q_ptr, k_ptr, v_ptr, B_ptr, c_ptr, P_ptr, reach_ptr, momentum_ptr, ends_ptr, decay_ptr, last_ptr,
    state_ptr, anchor_ptr, y_ptr, kept_ptr, state_out_ptr, anchor_out_ptr, begin, end, N, n_kept, H, scale,
    D: tl.constexpr, HID: tl.constexpr, C: tl.constexpr, WIDE_D: tl.constexpr, WIDE_H: tl.constexpr,
    BLOCK_C: tl.constexpr, LAYERS: tl.constexpr, LOSS: tl.constexpr, DECAY_FIRST: tl.constexpr,
    PRECISION: tl.constexpr, EVERY: tl.constexpr, ANSWER: tl.constexpr,
):  # fmt: skip
    """Chunks begin to end: y, where it is wanted, and the state after them and before every EVERY-th. Grid (B x H)."""
    row = tl.program_id(0).to(tl.int64)
    M: tl.constexpr = LAYERS * D * HID
    last = tl.load(last_ptr + row // H)
    ij = tl.arange(0, BLOCK_C)[:, None] * C + tl.arange(0, BLOCK_C)[None, :]
    in_chunk = (tl.arange(0, BLOCK_C) < C)[:, None] & (tl.arange(0, BLOCK_C) < C)[None, :]
    W1 = _matrix(state_ptr + row * 2 * M, HID, D, WIDE_H, WIDE_D)
    S1 = _matrix(state_ptr + row * 2 * M + M, HID, D, WIDE_H, WIDE_D)
    A1 = _matrix(anchor_ptr + row * M, HID, D, WIDE_H, WIDE_D)
    if LAYERS == 2:
        W2 = _matrix(state_ptr + row * 2 * M + D * HID, D, HID, WIDE_D, WIDE_H)
        S2 = _matrix(state_ptr + row * 2 * M + M + D * HID, D, HID, WIDE_D, WIDE_H)
        A2 = _matrix(anchor_ptr + row * M + D * HID, D, HID, WIDE_D, WIDE_H)
    for n in range(begin, end):
        if (n - begin) % EVERY == 0:
            at = kept_ptr + (row * n_kept + (n - begin) // EVERY) * 2 * M
            _keep(at, W1, HID, D, WIDE_H, WIDE_D)
            _keep(at + M, S1, HID, D, WIDE_H, WIDE_D)
            if LAYERS == 2:
                _keep(at + D * HID, W2, D, HID, WIDE_D, WIDE_H)
                _keep(at + M + D * HID, S2, D, HID, WIDE_D, WIDE_H)
        token, chunk = (row * N + n) * C, row * N + n
        k = _matrix(k_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        v = _matrix(v_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        hidden = _dot(k, tl.trans(A1), PRECISION)
        if LAYERS == 2:
            a = hidden * tl.sigmoid(hidden)
            E2 = _error(_dot(a, tl.trans(A2), PRECISION), v, LOSS, scale)
            E1 = _dot(E2, A2, PRECISION) * _slope(hidden)
        else:
            if DECAY_FIRST:
                hidden = hidden * _numbers(decay_ptr + token, C, BLOCK_C)
            E1 = _error(hidden, v, LOSS, scale)
        if ANSWER:
            q = _matrix(q_ptr + token * D, C, D, BLOCK_C, WIDE_D)
            B, c = _numbers(B_ptr + token, C, BLOCK_C), _numbers(c_ptr + token, C, BLOCK_C)
            P = tl.load(P_ptr + chunk * C * C + ij, mask=in_chunk, other=0.0)
            y = _read(q, B, c, P, W1, S1, E1, k, PRECISION)
            if LAYERS == 2:
                y = _read(y * tl.sigmoid(y), B, c, P, W2, S2, E2, a, PRECISION)
            _keep(y_ptr + token * D, y, C, D, BLOCK_C, WIDE_D)
        reach, momentum = _numbers(reach_ptr + token, C, BLOCK_C), _numbers(momentum_ptr + token, C, BLOCK_C)
        keep, add, eta = (
            tl.load(ends_ptr + chunk * 3),
            tl.load(ends_ptr + chunk * 3 + 1),
            tl.load(ends_ptr + chunk * 3 + 2),
        )
        W1 = keep * W1 + add * S1 - _dot(tl.trans(E1 * reach), k, PRECISION)
        S1 = eta * S1 - _dot(tl.trans(E1 * momentum), k, PRECISION)
        A1 = tl.where(n < last, W1, A1)
        if LAYERS == 2:
            W2 = keep * W2 + add * S2 - _dot(tl.trans(E2 * reach), a, PRECISION)
            S2 = eta * S2 - _dot(tl.trans(E2 * momentum), a, PRECISION)
            A2 = tl.where(n < last, W2, A2)
    _keep(state_out_ptr + row * 2 * M, W1, HID, D, WIDE_H, WIDE_D)
    _keep(state_out_ptr + row * 2 * M + M, S1, HID, D, WIDE_H, WIDE_D)
    _keep(anchor_out_ptr + row * M, A1, HID, D, WIDE_H, WIDE_D)
    if LAYERS == 2:
        _keep(state_out_ptr + row * 2 * M + D * HID, W2, D, HID, WIDE_D, WIDE_H)
        _keep(state_out_ptr + row * 2 * M + M + D * HID, S2, D, HID, WIDE_D, WIDE_H)
        _keep(anchor_out_ptr + row * M + D * HID, A2, D, HID, WIDE_D, WIDE_H)


@triton.jit
def backward_kernel(
    q_ptr, k_ptr, v_ptr, B_ptr, c_ptr, P_ptr, reach_ptr, momentum_ptr, ends_ptr, decay_ptr, last_ptr,
    kept_ptr, anchor_ptr, dy_ptr, dstate_ptr, danchor_ptr, dq_ptr, dk_ptr, dv_ptr, dB_ptr, dc_ptr, dP_ptr, dreach_ptr,
    dmomentum_ptr, dends_ptr, ddecay_ptr, begin, end, N, n_kept, H, scale,
    D: tl.constexpr, HID: tl.constexpr, C: tl.constexpr, WIDE_D: tl.constexpr, WIDE_H: tl.constexpr,
    BLOCK_C: tl.constexpr, LAYERS: tl.constexpr, LOSS: tl.constexpr, DECAY_FIRST: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Chunks end to begin, from the states before each. dstate and danchor hold the gradients of what the last of them
    left, and then of what the first of them found. Grid (B x H)."""
    row = tl.program_id(0).to(tl.int64)
    M: tl.constexpr = LAYERS * D * HID
    last = tl.load(last_ptr + row // H)
    ij = tl.arange(0, BLOCK_C)[:, None] * C + tl.arange(0, BLOCK_C)[None, :]
    in_chunk = (tl.arange(0, BLOCK_C) < C)[:, None] & (tl.arange(0, BLOCK_C) < C)[None, :]
    dW1 = _matrix(dstate_ptr + row * 2 * M, HID, D, WIDE_H, WIDE_D)
    dS1 = _matrix(dstate_ptr + row * 2 * M + M, HID, D, WIDE_H, WIDE_D)
    dA1 = _matrix(danchor_ptr + row * M, HID, D, WIDE_H, WIDE_D)
    if LAYERS == 2:
        dW2 = _matrix(dstate_ptr + row * 2 * M + D * HID, D, HID, WIDE_D, WIDE_H)
        dS2 = _matrix(dstate_ptr + row * 2 * M + M + D * HID, D, HID, WIDE_D, WIDE_H)
        dA2 = _matrix(danchor_ptr + row * M + D * HID, D, HID, WIDE_D, WIDE_H)
    for back in range(0, end - begin):
        n = end - 1 - back
        token, chunk = (row * N + n) * C, row * N + n
        at = kept_ptr + (row * n_kept + n - begin) * 2 * M
        W1 = _matrix(at, HID, D, WIDE_H, WIDE_D)
        S1 = _matrix(at + M, HID, D, WIDE_H, WIDE_D)
        A1 = W1
        if n == 0:
            A1 = _matrix(anchor_ptr + row * M, HID, D, WIDE_H, WIDE_D)
        k = _matrix(k_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        v = _matrix(v_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        q = _matrix(q_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        dy = _matrix(dy_ptr + token * D, C, D, BLOCK_C, WIDE_D)
        B, c = _numbers(B_ptr + token, C, BLOCK_C), _numbers(c_ptr + token, C, BLOCK_C)
        P = tl.load(P_ptr + chunk * C * C + ij, mask=in_chunk, other=0.0)
        reach, momentum = _numbers(reach_ptr + token, C, BLOCK_C), _numbers(momentum_ptr + token, C, BLOCK_C)
        keep, add, eta = (
            tl.load(ends_ptr + chunk * 3),
            tl.load(ends_ptr + chunk * 3 + 1),
            tl.load(ends_ptr + chunk * 3 + 2),
        )
        # What the chunk computed, again.
        hidden = _dot(k, tl.trans(A1), PRECISION)
        dkeep, dadd, deta = tl.sum(dW1 * W1), tl.sum(dW1 * S1), tl.sum(dS1 * S1)
        if LAYERS == 2:
            W2 = _matrix(at + D * HID, D, HID, WIDE_D, WIDE_H)
            S2 = _matrix(at + M + D * HID, D, HID, WIDE_D, WIDE_H)
            A2 = W2
            if n == 0:
                A2 = _matrix(anchor_ptr + row * M + D * HID, D, HID, WIDE_D, WIDE_H)
            a = hidden * tl.sigmoid(hidden)
            prediction = _dot(a, tl.trans(A2), PRECISION)
            E2 = _error(prediction, v, LOSS, scale)
            Eb = _dot(E2, A2, PRECISION)
            E1 = Eb * _slope(hidden)
            x = _read(q, B, c, P, W1, S1, E1, k, PRECISION)
            dkeep += tl.sum(dW2 * W2)
            dadd += tl.sum(dW2 * S2)
            deta += tl.sum(dS2 * S2)
            # The second layer's answer, and what it left.
            dE2, da, dreach, dmomentum = _write_backward(E2, a, reach, momentum, dW2, dS2, PRECISION)
            dS2, dW2 = add * dW2 + eta * dS2, keep * dW2
            dx, dB, dc, dP, dE, da_, dW2, dS2 = _read_backward(
                x * tl.sigmoid(x), B, c, P, W2, S2, E2, a, dy, dW2, dS2, PRECISION
            )
            dE2 += dE
            da += da_
            dy = dx * _slope(x)
        else:
            if DECAY_FIRST:
                decay = _numbers(decay_ptr + token, C, BLOCK_C)
                prediction = hidden * decay
            else:
                prediction = hidden
            E1 = _error(prediction, v, LOSS, scale)
        dE1, dk, dreach1, dmomentum1 = _write_backward(E1, k, reach, momentum, dW1, dS1, PRECISION)
        dS1, dW1 = add * dW1 + eta * dS1, keep * dW1
        dq, dB1, dc1, dP1, dE, dk_, dW1, dS1 = _read_backward(q, B, c, P, W1, S1, E1, k, dy, dW1, dS1, PRECISION)
        dE1 += dE
        dk += dk_
        # From the errors to the keys, the values and the anchor.
        if LAYERS == 2:
            dB1 += dB
            dc1 += dc
            dP1 += dP
            dreach1 += dreach
            dmomentum1 += dmomentum
            dEb = dE1 * _slope(hidden)
            dE2 += _dot(dEb, tl.trans(A2), PRECISION)
            dA2 += _dot(tl.trans(E2), dEb, PRECISION)
            dprediction = _error_backward(prediction, v, dE2, LOSS, scale)
            dv = -dE2 if LOSS == "dot" else -dprediction
            da += _dot(dprediction, A2, PRECISION)
            dA2 += _dot(tl.trans(dprediction), a, PRECISION)
            dhidden = da * _slope(hidden) + dE1 * Eb * _curvature(hidden)
        else:
            dhidden = _error_backward(prediction, v, dE1, LOSS, scale)
            dv = -dE1 if LOSS == "dot" else -dhidden
            if DECAY_FIRST:
                _keep_numbers(ddecay_ptr + token, tl.sum(dhidden * hidden, 1), C, BLOCK_C)
                dhidden = dhidden * decay
        dk += _dot(dhidden, A1, PRECISION)
        dA1 += _dot(tl.trans(dhidden), k, PRECISION)
        if (n > 0) & (n <= last):  # here the anchor was the chunk's own beginning
            dW1 += dA1
            dA1 = dA1 * 0.0
            if LAYERS == 2:
                dW2 += dA2
                dA2 = dA2 * 0.0
        _keep(dq_ptr + token * D, dq, C, D, BLOCK_C, WIDE_D)
        _keep(dk_ptr + token * D, dk, C, D, BLOCK_C, WIDE_D)
        _keep(dv_ptr + token * D, dv, C, D, BLOCK_C, WIDE_D)
        _keep_numbers(dB_ptr + token, dB1, C, BLOCK_C)
        _keep_numbers(dc_ptr + token, dc1, C, BLOCK_C)
        _keep_numbers(dreach_ptr + token, dreach1, C, BLOCK_C)
        _keep_numbers(dmomentum_ptr + token, dmomentum1, C, BLOCK_C)
        tl.store(dP_ptr + chunk * C * C + ij, dP1, mask=in_chunk)
        tl.store(dends_ptr + chunk * 3, dkeep)
        tl.store(dends_ptr + chunk * 3 + 1, dadd)
        tl.store(dends_ptr + chunk * 3 + 2, deta)
    _keep(dstate_ptr + row * 2 * M, dW1, HID, D, WIDE_H, WIDE_D)
    _keep(dstate_ptr + row * 2 * M + M, dS1, HID, D, WIDE_H, WIDE_D)
    _keep(danchor_ptr + row * M, dA1, HID, D, WIDE_H, WIDE_D)
    if LAYERS == 2:
        _keep(dstate_ptr + row * 2 * M + D * HID, dW2, D, HID, WIDE_D, WIDE_H)
        _keep(dstate_ptr + row * 2 * M + M + D * HID, dS2, D, HID, WIDE_D, WIDE_H)
        _keep(danchor_ptr + row * M + D * HID, dA2, D, HID, WIDE_D, WIDE_H)
