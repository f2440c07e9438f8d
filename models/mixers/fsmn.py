"""The gated dilated feed-forward sequential memory: taps into the past (and the future) in place of a recurrence."""

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.taps import taps
from models.mixers.base import SequenceMixer
from models.mixers.cache import last


@dataclass(frozen=True, kw_only=True, slots=True)
class FSMNConfig:
    d_model: int
    d_inner: int | None = None
    """Width of the bottleneck; None is half of d_model."""
    order: int = 20
    """Taps into the past, the present among them."""
    order_ahead: int = 0
    """Taps into the future; with any the mixer does not stream. The paper's block has 19."""
    dilations: tuple[int, ...] = (1, 2)
    """One memory each: the next one hears the ones before it at this spacing. (1,) is the plain FSMN."""
    conv_width: int = 17
    """Of the convolution in the two gated units."""
    gated: bool = True
    """The memory is multiplied by a unit of its own and added to what came in; otherwise it stands alone."""
    dense: bool = True
    """Every memory hears all the ones before it and the input, otherwise the last one alone."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.d_model, self.inner, self.order, self.conv_width) < 1 or self.order_ahead < 0:
            raise ValueError(
                f"d_model {self.d_model}, d_inner {self.d_inner}, order {self.order} and conv_width {self.conv_width} "
                f"must be positive, and order_ahead {self.order_ahead} at least 0"
            )
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations are {self.dilations}, expected positive numbers, one at least")

    @property
    def inner(self) -> int:
        return max(1, self.d_model // 2) if self.d_inner is None else self.d_inner


class Taps(nn.Module):
    """y_t = sum_i w_i u_{t - i dilation}, i from -ahead to order - 1, channel by channel; u (B, T, N).

    The state is the last (order - 1) dilation inputs. With taps ahead it needs whole sequences, padding being zero.
    """

    def __init__(self, width: int, order: int, *, ahead: int = 0, dilation: int = 1) -> None:
        super().__init__()
        self.order, self.ahead, self.dilation = order, ahead, dilation
        bound = (order + ahead) ** -0.5
        self.weight = nn.Parameter(torch.empty(width, 1, order + ahead).uniform_(-bound, bound))  # the oldest first

    @property
    def reach(self) -> int:
        return (self.order - 1) * self.dilation

    def initial_state(self, batch: int) -> Tensor:
        return self.weight.new_zeros(batch, 0 if self.ahead else self.reach, len(self.weight))

    def forward(self, u: Tensor, mask: Tensor | None, tail: Tensor) -> tuple[Tensor, Tensor]:
        if mask is not None:
            u = u.masked_fill(~mask[..., None], 0.0)
        if self.ahead:
            seen = F.pad(u, (0, 0, self.reach, self.ahead * self.dilation))
        else:
            seen = torch.cat([tail.to(u.dtype), u], 1)
        if not u.shape[1] or not len(u):
            return u, tail
        y = taps(seen, self.weight[:, 0], self.dilation)
        if self.ahead:
            return y, tail
        after = last(seen, self.reach, u.shape[1], None if mask is None else mask.sum(1))
        return y, after.to(tail.dtype)


class Unit(nn.Module):
    """norm, linear, SiLU, and a depthwise convolution around which its input goes by."""

    def __init__(self, width: int, taps: int, dropout: float, *, ahead: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)
        self.conv = Taps(width, taps - taps // 2, ahead=taps // 2) if ahead and taps > 1 else Taps(width, taps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None, tail: Tensor) -> tuple[Tensor, Tensor]:
        h = F.silu(self.linear(self.norm(x)))
        near, tail = self.conv(h, mask, tail)
        return self.dropout(h + near), tail


class FSMNState(NamedTuple):
    tails: tuple[Tensor, ...]  # of the two units and of every memory's convolutions, in order


class FSMN(SequenceMixer[FSMNState]):
    """p, r = unit(z), unit(z);  m_0 = W' relu(W p);  m_j = PReLU(norm(sum_{i<j} taps_{ij}(m_i)));  y = r (p + m_J) + z

    with z a bottleneck of x (the gated FSMN block of MossFormer2, Zhao et al. 2024, arXiv 2312.11825; FSMN of Zhang et
    al. 2015). Read in the authors' code, with these differences: the norm inside the memory is over the channels of
    one frame, since one over time would let a frame depend on what follows it; every memory has taps of its own into
    each earlier one, channel by channel, where the code pairs neighbouring channels of their concatenation.

    The state is a few frames a convolution, D-independent of the sequence's length; a token hears
    sum((order - 1) dilation) + conv_width - 1 tokens back. The outer residual and norm are the block's.
    """

    def __init__(self, config: FSMNConfig) -> None:
        super().__init__()
        self.config = c = config
        n, ahead = c.inner, c.order_ahead
        self.streams = not ahead
        self.narrow = nn.Sequential(nn.Linear(c.d_model, n), nn.PReLU(), nn.LayerNorm(n))
        self.unit = Unit(n, c.conv_width, c.dropout, ahead=bool(ahead))
        self.gate = Unit(n, c.conv_width, c.dropout, ahead=bool(ahead)) if c.gated else None
        self.hidden, self.memory = nn.Linear(n, n), nn.Linear(n, n, bias=False)
        self.taps = nn.ModuleList(
            nn.ModuleList(Taps(n, c.order, ahead=ahead, dilation=d) for _ in range(j + 1 if c.dense else 1))
            for j, d in enumerate(c.dilations)
        )
        self.norms = nn.ModuleList(nn.Sequential(nn.LayerNorm(n), nn.PReLU()) for _ in c.dilations)
        self.wide = nn.Sequential(nn.LayerNorm(n), nn.Linear(n, c.d_model))

    def _convolutions(self) -> list[Taps]:
        units = [self.unit.conv] if self.gate is None else [self.unit.conv, self.gate.conv]
        return units + [taps for level in self._levels() for taps in level]

    def _levels(self) -> list[list[Taps]]:
        return cast(list[list[Taps]], self.taps)  # what the ModuleLists hold

    def initial_state(self, batch: int) -> FSMNState:
        return FSMNState(tuple(conv.initial_state(batch) for conv in self._convolutions()))

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, ids: Tensor | None = None, state: FSMNState | None = None
    ) -> tuple[Tensor, FSMNState]:
        self.refuse_ids(ids)
        tails = iter((self.initial_state(len(x)) if state is None else state).tails)
        z = self.narrow(x)
        p, tail = self.unit(z, mask, next(tails))
        after = [tail]
        if self.gate is not None:
            r, tail = self.gate(z, mask, next(tails))
            after.append(tail)
        memories = [self.memory(F.relu(self.hidden(p)))]
        for level, norm in zip(self._levels(), self.norms, strict=True):
            heard = []
            for tap, m in zip(level, memories if self.config.dense else memories[-1:], strict=True):
                found, tail = tap(m, mask, next(tails))
                heard.append(found)
                after.append(tail)
            memories.append(norm(torch.stack(heard).sum(0)))
        y = p + memories[-1]
        y = self.wide(y if self.gate is None else r * y + z)
        return (y if mask is None else y.masked_fill(~mask[..., None], 0.0)), FSMNState(tuple(after))
