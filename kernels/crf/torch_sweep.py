"""The op in PyTorch, fast: one loop over time for a whole batch, forwards and backwards at once.

The forward recursion and the backward one are the same three operations, so the loop runs them side by side as the
two halves of a batch of 2 B rows; each backward row starts at its own last utterance. With T for `turned` at the
steps that open a turn, M for the transition of the step and C for its context plus emission,

    forward     u_{i+1} = T_{i+1} SUM_x(u_i + M_i) + T_{i+1} C_i           u_i[r, x]: what came before step i
    backward    p_{i-1} = T_i^-1 SUM_c(p_i + M_i^T) + C_{i-1}              p_i[r, c]: what C_i and all later steps add

and the joint of step i, from which every marginal and every gradient is summed, is the softmax of
u_i[r, x] + M_i[x, c] + p_i[r, c] over (r, x, c). It is normalised where it stands, so it adds up to one however long
the dialogue is. Accumulators are float64: with N utterances they grow as N, and float32 would lose the digits that
the marginals are made of. Nothing is ever replaced by a large number: an emission may be -inf (a label that cannot be).

Time O(N R L^2) and memory O(N R L) a dialogue: 100,000 utterances of 7 labels keep 80 MB. What is larger, the tables
of every step, is made block by block.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .structure import SAME, TURN, Chain, turned

STEPS_AT_ONCE = 1024
"""Steps x rows whose tables exist at one time."""


def log_partition(emissions: Tensor, chain: Chain) -> Tensor:
    """log Z (B,) in float64; the gradient is computed with it, in the same loop, if one is wanted."""
    kinds, lengths, transition, context, end = chain
    result: Tensor = _LogPartition.apply(emissions, transition, context, end, kinds, lengths)
    return result


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transition: Tensor, context: Tensor, end: Tensor, kinds: Tensor, lengths: Tensor
    ) -> Tensor:
        chain = _wide(Chain(kinds, lengths, transition, context, end))
        if not any(ctx.needs_input_grad):
            before, _ = sweep(emissions.double(), chain, backward=False)
            return _total(before, chain)
        before, after = sweep(emissions.double(), chain, backward=True)
        ctx.save_for_backward(*_expectations(before, after, chain))
        ctx.dtypes = [x.dtype for x in (emissions, transition, context, end)]
        return _total(before, chain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        labels, transition, context, last = ctx.saved_tensors
        grads = (
            grad[:, None, None] * labels,
            torch.einsum("b,bgxc->gxc", grad, transition),
            torch.einsum("b,bgrc->grc", grad, context),
            grad @ last,
        )
        return *(g.to(dtype) for g, dtype in zip(grads, ctx.dtypes, strict=True)), None, None


def marginals(emissions: Tensor, chain: Chain) -> Tensor:
    """P(label of utterance i = c), (B, N, L), zero on padding. Differentiable, at the cost of a graph of N steps."""
    wide = _wide(chain)
    before, after = sweep(emissions.double(), wide, backward=True)
    labels = [joint.sum((2, 3)) for joint, _ in _joints(before, after, wide)]
    return _stacked(labels, emissions).transpose(0, 1).to(emissions.dtype)


def viterbi(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best labelling (B, N) long, -1 on padding, and its score (B,) in float64.

    Beside every entry of the table, the one it came from is kept: N R L small integers a dialogue.
    """
    with torch.no_grad():
        emissions, chain = emissions.double(), _wide(chain)
        table, origins = _best(emissions, chain)
        final = (table + _end_of(chain)).flatten(1)
        scores, entry = final.max(1)
        padded = ~_real(chain, emissions.shape[1])
        paths = _traced(entry, origins, chain.end.shape[0])
        return paths.masked_fill(padded, -1), scores


def sweep(emissions: Tensor, chain: Chain, *, backward: bool) -> tuple[Tensor, Tensor]:
    """u (N+1, B, R, L) and, if backward, p (N, B, R, L), both float64, as the head of this file defines them.

    Rows that have ended, or in the backward half not begun, go on with numbers nobody reads.
    """
    batch, n, n_labels = emissions.shape
    n_rows = chain.context.shape[1]
    start = emissions.new_zeros(batch, n_rows * n_labels)
    if n == 0:
        return start.view(1, batch, n_rows, n_labels), emissions.new_empty(0, batch, n_rows, n_labels)
    turn = turned(n_rows, n_labels, emissions.device)
    straight = torch.arange(len(turn), device=turn.device)
    forth, back = torch.stack([straight, turn]), torch.stack([straight, turn.argsort()])
    real = _real(chain, n)
    kinds = torch.where(real, chain.kinds, SAME)
    emissions = emissions.masked_fill(~real[..., None], 0.0)
    next_turns = torch.cat([(kinds[:, 1:] >= TURN), kinds.new_zeros(batch, 1, dtype=torch.bool)], 1).long()
    # Step t of the backward half is utterance lengths - 1 - t of its row.
    mirrored = (chain.lengths[:, None] - 1 - torch.arange(n, device=turn.device)).clamp(min=0)
    earlier = (mirrored - 1).clamp(min=0)
    carry = start
    if backward:
        last = mirrored[:, :1]
        first = _contexts(emissions, kinds, chain.context, last)[0] + chain.end.repeat(n_rows)
        carry = torch.cat([start, first])
    carries = [carry]
    size = max(1, STEPS_AT_ONCE // batch)
    for low in range(0, n, size):
        now = slice(low, min(low + size, n))
        here = torch.arange(now.start, now.stop, device=turn.device).expand(batch, -1)
        moves = chain.transition[kinds[:, now].T]
        sources = forth[next_turns[:, now].T]
        adds = _contexts(emissions, kinds, chain.context, here).gather(-1, sources)
        if backward:
            kinds_back = kinds.gather(1, mirrored[:, now]).T
            moves = torch.cat([moves, chain.transition[kinds_back].mT], 1)
            sources = torch.cat([sources, back[(kinds_back >= TURN).long()]], 1)
            adds = torch.cat([adds, _contexts(emissions, kinds, chain.context, earlier[:, now])], 1)
        rows = len(carry)
        for move, source, add in zip(moves[:, :, None].unbind(), sources.unbind(), adds.unbind(), strict=True):
            summed = (carry.view(rows, n_rows, n_labels, 1) + move).logsumexp(2)
            carry = summed.view(rows, -1).gather(1, source) + add
            carries.append(carry)
    both = torch.stack(carries).view(n + 1, -1, n_rows, n_labels)
    if not backward:
        return both, both.new_empty(0)
    return both[:, :batch], both[mirrored.T, torch.arange(batch, 2 * batch, device=turn.device)]


def _contexts(emissions: Tensor, kinds: Tensor, context: Tensor, where: Tensor) -> Tensor:
    """C of the utterances named, where (B, Q): (Q, B, R L)."""
    emission = emissions.gather(1, where[..., None].expand(-1, -1, emissions.shape[2]))
    return (context[kinds.gather(1, where)] + emission[:, :, None]).flatten(2).transpose(0, 1)


def _joints(before: Tensor, after: Tensor, chain: Chain) -> Any:
    """For each block of steps, P(kept, summed, new) (Q, B, R, L, L), zero on padding, and which kind (Q, B, G)."""
    n, batch = after.shape[:2]
    n_kinds = len(chain.transition)
    real = _real(chain, n).T
    kinds = chain.kinds.T
    size = max(1, STEPS_AT_ONCE // max(1, batch))
    for low in range(0, n, size):
        now = slice(low, low + size)
        log_joint = before[:n][now, ..., None] + chain.transition[kinds[now]][:, :, None] + after[now, :, :, None]
        joint = log_joint.flatten(2).softmax(-1).view(log_joint.shape)
        joint = torch.where(real[now, :, None, None, None], joint, 0.0)
        yield joint, torch.nn.functional.one_hot(kinds[now], n_kinds).to(joint.dtype)


def _expectations(before: Tensor, after: Tensor, chain: Chain) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradient of each row's log Z: by emission (B, N, L), transition, context (B, G, ...) and end (B, L)."""
    n, batch = after.shape[:2]
    transition = after.new_zeros(batch, *chain.transition.shape)
    context = after.new_zeros(batch, *chain.context.shape)
    labels = []
    for joint, is_kind in _joints(before, after, chain):
        node = joint.sum(3)
        labels.append(node.sum(2))
        transition += torch.einsum("qbg,qbxc->bgxc", is_kind, joint.sum(2))
        context += torch.einsum("qbg,qbrc->bgrc", is_kind, node)
    by_label = _stacked(labels, after).transpose(0, 1)
    if n == 0:
        return by_label, transition, context, after.new_zeros(batch, len(chain.end))
    last = by_label[torch.arange(batch, device=after.device), (chain.lengths - 1).clamp(min=0)]
    return by_label, transition, context, last


def _total(before: Tensor, chain: Chain) -> Tensor:
    """log Z (B,) from the tables after each row's last step; see structure.py for log R L."""
    batch, n_rows, n_labels = before.shape[1:]
    final = before[chain.lengths, torch.arange(batch, device=before.device)]
    return (final + _end_of(chain)).logsumexp((1, 2)) - math.log(n_rows * n_labels)


def _best(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor]:
    """The best score of every last entry (B, R, L), and for every step where each entry came from, (N, B, R L)."""
    batch, n, n_labels = emissions.shape
    n_rows = chain.context.shape[1]
    turn = turned(n_rows, n_labels, emissions.device)
    straight = torch.arange(len(turn), device=turn.device)
    reads = torch.stack([straight, turn])
    real = _real(chain, n)
    kinds = torch.where(real, chain.kinds, SAME)
    table = emissions.new_zeros(batch, n_rows * n_labels)
    small = torch.int16 if len(turn) < 2**15 else torch.int64
    origins = []
    size = max(1, STEPS_AT_ONCE // max(1, batch))
    for low in range(0, n, size):
        now = slice(low, min(low + size, n))
        here = torch.arange(now.start, now.stop, device=turn.device).expand(batch, -1)
        moves = chain.transition[kinds[:, now].T]
        sources = reads[(kinds[:, now] >= TURN).T.long()]
        adds = _contexts(emissions, kinds, chain.context, here)
        chosen = []
        for move, source, add, is_real in zip(
            moves[:, :, None].unbind(), sources.unbind(), adds.unbind(), real[:, now, None].unbind(1), strict=True
        ):
            came = table.gather(1, source).view(batch, n_rows, n_labels, 1) + move
            best, x = came.max(2)
            table = torch.where(is_real, best.flatten(1) + add, table)
            chosen.append(x)
        # x is a column of the table as it was read; what it was in the table as it lay is the same for every step.
        row = torch.arange(n_rows, device=turn.device)[:, None] * n_labels
        entry = (torch.stack(chosen) + row).flatten(2)
        came_from = torch.where(real[:, now].T[..., None], sources.gather(2, entry), straight)
        origins.append(came_from.to(small))
    return table.view(batch, n_rows, n_labels), torch.cat(origins) if origins else turn.new_empty(0, batch, len(turn))


def _traced(entry: Tensor, origins: Tensor, n_labels: int) -> Tensor:
    """The labels (B, N) on the way back from each row's best last entry; padded steps stay where they are."""
    entries = []
    for origin in reversed(origins.unbind()):
        entries.append(entry)
        entry = origin.gather(1, entry[:, None])[:, 0].long()
    if not entries:
        return entry.new_empty(len(entry), 0)
    return torch.stack(entries[::-1], 1) % n_labels


def _wide(chain: Chain) -> Chain:
    return Chain(chain.kinds, chain.lengths, chain.transition.double(), chain.context.double(), chain.end.double())


def _real(chain: Chain, n: int) -> Tensor:
    return torch.arange(n, device=chain.lengths.device) < chain.lengths[:, None]


def _end_of(chain: Chain) -> Tensor:
    """end (B, 1, L), nothing for a dialogue that never began."""
    return torch.where(chain.lengths[:, None, None] > 0, chain.end, 0.0)


def _stacked(blocks: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat(blocks) if blocks else like.new_empty(0, like.shape[0], like.shape[-1])
