"""How a separator is built; the defaults are the published network."""

from dataclasses import dataclass
from typing import Literal

from models.mixers.fsmn import FSMNConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class MossFormer2Config:
    n_speakers: int = 2
    rate: int = 8000
    """Samples a second of what it was trained on."""
    n_filters: int = 512
    """Of the encoder, whose frames the masks are for."""
    kernel: int = 16
    """Samples of a frame."""
    stride: int = 8
    """Samples from a frame to the next; half the kernel in the paper."""
    d_model: int = 512
    n_blocks: int = 24
    """Pairs of a gated attention and a gated FSMN."""
    d_key: int = 128
    chunk: int = 256
    """Frames of the attention's near part."""
    conv_width: int = 17
    """Of the depthwise convolution in every unit."""
    order: int = 20
    """Taps of the FSMN to each side, the present among them."""
    memory: Literal["dense", "dilated", "plain", "none"] = "dense"
    """The FSMN's ablations: each memory hears all before it; only the last; one memory without dilation; no FSMN."""
    masks: Literal["mossformer", "lstm"] = "mossformer"
    """What makes the masks. `lstm` is the plain TasNet to compare with: two bidirectional LSTM layers of d_model."""
    gated: bool = True
    """Whether the FSMN's memory is multiplied by a unit of its own."""
    causal: bool = False
    """Every frame hears only those before it; norms are then over a frame's channels."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = {n: getattr(self, n) for n in ("n_speakers", "rate", "n_filters", "kernel", "stride", "n_blocks")}
        sizes |= {n: getattr(self, n) for n in ("d_key", "chunk", "conv_width", "order")}
        if min(sizes.values()) < 1:
            raise ValueError(f"all of {sizes} must be positive")
        if self.d_model < 2 or self.d_model % 2:
            raise ValueError(f"d_model is {self.d_model}, expected an even number: half of it is shifted by a frame")
        if self.kernel % self.stride:
            raise ValueError(f"kernel {self.kernel} is not a multiple of stride {self.stride}")
        if self.memory not in ("dense", "dilated", "plain", "none"):
            raise ValueError(f"memory is {self.memory!r}, expected dense, dilated, plain or none")
        if self.masks not in ("mossformer", "lstm"):
            raise ValueError(f"masks is {self.masks!r}, expected mossformer or lstm")
        if self.masks == "lstm" and self.causal:
            raise ValueError("masks of an lstm hear both ways, expected causal=False")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def fsmn(self) -> FSMNConfig:
        return FSMNConfig(
            d_model=self.d_model,
            order=self.order,
            order_ahead=0 if self.causal else self.order - 1,
            dilations=(1,) if self.memory == "plain" else (1, 2),
            conv_width=self.conv_width,
            gated=self.gated,
            dense=self.memory == "dense",
            dropout=self.dropout,
        )
