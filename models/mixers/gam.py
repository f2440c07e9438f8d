"""Gated associative memory: a short convolution beside a lookup in learned memories, fused by gates."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.mixers.base import SequenceMixer
from models.mixers.short_conv import CausalConv


@dataclass(frozen=True, kw_only=True, slots=True)
class GAMConfig:
    d_model: int
    n_memories: int | None = None
    """Slots of the memory bank; None is d_model, the paper's proportion."""
    width: int = 3
    """k of the convolution."""
    n_heads: int = 1
    """The lookup's, each over its own share of the channels; 1 in the paper."""
    scale: float = 1.0
    """Of the lookup's scores; the paper has none."""
    paths: Literal["both", "local", "global"] = "both"
    fusion: Literal["gate", "sum"] = "gate"
    """The paper's ablations: one path alone, and a plain sum without gates."""

    def __post_init__(self) -> None:
        if self.d_model < 1 or self.n_heads < 1 or self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.memories < 1 or self.width < 1:
            raise ValueError(f"n_memories {self.memories} and width {self.width} must be positive")
        if self.paths not in ("both", "local", "global") or self.fusion not in ("gate", "sum"):
            raise ValueError(f"paths {self.paths!r} or fusion {self.fusion!r} is none of those there are")

    @property
    def memories(self) -> int:
        return self.d_model if self.n_memories is None else self.n_memories


class GAMState(NamedTuple):
    tail: Tensor  # (B, width-1, D): the last inputs; (B, 0, D) without the local path


class GAM(SequenceMixer[GAMState]):
    """y_t = sigmoid(g_l) * local_t + sigmoid(g_g) * global_t, [g_l, g_g] = W_g x_t + b_g   (Acharya 2025)

    with local_t = c + sum_{i<k} w_i * x_{t-i}, channel by channel, and global_t = M^T softmax(M x_t), M (slots, D)
    learned. The memories are parameters that no sequence writes: "global" is a function of the token alone, and a
    token sees k - 1 tokens back and no further. There is no output projection.
    """

    def __init__(self, config: GAMConfig) -> None:
        super().__init__()
        self.config = c = config
        if c.paths != "global":
            self.conv = CausalConv(c.d_model, c.width)
        if c.paths != "local":
            self.memory = nn.Parameter(torch.empty(c.memories, c.d_model))
            nn.init.xavier_uniform_(self.memory)
        self.n_paths = 2 if c.paths == "both" else 1
        if c.fusion == "gate":
            self.gate = nn.Linear(c.d_model, self.n_paths * c.d_model)

    def initial_state(self, batch: int) -> GAMState:
        if self.config.paths != "global":
            return GAMState(self.conv.initial_state(batch))
        return GAMState(self.memory.new_zeros(batch, 0, self.config.d_model))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: GAMState | None = None
    ) -> tuple[Tensor, GAMState]:
        self.refuse_ids(ids)
        state = self.initial_state(len(x)) if state is None else state
        tail, found = state.tail, []
        if self.config.paths != "global":
            local, tail = self.conv(x, mask, tail)
            found.append(local)
        if self.config.paths != "local":
            found.append(self.recall(x))
        if self.config.fusion == "gate":
            gates = self.gate(x).sigmoid().chunk(self.n_paths, -1)
            found = [gate * path for gate, path in zip(gates, found, strict=True)]
        y = sum(found[1:], found[0])
        if mask is not None:
            y = y.masked_fill(~mask[..., None], 0.0)
        return y, GAMState(tail)

    def recall(self, x: Tensor) -> Tensor:
        """M^T softmax(M x): cross-attention to the memories, which are keys and values at once; (B, T, D)."""
        queries = x.unflatten(-1, (self.config.n_heads, -1)).transpose(1, 2)  # (B, H, T, D/H)
        memory = self.memory.unflatten(-1, (self.config.n_heads, -1)).transpose(0, 1).expand(len(x), -1, -1, -1)
        found = F.scaled_dot_product_attention(queries, memory, memory, scale=self.config.scale)
        return found.transpose(1, 2).flatten(2)
