"""Softmax attention, in every common shape."""

from dataclasses import dataclass

from models.mixers.attention import AttentionConfig, AttentionMixer


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftmaxAttentionConfig(AttentionConfig):
    """`AttentionConfig` as it is: heads, grouped keys, window, positions, structure from ids."""


class SoftmaxAttention(AttentionMixer):
    """o_i = sum_j softmax_j(q_i . k_j / sqrt(K) + b_{i-j}) v_j   (Vaswani et al. 2017, eq. 1), heads side by side.

    Grouped keys as in Ainslie et al. 2023; rotary positions (Su et al. 2021), ALiBi (Press et al. 2022) or a learned
    bias by distance; a sliding window; by ids, only tokens of the same id or only of others. A token that may see
    nobody answers zero. Over a window the state is a ring of that many keys and values, otherwise it grows:
    S (2 G K) numbers a row for S tokens seen.
    """

    kind = "softmax"

    def __init__(self, config: SoftmaxAttentionConfig) -> None:
        super().__init__(config)
