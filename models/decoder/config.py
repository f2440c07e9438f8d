"""What a decoder is, whoever trained it."""

from dataclasses import dataclass
from typing import Any, Literal

Method = Literal["liger", "lizard"]
METHODS: tuple[Method, ...] = ("liger", "lizard")


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderConfig:
    """Layers of (norm, mixer, norm, gated feed-forward), each half around a residual."""

    n_tokens: int
    d_model: int
    d_hidden: int
    mixers: tuple[Any, ...]
    """A mixer's config a layer, from the first."""
    activation: Literal["silu", "gelu_tanh"] = "silu"
    norm_eps: float = 1e-5
    post_norms: bool = False
    """A second norm after each half, before the residual (Gemma 3)."""
    embedding_scale: float = 1.0
    """What embedded tokens are multiplied by (Gemma: the root of d_model)."""
    tied: bool = True
    """The head is the embedding, transposed."""
    context: int = 2048
    """Tokens it was taught to look at."""
    ends: tuple[int, ...] = ()
    """The tokens that end a text."""
    origin: str = ""
    """What it was made of, and how."""

    def __post_init__(self) -> None:
        sizes = {"n_tokens": self.n_tokens, "d_model": self.d_model, "d_hidden": self.d_hidden, "context": self.context}
        if wrong := {name: size for name, size in sizes.items() if size < 1}:
            raise ValueError(f"sizes must be positive, got {wrong}")
        if not self.mixers:
            raise ValueError("a decoder has at least one layer, and mixers is empty")
        for mixer in self.mixers:
            if mixer.d_model != self.d_model:
                raise ValueError(f"d_model is {self.d_model}, but {mixer.d_model} in {mixer}")
