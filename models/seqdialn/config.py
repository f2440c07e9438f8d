"""What a SeqDialN is made of."""

from dataclasses import dataclass
from typing import Literal

from models.mixers import MIXERS

SPECIAL_WORDS = 3
"""Of the generative decoder: START, END and UNKNOWN come before the words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeqDialNConfig:
    """The network between token vectors and region vectors on one side and answers on the other.

    Defaults are a size for one CPU core; the published one is d_model 1024, d_answer 768, three fusion layers.
    """

    d_text: int = 384
    """Width of the token vectors that come in."""
    d_region: int
    """Width of the region vectors that come in."""
    d_sentence: int = 0
    """Width of sentence and whole-picture vectors in one common space, whose product joins the joint vector; 0: none.
    Not in the paper, whose region features share no space with text."""
    gist: bool = False
    """Whether a gated product of sentence and whole picture (its vector, its regions' mean and peaks) joins the joint
    vector too, as in the simplest models that answer about pictures (Kim et al. 2017). Needs d_sentence."""
    question_reads: Literal["alone", "previous"] = "alone"
    """`alone`: a question is fused with the picture by itself, and a pronoun looked for before it is resolved, as in
    the official code. `previous`: the history item before it is read first, so that what is meant is looked for."""
    learned_nothing: bool = False
    """Whether a history item in which nothing was said has one learned vector, and is not fused with the picture: a
    first question then costs one fusion in place of two."""
    d_model: int = 256
    n_heads: int = 4
    """Attention maps of the fusion, averaged, and heads of the MR reasoning."""
    n_memory: int = 2
    """Slots to attend to when nothing fits, in each co-attention layer and on each side."""
    n_fusion_layers: int = 2
    n_text_layers: int = 1
    """Bidirectional LSTMs over the token vectors; 0 leaves a linear layer alone."""
    scale: Literal["width", "heads"] = "width"
    """What divides the co-attention's logits: the square root of a head's width, as in the original dense
    co-attention, or of the number of heads, as in SeqDialN's own code."""
    region_norm: Literal["region", "channel", "none"] = "region"
    """L2 norm of each region's vector, or of each channel over the regions (the official code), or none."""
    use_boxes: bool = True
    """Whether a region's place (its corners, as fractions) is added to its vector. The official code has no boxes."""
    reasoning: str = "mr"
    """`ip`: a 2-layer LSTM over each stream; `mr`: the two-stream transformer; or any mixer of the table."""
    n_reasoning_layers: int = 2
    d_answer: int = 256
    """Width of z and of the options' vectors."""
    n_option_layers: int = 1
    """LSTMs over an option's token vectors (the paper: 2); 0 averages the tokens instead."""
    n_words: int = 0
    """The generative decoder's vocabulary without its special words; 0 leaves that decoder out."""
    n_decoder_layers: int = 1
    """LSTMs of the generative decoder (the paper: 2)."""
    dropout: float = 0.1
    d_part: int = 0
    """Width of the vectors of a drawing's parts, which have a fusion of their own; 0: drawings are seen like any other
    picture. Not in the paper."""
    n_part_layers: int = 2
    """Co-attention layers of that fusion."""
    n_tallies: int = 16
    """Things it counts at once."""

    def __post_init__(self) -> None:
        widths = ("d_text", "d_region", "d_model", "n_heads", "d_answer", "n_fusion_layers", "n_reasoning_layers")
        for name in (*widths, "n_memory", "n_decoder_layers", "n_part_layers", "n_tallies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("d_sentence", "n_text_layers", "n_option_layers", "n_words", "d_part"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if self.gist and not self.d_sentence:
            raise ValueError("gist needs sentence and whole-picture vectors: d_sentence is 0")
        if self.question_reads not in ("alone", "previous"):
            raise ValueError(f"question_reads is {self.question_reads!r}, expected alone or previous")
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is not an even multiple of n_heads {self.n_heads}")
        if self.reasoning not in ("ip", "mr", *MIXERS):
            raise ValueError(f"reasoning is {self.reasoning!r}, expected ip, mr or one of {', '.join(sorted(MIXERS))}")
        for name, allowed in (("scale", ("width", "heads")), ("region_norm", ("region", "channel", "none"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {allowed}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 or more and less than 1")
