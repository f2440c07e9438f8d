"""How the head is built, and when it is not sure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceEmotionConfig:
    labels: tuple[str, ...]
    n_inputs: int
    """Measures of a stretch of speech, and after them what the network of voiceprints makes of it."""
    least_probability: float = 0.5
    """Of the likeliest emotion, below which it is not sure."""
    most_strange: float = 4.0
    """Mean square of the inputs in spreads from their means, above which it is not sure either: 1 is usual."""
    voiceprints: str = ""
    """`checkpoint.content_hash` of the network of voiceprints that it was learned over."""

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels are {', '.join(self.labels) or 'none'}, expected two different ones or more")
        if self.n_inputs < 1:
            raise ValueError(f"{self.n_inputs} inputs, expected at least 1")
        if not 0 <= self.least_probability <= 1 or self.most_strange <= 0:
            raise ValueError(
                f"least_probability is {self.least_probability} and most_strange {self.most_strange}, expected a "
                "probability and a positive number"
            )
