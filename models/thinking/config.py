"""How often a decoder may think about a token, and who decides."""

from dataclasses import dataclass

from models.decoder.config import DecoderConfig
from models.mixers.softmax import SoftmaxAttentionConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ThinkingConfig:
    decoder: DecoderConfig
    max_depth: int = 2
    """Passes a token has at most; 2 in all of the authors' recipes."""
    rank: int = 16
    alpha: float = 32.0
    """Of the low-rank weights of the later passes."""
    top_k: int = 100
    """Tokens whose embeddings, weighed by their probabilities, are what a later pass reads."""
    layers: tuple[int, ...] = (-1,)
    """The layers whose outputs the decider reads."""
    decider_width: int = 256
    decider_blocks: int = 6
    dropout: float = 0.1
    """Inside the decider."""
    threshold: float = 0.9
    """Thinks again where the decider's probability is above it."""

    def __post_init__(self) -> None:
        sizes = {"max_depth": self.max_depth, "rank": self.rank, "top_k": self.top_k, "width": self.decider_width}
        if wrong := {name: size for name, size in sizes.items() if size < 1}:
            raise ValueError(f"sizes must be positive, got {wrong}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold} is no probability")
        n = len(self.decoder.mixers)
        if not self.layers or any(not -n <= i < n for i in self.layers):
            raise ValueError(f"the decider reads layers {self.layers} of {n}")
        for mixer in self.decoder.mixers:
            plain = isinstance(mixer, SoftmaxAttentionConfig) and mixer.causal and mixer.only is None
            if not plain or mixer.window is not None or mixer.positions not in ("rotary", "none"):
                raise ValueError(f"duo-causal attention wants causal softmax without a window, got {mixer}")
