"""Attention whose weights are a truncated exponential of the score, so that it is also a recurrence."""

from torch import Tensor

from kernels.backend import Backend, BackendUnavailable, as_given, choose
from kernels.backend import named as asked_for
from kernels.taylor import chunked, reference
from kernels.taylor.features import features, n_features, polynomial

__all__ = ["features", "n_features", "polynomial", "taylor_attention"]


def taylor_attention(
    q: Tensor, k: Tensor, v: Tensor, S: Tensor, *, order: int, lowest: int = 0, backend: Backend | None = None
) -> tuple[Tensor, Tensor]:
    """N (B, H, T, V), not normalised, and the last S (B, H, F, V); `reference.taylor_attention` says what they are.

    q, k (B, H, T, K), v (B, H, T, V). To have the weights' sum too, give v a column of ones. There is no Triton
    version. Raises ValueError where shapes or orders disagree.
    """
    if not 0 <= lowest <= order or order < 1:
        raise ValueError(f"orders {lowest} to {order}, expected 0 <= lowest <= order and order at least 1")
    expected = (*q.shape[:2], n_features(q.shape[-1], order, lowest), v.shape[-1])
    if k.shape != q.shape or v.shape[:3] != q.shape[:3]:
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)} do not fit together")
    if tuple(S.shape) != expected:
        raise ValueError(f"S is {tuple(S.shape)}, expected {expected}")
    if asked_for(backend) == "triton":
        raise BackendUnavailable("triton was asked for, but Taylor attention has no kernel")
    run = reference if choose(q, backend) == "reference" else chunked
    with as_given(q):
        return run.taylor_attention(q, k, v, S, order, lowest)
