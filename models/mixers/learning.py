"""What the mixers whose weights learn while they read share: projections, gates, network, and the call of the op."""

from typing import Any, Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.neural_memory import NO_MOMENTUM, Fast, Gates, Rule, neural_memory
from kernels.neural_memory.rule import Weights
from models.mixers.base import SequenceMixer
from models.mixers.short_conv import CausalConv

State = TypeVar("State", bound=tuple[Any, ...])
ONE = 0.5413
"""softplus of this is 1."""


class LearningConfig(Protocol):
    """What is read of a mixer's config here."""

    @property
    def d_model(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def d_head(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def memory(self) -> Literal["mlp", "matrix"]: ...
    @property
    def depth(self) -> int: ...
    @property
    def momentum(self) -> bool: ...
    @property
    def chunk(self) -> int: ...
    @property
    def max_step(self) -> float: ...
    @property
    def conv_width(self) -> int: ...


class LearningMixer(SequenceMixer[State]):
    """q, k, v through a causal convolution and SiLU, q and k of length 1; gates one number a head and token, or with a
    `rank` one a channel, by a map through so many numbers; with `thresholds` one more a head and token for the loss; a
    small network a head whose first weights are learned; norm(y) * silu(W x) on the way out. A subclass says the
    rule."""

    rule: Rule

    def __init__(self, config: LearningConfig, *, rank: int | None = None, thresholds: bool = False) -> None:
        super().__init__()
        c, d, heads = config, config.d_model, config.n_heads
        self.learning = c
        width = heads if rank is None else d
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.conv = CausalConv(3 * d, c.conv_width, bias=False)
        with torch.no_grad():  # starts as the token itself
            self.conv.weight.zero_()[0] = 1.0
        self.narrow = nn.Identity() if rank is None else nn.Linear(d, rank, bias=False)
        self.gates = nn.Linear(d if rank is None else rank, 3 * width)
        nn.init.zeros_(self.gates.weight)
        with torch.no_grad():  # forget little, keep half of the momentum, step half as far as may be
            self.gates.bias.copy_(torch.tensor([0.0, 5.0, 0.0]).repeat_interleave(width))
        self.threshold = nn.Linear(d, heads) if thresholds else None
        if self.threshold is not None:
            nn.init.zeros_(self.threshold.weight)
            nn.init.constant_(self.threshold.bias, ONE)
        self.memory = network(heads, c.d_head, c.hidden, 1 if c.memory == "matrix" else c.depth)
        self.norm = nn.RMSNorm(c.d_head, eps=1e-5)
        self.output_gate = nn.Linear(d, d, bias=False)
        self.out = nn.Linear(d, d, bias=False)

    def fresh(self, batch: int) -> tuple[Weights, Weights, Weights, Tensor]:
        """Weights, momentum, anchor and phase before the first token; nothing where the config needs none."""
        wide = torch.promote_types(self.out.weight.dtype, torch.float32)
        weights = tuple(w.to(wide).expand(batch, *w.shape) for w in self.memory)
        momentum = tuple(torch.zeros_like(w) for w in weights) if self.learning.momentum else ()
        anchor = weights if self.learning.chunk > 1 else ()
        return weights, momentum, anchor, torch.zeros(batch, dtype=torch.long, device=self.out.weight.device)

    def learn(
        self,
        x: Tensor,
        mask: Tensor | None,
        before: tuple[Weights, Weights, Weights, Tensor],
        tail: Tensor,
        *,
        forget: bool = True,
    ) -> tuple[Tensor, tuple[Weights, Weights, Weights, Tensor], Tensor]:
        """What the memory answers (B, T, H, d), what `fresh` names after it, and the convolution's last inputs."""
        c = self.learning
        weights, momentum, anchor, phase = before
        mixed, tail = self.conv(self.qkv(x), mask, tail)
        q, k, v = (z.unflatten(-1, (c.n_heads, -1)).transpose(1, 2) for z in F.silu(mixed).chunk(3, -1))
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        step, keep, eta = self._gate_logits(x, weights[0].dtype)
        gates = Gates(
            c.max_step * step.sigmoid(),
            F.logsigmoid(keep) if forget else torch.zeros_like(keep),
            F.logsigmoid(eta) if c.momentum else torch.full_like(eta, NO_MOMENTUM),
        )
        if self.threshold is not None:
            gates = gates._replace(threshold=F.softplus(self.threshold(x).to(weights[0].dtype)).transpose(1, 2))
        fast = Fast(weights, momentum or tuple(torch.zeros_like(w) for w in weights), anchor or weights, phase)
        y, fast = neural_memory(q, k, v, gates, fast, self.rule, mask)
        kept = (fast.weights, fast.momentum if c.momentum else (), fast.anchor if c.chunk > 1 else (), fast.phase)
        return y.transpose(1, 2), kept, tail

    def _gate_logits(self, x: Tensor, wide: torch.dtype) -> tuple[Tensor, ...]:
        """Of step, keep and momentum, (B, H, T), or (B, H, T, d) a channel."""
        logits = self.gates(self.narrow(x)).to(wide).chunk(3, -1)
        if isinstance(self.narrow, nn.Identity):
            return tuple(z.transpose(1, 2) for z in logits)
        return tuple(z.unflatten(-1, (self.learning.n_heads, -1)).transpose(1, 2) for z in logits)

    def finish(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """From the memory's answers y (B, T, H, d) to what the mixer says, zero at padding."""
        y = self.out(self.norm(y.to(x.dtype)).flatten(2) * F.silu(self.output_gate(x)))
        return y if mask is None else y.masked_fill(~mask[..., None], 0.0)


def network(heads: int, width: int, hidden: int, depth: int) -> nn.ParameterList:
    """The first weights of a small network a head, `depth` matrices, Xavier-uniform: a network of zeros never learns,
    for all its gradients are zero."""
    shapes = [(width, width)] if depth == 1 else [(hidden, width), *[(hidden, hidden)] * (depth - 2), (width, hidden)]
    layers = nn.ParameterList(nn.Parameter(torch.empty(heads, *shape)) for shape in shapes)
    for layer in layers:
        for head in layer:
            nn.init.xavier_uniform_(head)
    return layers
