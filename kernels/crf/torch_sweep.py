"""Sums over labellings in PyTorch, fast: one loop over time for a whole batch, forwards and backwards at once.

The forward recursion and the backward one are the same three operations, so the loop runs them side by side as the
halves of a batch of 2 B rows; a backward row starts at its own last utterance. With T for `turned` at the steps that
open a turn, M = exp(transition) of the step and C = exp(context + emission),

    forward     u_{i+1} = T_{i+1} ((u_i M_i) C_i)         u_i[r, x]: all that came before step i
    backward    p_{i-1} = T_i^-1 (p_i M_i^T) C_{i-1}      p_i[r, c]: C_i and all that comes after

and P(kept r, summed x, new c at step i) is u_i[r, x] M_i[x, c] p_i[r, c] over its own sum, so it adds up to one however
long the dialogue is. Log Z and its gradient by every score come out of the one pass.

Why sums of exponentials are exact here, in float64. An utterance's emissions are taken relative to their largest and
given back to log Z, so whatever their size one label has factor 1 (and one that is -inf has 0, with no NaN). Only
transitions can make up for a lost entry, and an entry is bound to the future by at most its label's edges. `_fits`
keeps them to a factor of e^50 a step and the table is scaled to a largest entry of 1 often enough that it stays within
e^+-100; what underflows, below e^-700, is thus under e^-300 of the answer. Scores outside that go to the reference,
which takes logarithms at every step.

Time O(N R L^2). Memory O(N R L) a dialogue for log Z's gradient; marginals sweep a long dialogue piece by piece, carry
u and p over the cuts, and hold the tables of one piece. All that is made for the loop is made block by block.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from kernels.crf import gradient, reference
from kernels.crf.gradient import Expectations
from kernels.crf.structure import SAME, TURN, Chain, turned

ROWS_AT_ONCE = 8192
"""Steps x dialogues whose tables exist at one time."""
MOST_A_STEP, MOST_UNSCALED = 50.0, 100.0
"""Nats: see the head of this file."""


def log_partition(emissions: Tensor, chain: Chain) -> Tensor:
    """log Z (B,) in float64; its gradient is made in the same loop if one is wanted."""
    if not _fits(chain):
        return reference.log_partition(emissions.double(), chain)
    if gradient.wanted(emissions, chain):
        return gradient.log_partition(emissions, chain, _expectations)
    return Sweep(emissions, chain, backward=False).log_partition()


def marginals(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c), (B, N, L), zero on padding. Differentiable, at the cost of a graph of N steps."""
    if not _fits(chain):
        return reference.marginals(emissions.double(), chain).to(emissions.dtype)
    labels = [node.sum(2) for sweep in _piece_by_piece(emissions, chain) for node, *_ in sweep.nodes()]
    return torch.cat(labels).transpose(0, 1).to(emissions.dtype)


def _piece_by_piece(emissions: Tensor, chain: Chain) -> Iterator["Sweep"]:
    """Sweeps over pieces of the dialogues, from the first. Where there are several the backward half is run twice: once
    from the end, keeping what each piece needs to know of the later ones, and once more in the piece itself."""
    batch, n, _ = emissions.shape
    size = max(1, ROWS_AT_ONCE // batch)
    lows = range(0, n, size)

    def sweep(low: int, start: Tensor | None, finish: Tensor | None) -> Sweep:
        now, lengths = slice(low, low + size), (chain.lengths - low).clamp(0, min(size, n - low))
        piece = chain._replace(kinds=chain.kinds[:, now], lengths=lengths)
        return Sweep(emissions[:, now], piece, backward=True, start=start, finish=finish)

    finishes: list[Tensor | None] = [None]
    for low in reversed(lows[1:]):
        later = sweep(low, None, finishes[-1]).what_comes_after()
        here = (chain.end.double().exp().repeat(chain.context.shape[1])).expand_as(later)
        finishes.append(torch.where(chain.lengths[:, None] > low, later, here))
    start = None
    for low in lows:
        one = sweep(low, start, finishes.pop())
        yield one
        start = _levelled(one.before[-1].flatten(1))


def _expectations(emissions: Tensor, chain: Chain) -> Expectations:
    return Sweep(emissions, chain, backward=True).expectations()


class Sweep:
    """u and p of a batch, and what is read off them.

    before (N+1, B, R, L) is u; after (N, B, R, L) is p, if backward; both up to a factor for each step and row. Rows
    that have ended, or in the backward half not begun, go on with numbers nobody reads.

    For a piece of dialogues, `start` (B, R L) is the last table before it, and `finish` (B, R L) is what follows each
    row's last entry here; without them the dialogues begin and end here.
    """

    def __init__(
        self,
        emissions: Tensor,
        chain: Chain,
        *,
        backward: bool,
        start: Tensor | None = None,
        finish: Tensor | None = None,
    ) -> None:
        batch, n, n_labels = emissions.shape
        self.lengths = chain.lengths
        self.real = torch.arange(n, device=emissions.device) < chain.lengths[:, None]
        self.kinds = torch.where(self.real, chain.kinds, SAME)
        wide = emissions.double().masked_fill(~self.real[..., None], 0.0)
        largest = wide.detach().amax(2, keepdim=True)
        largest = torch.where(largest.isinf(), 0.0, largest)  # an utterance without a possible label stays so
        self.taken_off = largest.sum((1, 2))
        self.emissions = (wide - largest).exp()
        self.transition, self.context = chain.transition.double().exp(), chain.context.double().exp()
        self.end = chain.end.double().exp()
        self.batch, self.n, self.n_labels, self.n_rows = batch, n, n_labels, self.context.shape[1]
        self.interval = max(1, int(MOST_UNSCALED / (_largest(chain) + math.log(n_labels) + 1e-9)))
        self._run(backward, start, self.end.repeat(self.n_rows) if finish is None else finish)

    def _run(self, backward: bool, start: Tensor | None, finish: Tensor) -> None:
        device = self.kinds.device
        turn = turned(self.n_rows, self.n_labels, device)
        straight = torch.arange(len(turn), device=device)
        forth, back = torch.stack([straight, turn]), torch.stack([straight, turn.argsort()])
        shut = self.kinds.new_zeros(self.batch, 1, dtype=torch.bool)
        turn_follows = torch.cat([self.kinds[:, 1:] >= TURN, shut], 1).long()
        # Step t of the backward half is utterance lengths - 1 - t of its row.
        mirrored = (self.lengths[:, None] - 1 - torch.arange(self.n, device=device)).clamp(min=0)
        carry = self.emissions.new_ones(self.batch, len(turn))
        if start is not None:
            carry = start.gather(1, forth[(self.kinds[:, 0] >= TURN).long()])
        if backward:
            carry = torch.cat([carry, self._factors(mirrored[:, :1])[0] * finish])
        rows, shape = len(carry), (len(carry), self.n_rows, self.n_labels)
        blocks, scales = [carry[None]], []
        size = max(1, ROWS_AT_ONCE // self.batch)
        for low in range(0, self.n, size):
            now = slice(low, low + size)
            here = torch.arange(self.n, device=device)[now].expand(self.batch, -1)
            moves, sources = self.transition[self.kinds[:, now].T], forth[turn_follows[:, now].T]
            factors = self._factors(here).gather(-1, sources)
            if backward:
                kinds = self.kinds.gather(1, mirrored[:, now]).T
                moves = torch.cat([moves, self.transition[kinds].mT], 1)
                sources = torch.cat([sources, back[(kinds >= TURN).long()]], 1)
                factors = torch.cat([factors, self._factors((mirrored[:, now] - 1).clamp(min=0))], 1)
            carries = []
            for i, move, source, factor in zip(
                range(low + 1, self.n + 1), moves.unbind(), sources.unbind(), factors.unbind(), strict=False
            ):
                carry = torch.bmm(carry.view(shape), move).view(rows, -1).gather(1, source) * factor
                if i % self.interval == 0:
                    scale = carry.detach().amax(1, keepdim=True).clamp(min=torch.finfo(carry.dtype).tiny)
                    carry = carry / scale
                    scales.append(scale[: self.batch, 0])
                carries.append(carry)
            blocks.append(torch.stack(carries))
        tables = torch.cat(blocks).unflatten(-1, shape[1:])
        self.scales = torch.stack(scales, 1).log() if scales else tables.new_zeros(self.batch, 0)
        self.before = tables[:, : self.batch]
        if backward:
            self.after = tables[mirrored.T, torch.arange(self.batch, 2 * self.batch, device=device)]

    def _factors(self, where: Tensor) -> Tensor:
        """C of the utterances named, where (B, Q): (Q, B, R L)."""
        emission = self.emissions.gather(1, where[..., None].expand(-1, -1, self.n_labels))
        return (self.context[self.kinds.gather(1, where)] * emission[:, :, None]).flatten(2).transpose(0, 1)

    def what_comes_after(self) -> Tensor:
        """The `finish` (B, R L) of the piece before this one: p of the first utterance, as its predecessor sees it."""
        kinds = self.kinds[:, 0]
        read = (self.after[0] @ self.transition[kinds].mT).flatten(1)
        back = turned(self.n_rows, self.n_labels, kinds.device).argsort()
        return _levelled(torch.where(kinds[:, None] >= TURN, read[:, back], read))

    def log_partition(self) -> Tensor:
        """log Z (B,); structure.py says why log R L is taken off."""
        final = self.before[self.lengths, torch.arange(self.batch, device=self.lengths.device)]
        end = torch.where(self.lengths[:, None, None] > 0, self.end, 1.0)
        count = torch.arange(1, self.scales.shape[1] + 1, device=self.lengths.device) * self.interval
        scaled = torch.where(count <= self.lengths[:, None], self.scales, 0.0).sum(1)
        y: Tensor = (final * end).sum((1, 2)).log() - math.log(self.n_rows * self.n_labels) + scaled + self.taken_off
        return y

    def nodes(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For each block of steps: P(kept, new) (Q, B, R, L), 0 on padding, and the u, p and 1 / sum it is made of."""
        size = max(1, ROWS_AT_ONCE // self.batch)
        for low in range(0, self.n, size):
            now = slice(low, low + size)
            u, p = self.before[: self.n][now], self.after[now]
            node = (u @ self.transition[self.kinds[:, now].T]) * p
            total = node.sum((2, 3), keepdim=True)
            # A dialogue that cannot be has no marginals: zeros, not 0 / 0.
            weight = torch.where(self.real[:, now].T[..., None, None] & (total > 0), total, torch.inf).reciprocal()
            yield node * weight, u, p, weight

    def expectations(self) -> Expectations:
        """log Z and its gradient."""
        transition = self.end.new_zeros(self.batch, *self.transition.shape)
        context = self.end.new_zeros(self.batch, *self.context.shape)
        labels: list[Tensor] = []
        low = 0
        for node, u, p, weight in self.nodes():
            labels.append(node.sum(2))
            kinds = self.kinds.T[low : low + len(node)]
            low += len(node)
            is_kind = torch.nn.functional.one_hot(kinds, len(self.transition)).to(node.dtype)  # (Q, B, G)
            context += torch.einsum("qbg,qbrc->bgrc", is_kind, node)
            transition += torch.einsum("qbg,qbxc->bgxc", is_kind * weight[..., 0], u.mT @ p)
        by_label = torch.cat(labels).transpose(0, 1)
        row = torch.arange(self.batch, device=self.lengths.device)
        last = by_label[row, (self.lengths - 1).clamp(min=0)]
        return Expectations(self.log_partition(), by_label, transition * self.transition, context, last)


def _levelled(table: Tensor) -> Tensor:
    """The table (B, R L) with its largest entry at 1: where dialogues are cut a factor means nothing."""
    return table / table.detach().amax(1, keepdim=True).clamp(min=torch.finfo(table.dtype).tiny)


def _largest(chain: Chain) -> float:
    """Nats by which one step can change the table's largest entry, emissions aside."""
    return sum(table.detach().abs().max().item() for table in (chain.transition, chain.context, chain.end))


def _fits(chain: Chain) -> bool:
    return _largest(chain) <= MOST_A_STEP
