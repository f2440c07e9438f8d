"""Heads that share keys: fewer key heads than query heads, each serving a group of queries."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupedConfig:
    d_model: int
    n_heads: int = 4
    n_kv_heads: int | None = None
    """Keys and values for fewer heads, each shared by n_heads / n_kv_heads queries; None is one a head."""
    head_width: int | None = None
    """None is d_model / n_heads."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or (self.head_width is None and self.d_model % self.n_heads):
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.d_head < 1:
            raise ValueError(f"head_width is {self.head_width}, expected at least 1")
        if self.kv_heads < 1 or self.n_heads % self.kv_heads:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.kv_heads}")

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads if self.head_width is None else self.head_width


def per_query_head(n: int, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Each head of (B, H, ...) n times over, for the queries that share it."""
    return tensors if n == 1 else tuple(z.repeat_interleave(n, 1) for z in tensors)
