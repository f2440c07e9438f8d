"""Titans: a long-term memory whose weights are learned while it reads, alone and beside attention."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kernels.neural_memory import Rule, Squared
from kernels.neural_memory.rule import Weights
from models.mixers.base import SequenceMixer
from models.mixers.learning import LearningMixer
from models.mixers.prefix_attention import PrefixAttention, PrefixAttentionState


@dataclass(frozen=True, kw_only=True, slots=True)
class TitansConfig:
    d_model: int
    n_heads: int = 4
    memory: Literal["mlp", "matrix"] = "mlp"
    """What learns: a network of `depth` layers, or one matrix."""
    depth: int = 2
    """Layers of the network, L_M in the paper."""
    activation: Literal["silu", "gelu"] = "silu"
    """Between them; the paper says none."""
    expansion: float = 1.0
    """Width between the layers, in multiples of a head's."""
    chunk: int = 8
    """Gradients are taken at the weights every so many tokens; 1 is the exact online rule. Part of the model."""
    read: Literal["after", "before"] = "after"
    """Whether a token reads the weights it has just written; the paper leaves it open."""
    loss: Literal["sum", "mean"] = "sum"
    """Of the squared error over a head's width; the mean divides the step by that width."""
    momentum: bool = True
    forget: bool = True
    decay_first: bool = False
    """The error is taken on the weights once they have decayed, as the gated delta rule does; for a matrix."""
    residual_norm: bool = False
    """The memory answers x + norm(MLP(x)), a habit of its public implementations."""
    max_step: float = 0.1
    """theta's largest value; `chunk` times it over what momentum forgets should stay below a half."""
    conv_width: int = 4
    """Of the causal convolution on q, k and v; 1 is none."""
    n_persistent: int = 0
    """Learned vectors read before the first token (eq. 19)."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.chunk < 1 or self.conv_width < 1 or self.n_persistent < 0 or self.hidden < 1 or self.max_step <= 0:
            raise ValueError(
                f"chunk {self.chunk}, conv_width {self.conv_width}, expansion {self.expansion} and max_step "
                f"{self.max_step} must be positive, and n_persistent {self.n_persistent} at least 0"
            )
        if self.depth < 2 or self.activation not in ("silu", "gelu"):
            raise ValueError(
                f"depth {self.depth} must be at least 2 (1 is memory='matrix'), activation {self.activation!r} "
                "'silu' or 'gelu'"
            )
        if self.decay_first and self.memory != "matrix":
            raise ValueError("decay_first is for memory='matrix': what a decayed network answers is no multiple")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    @property
    def hidden(self) -> int:
        return int(self.expansion * self.d_head)


class TitansState(NamedTuple):
    weights: Weights  # (B, H, ., .) each, float32 or wider
    momentum: Weights  # the same, or nothing without momentum
    anchor: Weights  # the same at the start of the chunk, or nothing for chunks of one
    phase: Tensor  # (B,) long: tokens of the current chunk that have been read
    tails: tuple[Tensor, ...]  # the convolutions' last inputs


class Titans(LearningMixer[TitansState]):
    """S_t = eta_t S_{t-1} - theta_t grad ||M(k_t) - v_t||^2,  M_t = (1 - alpha_t) M_{t-1} + S_t,  y_t = M_t(q_t)

    (the long-term memory module of Behrouz et al. 2024, eq. 12 to 16), M a small network a head, its first weights
    learned; q, k, v through a causal convolution and SiLU, q and k of length 1; the gates one number a head and token.
    The paper leaves open the gates' form (sigmoids of linear maps here), whether the first weights are learned, the
    form of the output gate (norm(y) * silu(W x)), and which weights a token reads.

    The state is 2 P numbers a row, P = H (2 d h) for two layers and H h^2 for each between, 3 P for chunks of more than
    one, however long the sequence. A step with theta = 0 changes nothing but what it forgets. Left out: updates made
    orthogonal and learned gains of the memory's norm, habits of its public implementations.
    """

    def __init__(self, config: TitansConfig) -> None:
        super().__init__(config)
        self.config = c = config
        if c.n_persistent:
            self.persistent = nn.Parameter(torch.randn(c.n_persistent, c.d_model) * 0.02)
        self.rule = Rule(
            name=repr(c),
            error=Squared(2.0 if c.loss == "sum" else 2.0 / c.d_head),
            chunk=c.chunk,
            read=c.read,
            residual_norm=c.residual_norm,
            decay_first=c.decay_first,
            activation=c.activation,
        )

    def initial_state(self, batch: int) -> TitansState:
        state = TitansState(*self.fresh(batch), (self.conv.initial_state(batch),))
        if self.config.n_persistent:
            state = self._write(self.persistent.expand(batch, -1, -1), None, state)[1]
        return state

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: TitansState | None = None
    ) -> tuple[Tensor, TitansState]:
        self.refuse_ids(ids)
        y, state = self._write(x, mask, self.initial_state(len(x)) if state is None else state)
        return self.finish(x, y, mask), state

    def _write(self, x: Tensor, mask: Tensor | None, state: TitansState) -> tuple[Tensor, TitansState]:
        """What the memory answers, (B, T, H, d), and the state after it."""
        y, after, tail = self.learn(x, mask, state[:4], state.tails[0], forget=self.config.forget)
        return y, TitansState(*after, (tail,))


@dataclass(frozen=True, kw_only=True, slots=True)
class TitansMixedConfig(TitansConfig):
    attention_heads: int = 4
    window: int = 32
    """Of the attention: a token sees this many before it, and the persistent vectors always."""

    def __post_init__(self) -> None:
        TitansConfig.__post_init__(self)
        if self.window < 1 or self.attention_heads < 1 or self.d_model % self.attention_heads:
            raise ValueError(
                f"window {self.window} must be positive and d_model {self.d_model} a multiple of attention_heads "
                f"{self.attention_heads}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TitansLayerConfig(TitansMixedConfig):
    """MAL's: a backbone knows a mixer by its config."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TitansGateConfig(TitansMixedConfig):
    fusion: Literal["gate", "product"] = "gate"
    """sigmoid(norm(m)) * norm(a), or norm(m) * norm(a); the paper leaves the form open."""

    def __post_init__(self) -> None:
        TitansMixedConfig.__post_init__(self)
        if self.fusion not in ("gate", "product"):
            raise ValueError(f"fusion is {self.fusion!r}, expected 'gate' or 'product'")


class TitansMixedState(NamedTuple):
    memory: TitansState
    attention: PrefixAttentionState


class _Mixed(SequenceMixer[TitansMixedState]):
    def __init__(self, config: TitansMixedConfig) -> None:
        super().__init__()
        self.config = config
        self.memory = Titans(config)
        self.attention = PrefixAttention(
            config.d_model, config.attention_heads, window=config.window, n_prefix=config.n_persistent
        )

    def initial_state(self, batch: int) -> TitansMixedState:
        return TitansMixedState(self.memory.initial_state(batch), self.attention.initial_state(batch))


class TitansLayer(_Mixed):
    """MAL: attention over what the memory says, o = SWA(LMM([P; x]))   (Behrouz et al. 2024, eq. 29 to 31)."""

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: TitansMixedState | None = None
    ) -> tuple[Tensor, TitansMixedState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        y, memory = self.memory(x, mask=mask, state=state.memory)
        y, attention = self.attention(y, mask, state.attention)
        return y, TitansMixedState(memory, attention)


class TitansGate(_Mixed):
    """MAG: the memory gates attention, o = sigmoid(norm(LMM([P; x]))) * norm(SWA([P; x]))   (eq. 26 to 28)."""

    def __init__(self, config: TitansGateConfig) -> None:
        super().__init__(config)
        self.fusion = config.fusion
        self.memory_norm = nn.RMSNorm(config.d_model, eps=1e-5)
        self.attention_norm = nn.RMSNorm(config.d_model, eps=1e-5)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: TitansMixedState | None = None
    ) -> tuple[Tensor, TitansMixedState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        m, memory = self.memory(x, mask=mask, state=state.memory)
        a, attention = self.attention(x, mask, state.attention)
        m, a = self.memory_norm(m), self.attention_norm(a)
        y = (m.sigmoid() if self.fusion == "gate" else m) * a
        return (y if mask is None else y.masked_fill(~mask[..., None], 0.0)), TitansMixedState(memory, attention)
