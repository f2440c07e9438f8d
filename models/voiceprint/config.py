"""How a network of voiceprints is built."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceprintConfig:
    rate: int = 8000
    """Samples a second of what it hears."""
    n_bands: int = 40
    """Mel bands, from 80 Hz to 3,800."""
    width: int = 128
    """Channels of the convolutions."""
    attention: int = 32
    """Width of what decides which frames count."""
    size: int = 96
    """Of a voiceprint."""

    def __post_init__(self) -> None:
        sizes = {n: getattr(self, n) for n in ("rate", "n_bands", "width", "attention", "size")}
        if min(sizes.values()) < 1:
            raise ValueError(f"all of {sizes} must be positive")
        if self.rate < 7600:
            raise ValueError(f"a rate of {self.rate} has nothing up to 3,800 Hz, expected at least 7,600")
