"""What taps mean, tap by tap."""

from torch import Tensor


def taps(u: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """y_t = sum_i w_i u_{t + i dilation}; u (B, S, C), weight (C, k)."""
    width = weight.shape[1]
    n_out = u.shape[1] - (width - 1) * dilation
    y = u.new_zeros(u.shape[0], n_out, u.shape[2])
    for i in range(width):
        y = y + weight[:, i] * u[:, i * dilation : i * dilation + n_out]
    return y
