"""The op in Triton: one program a dialogue and direction, the table in registers from the first step to the last.

Labels are padded to a power of two, P, and the R = L^K rows to P^K, so that `turned` stays a transpose; the context is
-inf at what was added. Sums are of logarithms taken relative to their largest term; the table is brought back to a
largest entry of 0 at every step, and what was taken off is added up in float64. Everything else is float32, or float64
for float64 emissions.

`_sweep` writes, for every step, the table as it is read (u) and what follows (p), as torch_sweep.py has them but as
logarithms; `_expect` turns them into marginals and gradients, all steps at once.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.crf import gradient
from kernels.crf.gradient import Expectations
from kernels.crf.structure import TURN, Chain

MOST_TERMS = 32768
"""Terms of one step, R L^2 after padding, that one program can hold in registers: 32 labels with one skip."""
STEPS_A_PROGRAM = 64
OPENS = tl.constexpr(TURN)


def log_partition(emissions: Tensor, chain: Chain) -> Tensor:
    """log Z (B,) in float64, with gradients to the emissions and the chain's scores."""
    if gradient.wanted(emissions, chain):
        return gradient.log_partition(emissions, chain, _expectations)
    tables = _Tables(emissions, chain)
    return tables.log_partition(*tables.sweep(both=False)[:2])


def marginals(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c), (B, N, L), zero on padding. No gradient."""
    tables = _Tables(emissions, chain)
    return tables.expect(*tables.sweep(both=True)[2:], edges=False)[0].to(emissions.dtype)


def viterbi(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64."""
    return _Tables(emissions, chain).viterbi()


def fits(chain: Chain) -> bool:
    """Whether one program can hold a step of this chain."""
    padded = triton.next_power_of_2(chain.context.shape[2])
    fits: bool = padded ** (_skips(chain) + 2) <= MOST_TERMS
    return fits


def _expectations(emissions: Tensor, chain: Chain) -> Expectations:
    tables = _Tables(emissions, chain)
    final, taken_off, u, p = tables.sweep(both=True)
    labels, transition, context = tables.expect(u, p, edges=True)
    row = torch.arange(len(labels), device=labels.device)
    last = labels[row, (chain.lengths - 1).clamp(min=0)]
    return Expectations(tables.log_partition(final, taken_off), labels, transition, context, last)


def _skips(chain: Chain) -> int:
    """K of R = L^K."""
    n_rows, n_labels = chain.context.shape[1:]
    skips = 0
    while n_labels > 1 and n_labels**skips < n_rows:
        skips += 1
    return skips


class _Tables:
    """A batch laid out for the kernels, and their launches."""

    def __init__(self, emissions: Tensor, chain: Chain) -> None:
        dtype = torch.float64 if emissions.dtype == torch.float64 else torch.float32
        self.emissions, self.kinds = emissions.detach().contiguous(), chain.kinds.contiguous()
        self.lengths, self.end = chain.lengths.contiguous(), chain.end.detach()
        self.batch, self.n, self.n_labels = emissions.shape
        self.n_kinds, self.skips = len(chain.transition), _skips(chain)
        self.padded = triton.next_power_of_2(self.n_labels)
        self.rows = self.padded**self.skips
        more, shape = self.padded - self.n_labels, (self.n_labels,) * (self.skips + 1)
        pad = torch.nn.functional.pad
        self.transition = pad(chain.transition.detach().to(dtype), (0, more, 0, more)).contiguous()
        self.context = self._padded(chain.context.detach().to(dtype).unflatten(1, shape[:-1] or (1,)))
        self.context = self.context.view(self.n_kinds, self.rows, self.padded)
        self.blank = self._padded(torch.zeros(shape, dtype=dtype, device=emissions.device)).view(self.rows, self.padded)
        self.ends = pad(self.end.to(dtype), (0, more)).contiguous()
        terms = self.rows * self.padded**2
        self.sizes = {"L": self.n_labels, "P": self.padded, "R": self.rows}
        self.warps = {"num_warps": max(1, min(16, terms // 512))}

    def _padded(self, table: Tensor) -> Tensor:
        """Every label axis from L to P, with -inf."""
        axes = self.skips + 1
        return torch.nn.functional.pad(table, (0, self.padded - self.n_labels) * axes, value=-torch.inf).contiguous()

    def _cut(self, table: Tensor, axes: int) -> Tensor:
        """The last two axes seen as label axes, each P, and those cut back to L: (..., L, ..., L)."""
        table = table.reshape(*table.shape[:-2], *(self.padded,) * axes)
        for axis in range(1, axes + 1):
            table = table.narrow(-axis, 0, self.n_labels)
        return table

    def sweep(self, *, both: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The last table (B, R, P), what was taken off it (B,), and if both u and p (B, N, R, P) as logarithms."""
        like = self.blank
        final = like.expand(self.batch, -1, -1).contiguous()
        taken_off = torch.zeros(self.batch, dtype=torch.float64, device=like.device)
        u = like.new_empty((self.batch, self.n, *like.shape) if both else 0)
        p = torch.empty_like(u)
        _sweep[(self.batch, 2 if both else 1)](
            self.emissions, self.kinds, self.lengths, self.transition, self.context, self.blank, self.ends,
            final, taken_off, u, p, self.n, **self.sizes, STORE=both, **self.warps,
        )  # fmt: skip
        return final, taken_off, u, p

    def log_partition(self, final: Tensor, taken_off: Tensor) -> Tensor:
        table = self._with_end(final)
        return table.logsumexp(1) - (self.skips + 1) * math.log(self.n_labels) + taken_off

    def _with_end(self, final: Tensor) -> Tensor:
        """Every last entry's score in float64: (B, R P)."""
        end = torch.where(self.lengths[:, None, None] > 0, self.ends.double(), 0.0)
        return (final.double() + end).flatten(1)

    def expect(self, u: Tensor, p: Tensor, *, edges: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Marginals (B, N, L) and, with edges, the expected counts (B, G, L, L) and (B, G, R, L)."""
        blocks = triton.cdiv(self.n, STEPS_A_PROGRAM)
        labels = self.blank.new_zeros(self.batch, self.n, self.n_labels)
        transition = self.blank.new_zeros(self.batch, blocks, self.n_kinds, self.padded, self.padded)
        context = self.blank.new_zeros(self.batch, blocks, self.n_kinds, self.rows, self.padded)
        _expect[(self.batch, blocks, self.n_kinds if edges else 1)](
            self.kinds, self.lengths, self.transition, u, p, labels, transition, context, self.n, blocks,
            **self.sizes, G=self.n_kinds, STEPS=STEPS_A_PROGRAM, EDGES=edges, **self.warps,
        )  # fmt: skip
        counts = self._cut(context.sum(1, dtype=torch.float64), self.skips + 1).reshape(
            self.batch, self.n_kinds, -1, self.n_labels
        )
        return labels, self._cut(transition.sum(1, dtype=torch.float64), 2), counts

    def viterbi(self) -> tuple[Tensor, Tensor]:
        like = self.blank
        final = like.expand(self.batch, -1, -1).contiguous()
        taken_off = torch.zeros(self.batch, dtype=torch.float64, device=like.device)
        came_from = torch.empty((self.batch, self.n, *like.shape), dtype=torch.int8, device=like.device)
        paths = torch.full((self.batch, self.n), -1, dtype=torch.long, device=like.device)
        _best[(self.batch,)](
            self.emissions, self.kinds, self.lengths, self.transition, self.context,
            final, taken_off, came_from, self.n, **self.sizes, **self.warps,
        )  # fmt: skip
        scores, entry = self._with_end(final).max(1)
        _trace[(self.batch,)](
            self.kinds, self.lengths, came_from, entry, paths, self.n, P=self.padded, R=self.rows, num_warps=1
        )
        return paths, scores + taken_off


@triton.jit
def _read(table, kind, P: tl.constexpr, R: tl.constexpr):
    """The table as a step of this kind reads it: turned where a turn opens."""
    if R == 1:
        return table
    return tl.where(kind >= OPENS, tl.trans(tl.reshape(table, (P, R))), table)


@triton.jit
def _unread(table, kind, P: tl.constexpr, R: tl.constexpr):
    """The way back from `_read`."""
    if R == 1:
        return table
    return tl.where(kind >= OPENS, tl.reshape(tl.trans(table), (R, P)), table)


@triton.jit
def _log_sum(terms, axis: tl.constexpr):
    """log of the sum of exp, -inf where every term is."""
    largest = tl.max(terms, axis=axis)
    largest = tl.where(largest == float("-inf"), 0.0, largest)
    return tl.log(tl.sum(tl.exp(terms - tl.expand_dims(largest, axis)), axis=axis)) + largest


@triton.jit
def _level(table):
    """What to take off so that the largest entry is 0: that entry, or 0 if nothing is possible any more."""
    largest = tl.max(tl.max(table, axis=1), axis=0)
    return tl.where(largest == float("-inf"), 0.0, largest)


@triton.jit
def _utterance(emissions, kinds, row, i, ok, dtype: tl.constexpr, L: tl.constexpr, P: tl.constexpr):
    """The kind, the emission relative to its largest (0 where labels were added), and that largest."""
    c = tl.arange(0, P)
    kind = tl.load(kinds + row + i, mask=ok, other=0)
    e = tl.load(emissions + (row + i) * L + c, mask=ok & (c < L), other=float("-inf")).to(dtype)
    largest = tl.max(e, axis=0)
    largest = tl.where(largest == float("-inf"), 0.0, largest)
    return kind, tl.where(c < L, e - largest, 0.0), largest


@triton.jit
def _sweep(
    emissions, kinds, lengths, transition, context, blank, ends, final, taken_off, u, p, N,
    L: tl.constexpr, P: tl.constexpr, R: tl.constexpr, STORE: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    row = b * N
    length = tl.load(lengths + b)
    dtype: tl.constexpr = transition.dtype.element_ty
    x, c, r = tl.arange(0, P), tl.arange(0, P), tl.arange(0, R)
    square, tile = x[:, None] * P + c[None, :], r[:, None] * P + c[None, :]
    if tl.program_id(1) == 0:
        table = tl.load(blank + tile)
        total = tl.zeros((1,), tl.float64)
        # The next utterance is fetched while this one is summed: its address does not wait for anything.
        kind, e, largest = _utterance(emissions, kinds, row, 0, length > 0, dtype, L, P)
        for i in range(length):
            next_kind, next_e, next_largest = _utterance(emissions, kinds, row, i + 1, i + 1 < length, dtype, L, P)
            read = _read(table, kind, P, R)
            if STORE:
                tl.store(u + (row + i) * (R * P) + tile, read)
            move = tl.load(transition + kind * (P * P) + square)
            add = tl.load(context + kind * (R * P) + tile) + e[None, :]
            table = _log_sum(read[:, :, None] + move[None, :, :], 1) + add
            level = _level(table)
            table -= level
            total += level.to(tl.float64) + largest.to(tl.float64)
            kind, e, largest = next_kind, next_e, next_largest
        tl.store(final + b * (R * P) + tile, table)
        tl.store(taken_off + b + tl.arange(0, 1), total)
    else:
        after = tl.zeros((R, P), dtype) + tl.load(ends + c)[None, :]
        kind, e, _ = _utterance(emissions, kinds, row, length - 1, length > 0, dtype, L, P)
        for t in range(length):
            i = length - 1 - t
            next_kind, next_e, _ = _utterance(emissions, kinds, row, i - 1, i > 0, dtype, L, P)
            move = tl.load(transition + kind * (P * P) + square)
            add = tl.load(context + kind * (R * P) + tile) + e[None, :]
            after += add
            after -= _level(after)
            tl.store(p + (row + i) * (R * P) + tile, after)
            after = _unread(_log_sum(after[:, None, :] + move[None, :, :], 2), kind, P, R)
            kind, e = next_kind, next_e


@triton.jit
def _expect(
    kinds, lengths, transition, u, p, labels, transition_counts, context_counts, N, blocks,
    L: tl.constexpr, P: tl.constexpr, R: tl.constexpr, G: tl.constexpr, STEPS: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    """Program (dialogue, block of steps, kind): with EDGES the steps of that kind, else every step."""
    b, block, g = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64), tl.program_id(2)
    row = b * N
    dtype: tl.constexpr = transition.dtype.element_ty
    x, c, r = tl.arange(0, P), tl.arange(0, P), tl.arange(0, R)
    square, tile = x[:, None] * P + c[None, :], r[:, None] * P + c[None, :]
    moved, kept = tl.zeros((P, P), dtype), tl.zeros((R, P), dtype)
    for i in range(block * STEPS, tl.minimum(block * STEPS + STEPS, tl.load(lengths + b))):
        kind = tl.load(kinds + row + i)
        if (kind == g) | (not EDGES):
            move = tl.load(transition + kind * (P * P) + square)
            before = tl.load(u + (row + i) * (R * P) + tile)
            after = tl.load(p + (row + i) * (R * P) + tile)
            joint = before[:, :, None] + move[None, :, :] + after[:, None, :]
            largest = tl.max(tl.max(tl.max(joint, axis=2), axis=1), axis=0)
            joint = tl.exp(joint - tl.where(largest == float("-inf"), 0.0, largest))
            node = tl.sum(joint, axis=1)
            total = tl.sum(tl.sum(node, axis=1), axis=0)
            weight = tl.where(total > 0, 1.0 / tl.where(total > 0, total, 1.0), 0.0)
            tl.store(labels + (row + i) * L + c, tl.sum(node, axis=0) * weight, mask=c < L)
            if EDGES:
                kept += node * weight
                moved += tl.sum(joint, axis=0) * weight
    if EDGES:
        place = (b * blocks + block) * G + g
        tl.store(transition_counts + place * (P * P) + square, moved)
        tl.store(context_counts + place * (R * P) + tile, kept)


@triton.jit
def _best(
    emissions, kinds, lengths, transition, context, final, taken_off, came_from, N,
    L: tl.constexpr, P: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    row = b * N
    length = tl.load(lengths + b)
    dtype: tl.constexpr = transition.dtype.element_ty
    x, c, r = tl.arange(0, P), tl.arange(0, P), tl.arange(0, R)
    square, tile = x[:, None] * P + c[None, :], r[:, None] * P + c[None, :]
    table = tl.load(final + b * (R * P) + tile)  # blank as yet
    total = tl.zeros((1,), tl.float64)
    kind, e, largest = _utterance(emissions, kinds, row, 0, length > 0, dtype, L, P)
    for i in range(length):
        next_kind, next_e, next_largest = _utterance(emissions, kinds, row, i + 1, i + 1 < length, dtype, L, P)
        move = tl.load(transition + kind * (P * P) + square)
        add = tl.load(context + kind * (R * P) + tile) + e[None, :]
        came = _read(table, kind, P, R)[:, :, None] + move[None, :, :]
        best, origin = tl.max(came, axis=1, return_indices=True)
        tl.store(came_from + (row + i) * (R * P) + tile, origin.to(tl.int8))
        table = best + add
        level = _level(table)
        table -= level
        total += level.to(tl.float64) + largest.to(tl.float64)
        kind, e, largest = next_kind, next_e, next_largest
    tl.store(final + b * (R * P) + tile, table)
    tl.store(taken_off + b + tl.arange(0, 1), total)


@triton.jit
def _trace(kinds, lengths, came_from, entries, paths, N, P: tl.constexpr, R: tl.constexpr):
    """From each dialogue's best last entry to the labels, last first."""
    b = tl.program_id(0).to(tl.int64)
    row = b * N
    length = tl.load(lengths + b)
    entry = tl.load(entries + b)
    for t in range(length):
        i = length - 1 - t
        tl.store(paths + row + i, entry % P)
        kind = tl.load(kinds + row + i)
        x = tl.load(came_from + (row + i) * (R * P) + entry).to(tl.int64)
        r = entry // P
        entry = tl.where(kind >= OPENS, x * R + r, r * P + x)
