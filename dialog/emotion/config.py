"""config.json of an emotion model."""

from dataclasses import dataclass
from typing import Literal

from dialog.reading.batching import Layout
from models.emotionic.config import EmotionICConfig
from models.encoders.text import BUILT_IN


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionModelConfig:
    """config.json of an emotion model: everything its weights need to be used."""

    labels: tuple[str, ...]
    context: EmotionICConfig
    layout: Layout
    encoder: str = BUILT_IN
    """The encoder the deltas were trained on: `minilm`, a folder, or a hub name."""
    decoding: Literal["viterbi", "posterior"] = "posterior"
    """How an offline label is chosen: the likeliest labelling, or each utterance's likeliest label. By validation."""
    label_bias: tuple[float, ...] = ()
    """Added to each label's log-probability when the posterior label is chosen, never to what is reported; none: empty.
    A metric such as F1 without neutral is not served best by the likeliest label. By validation."""
    temperature: float = 1.0
    """Divides all scores before probabilities are read off, offline; found on validation."""
    live_temperature: float = 1.0
    """The same in live mode."""
    tags: tuple[str, ...] = ()
    """What the model may say beside the label, in the order of its outputs."""
    tag_threshold: float = 0.3
    """A tag is said from this probability on; by validation."""

    def __post_init__(self) -> None:
        if len(self.tags) != self.context.n_tags:
            raise ValueError(f"{len(self.tags)} tags, but the context model has {self.context.n_tags}")
        if not 0 < self.tag_threshold < 1:
            raise ValueError(f"tag_threshold {self.tag_threshold}: expected more than 0 and less than 1")
        if len(self.labels) != self.context.n_labels:
            raise ValueError(f"{len(self.labels)} labels, but the context model has {self.context.n_labels}")
        if self.label_bias and len(self.label_bias) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels, but label_bias has {len(self.label_bias)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels are not distinct: {', '.join(self.labels)}")
