"""What an EmotionIC is made of. Each part can be left out, for the ablation table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionICConfig:
    """The context model over utterance vectors. Defaults are the shipped size."""

    n_labels: int
    d_encoder: int = 384
    """Width of the utterance vectors that come in."""
    d_model: int = 128
    """Width of both branches."""
    n_heads: int = 4
    n_attention_layers: int = 1
    """Layers of identity-masked attention; 0 leaves the global branch out."""
    n_gru_layers: int = 1
    """Layers of DialogGRU; 0 leaves the local branch out."""
    window: int = 32
    """Utterances each side that attention sees (earlier ones only, in a live chat)."""
    dropout: float = 0.2
    crf: Literal["skip", "linear", "none"] = "skip"
    """The chain over labels: the paper's, its linear-chain ablation, or none (each utterance by itself)."""
    gated: bool = False
    """Whether each utterance decides how much its conversation may say of it, from what it says itself."""
    n_tags: int = 0
    """Tags that are said beside the label, any number of them, each by itself."""
    affect: bool = False
    """Whether valence and arousal are said too."""

    def __post_init__(self) -> None:
        if self.n_labels < 2:
            raise ValueError(f"n_labels {self.n_labels}: expected at least 2")
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if min(self.n_attention_layers, self.n_gru_layers) < 0:
            raise ValueError("n_attention_layers and n_gru_layers: expected 0 or more")
        if self.window < 1:
            raise ValueError(f"window {self.window}: expected at least 1 utterance")
        if self.n_tags < 0:
            raise ValueError(f"n_tags {self.n_tags}: expected 0 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 or more and less than 1")
