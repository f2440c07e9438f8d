"""Gated linear attention: a matrix state whose rows each forget at a rate the token decides."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.gla import gated_linear_attention
from models.mixers.base import SequenceMixer
from models.mixers.short_conv import CausalConv


@dataclass(frozen=True, kw_only=True, slots=True)
class GLAConfig:
    d_model: int
    n_heads: int = 4
    n_kv_heads: int | None = None
    """Keys, values and gates for fewer heads, each shared by n_heads / n_kv_heads queries; None is one a head."""
    expand_k: float = 0.5
    expand_v: float = 1.0
    """Width of all keys and of all values together, in multiples of d_model."""
    gate: Literal["channel", "head"] = "channel"
    """A forget gate for each key channel, or one scalar a head (as in Mamba-2; faster, and remembers less well)."""
    gate_rank: int = 16
    gate_temperature: float = 16.0
    """Divides the log forget gate; larger remembers longer."""
    min_log_gate: float | None = None
    """Log gates below this are lifted to it."""
    conv_width: int | None = None
    """Width of a causal convolution, with SiLU, on q, k and v; the authors' option is 4."""
    norm: Literal["rms", "layer"] = "rms"
    """Over each head's output; the paper writes a layer norm, its code an RMS norm."""
    norm_eps: float = 1e-5
    output_gate_bias: bool = False
    """The paper has one, its code none."""

    def __post_init__(self) -> None:
        if self.n_heads % self.kv_heads:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.kv_heads}")
        for name, width in (("expand_k", self.expand_k * self.d_model), ("expand_v", self.expand_v * self.d_model)):
            if width < self.n_heads or width % self.n_heads:
                raise ValueError(f"{name} makes a width of {width}, not a multiple of n_heads {self.n_heads}")
        if self.gate_temperature <= 0 or self.gate_rank < 1:
            raise ValueError(
                f"gate_temperature {self.gate_temperature} and gate_rank {self.gate_rank} must be positive"
            )
        if self.min_log_gate is not None and self.min_log_gate > 0:
            raise ValueError(f"min_log_gate must be at most 0, got {self.min_log_gate}")
        if self.conv_width is not None and self.conv_width < 1:
            raise ValueError(f"conv_width must be at least 1, or None for no convolution, got {self.conv_width}")

    @property
    def kv_heads(self) -> int:
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def d_key(self) -> int:
        """K, a head's key width."""
        return int(self.expand_k * self.d_model) // self.n_heads

    @property
    def d_value(self) -> int:
        """V, a head's value width."""
        return int(self.expand_v * self.d_model) // self.n_heads


class GLAState(NamedTuple):
    S: Tensor  # (B, H_kv, K, V), float32 or wider
    tails: tuple[Tensor, ...]  # with a convolution: the last inputs of q's, k's and v's, (B, width-1, ...) each


class GLA(SequenceMixer[GLAState]):
    """S_t = diag(alpha_t) S_{t-1} + k_t v_t^T,  o_t = K^{-1/2} S_t^T q_t   (Yang et al. 2024, eq. 3 and section 4.4)

    with alpha_t = sigmoid(x_t W1 W2 + b)^{1/tau} and y_t = (norm(o_t) * swish(x_t W_r)) W_o, the norm over each head.
    There is no denominator. The scale is the authors' code's; the paper writes none. Linear layers start at
    N(0, 0.02) and biases at 0, so that alpha starts near 0.5^{1/tau}: with tau 16, half of S is gone after 16 tokens.

    The state is H_kv K V floats, D^2 / (2H) with the defaults, however long the sequence.
    """

    def __init__(self, config: GLAConfig) -> None:
        super().__init__()
        self.config = c = config
        d_q, d_k, d_v = c.n_heads * c.d_key, c.kv_heads * c.d_key, c.kv_heads * c.d_value
        self.query = nn.Linear(c.d_model, d_q, bias=False)
        self.key = nn.Linear(c.d_model, d_k, bias=False)
        self.value = nn.Linear(c.d_model, d_v, bias=False)
        self.forget = nn.Sequential(
            nn.Linear(c.d_model, c.gate_rank, bias=False),
            nn.Linear(c.gate_rank, d_k if c.gate == "channel" else c.kv_heads),
        )
        self.output_gate = nn.Linear(c.d_model, c.n_heads * c.d_value, bias=c.output_gate_bias)
        norm = nn.RMSNorm if c.norm == "rms" else nn.LayerNorm
        self.norm = norm(c.d_value, eps=c.norm_eps)  # one weight of width V for all heads
        self.out = nn.Linear(c.n_heads * c.d_value, c.d_model, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        widths = () if c.conv_width is None else (d_q, d_k, d_v)
        self.convs = nn.ModuleList(CausalConv(width, c.conv_width or 1, bias=False) for width in widths)

    def initial_state(self, batch: int) -> GLAState:
        c, weight = self.config, self.out.weight
        wide = torch.promote_types(weight.dtype, torch.float32)
        S = torch.zeros(batch, c.kv_heads, c.d_key, c.d_value, dtype=wide, device=weight.device)
        return GLAState(S, tuple(conv.initial_state(batch) for conv in cast(list[CausalConv], self.convs)))

    def log_gate(self, x: Tensor) -> Tensor:
        """log alpha (B, T, H_kv, K), or (B, T, H_kv, 1) for scalar gates; float32 or wider, at most 0."""
        logits = self.forget(x).unflatten(-1, (self.config.kv_heads, -1))
        log_f = F.logsigmoid(logits.to(torch.promote_types(x.dtype, torch.float32))) / self.config.gate_temperature
        return log_f if self.config.min_log_gate is None else log_f.clamp_min(self.config.min_log_gate)

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: GLAState | None = None
    ) -> tuple[Tensor, GLAState]:
        self.refuse_ids(ids)
        c = self.config
        state = self.initial_state(len(x)) if state is None else state
        qkv = [self.query(x), self.key(x), self.value(x)]
        tails = []
        for i, (conv, tail) in enumerate(zip(cast(list[CausalConv], self.convs), state.tails, strict=True)):
            mixed, tail = conv(qkv[i], mask, tail)
            qkv[i] = F.silu(mixed)
            tails.append(tail)
        q, k, v = (z.unflatten(-1, (-1, width)) for z, width in zip(qkv, (c.d_key, c.d_key, c.d_value), strict=True))
        log_f = self.log_gate(x)
        if mask is not None:
            # A padded step must leave S alone: forget nothing (log f = 0), write nothing (k = 0).
            pad = ~mask[:, :, None, None]
            log_f, k = log_f.masked_fill(pad, 0.0), k.masked_fill(pad, 0.0)
        q, k, v, log_f = (z.transpose(1, 2) for z in (q * c.d_key**-0.5, k, v, log_f))  # (B, H, T, ...)
        o, S = gated_linear_attention(q, k, v, log_f, state.S)
        o = self.norm(o.transpose(1, 2).to(self.norm.weight.dtype)).flatten(2)  # (B, T, H V)
        y = self.out(F.silu(self.output_gate(x)) * o)
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, GLAState(S, tuple(tails))
