"""The sizes of the two towers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TowersConfig:
    """Small heads over the sentence vectors of a frozen text encoder."""

    emotions: tuple[str, ...]
    """What the last message, and the reply, may feel; the towers know one more, "not known"."""
    d_text: int = 384
    """Width of the encoder's sentence vectors."""
    d_hidden: int = 640
    d_out: int = 256
    """Width of the space in which a reply is near what it answers."""
    n_messages: int = 4
    """How many messages are read, the last one first; in a talk of two every other place is one's own."""
    dropout: float = 0.2

    def __post_init__(self) -> None:
        sizes = {"d_text": self.d_text, "d_hidden": self.d_hidden, "d_out": self.d_out, "n_messages": self.n_messages}
        wrong = {name: size for name, size in sizes.items() if size < 1}
        if wrong:
            raise ValueError(f"sizes must be positive, got {wrong}")
        if self.d_out > self.d_text:
            raise ValueError(f"d_out {self.d_out} is more than d_text {self.d_text}, which it is a projection of")
