"""Tensors as kernels take them: any strides, but for a dense last axis."""

from torch import Tensor


def last_axis_dense(x: Tensor) -> Tensor:
    """x itself, or a copy where neighbours in its last axis lie apart."""
    return x if x.stride(-1) == 1 else x.contiguous()


def strides(x: Tensor) -> tuple[int, int, int]:
    """Of a (B, H, T, K) tensor whose last axis is dense."""
    return x.stride(0), x.stride(1), x.stride(2)
