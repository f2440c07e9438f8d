"""From who spoke and a CRF's parameters to the tables its recursion runs on.

The skip-chain CRF of EmotionIC links utterance i to i-1, by `same` or by `other` as the speaker stays or changes,
and, where i opens a turn, to the same speaker's last utterance if at most `max_skip` foreign turns lie between, by
`same` again. Write T_k for the speaker of turn k. Given the labels

    a_K, ..., a_1    of the last utterances of the K = max_skip turns before the current one, oldest first
    b                of the current utterance

everything later is independent of everything earlier, so a table of L^(K+1) numbers per dialogue makes inference
exact. It is kept as (R, L) with R = L^K. One step sums out one label x and brings in one label c:

    new[r, c] = SUM_x ( old[r, x] + transition[x, c] ) + context[r, c] + emission[c]

Within a turn x is b and r stays. When a turn opens, x is a_K and r becomes (a_{K-1}, ..., a_1, b): the same table,
read as (L, R) and transposed (`turned`). Which tables a step uses is its kind:

    FIRST       the first utterance           transition 0,      context start[c]
    SAME        the speaker goes on           transition same,   context 0
    TURN        a new turn, no link           transition 0,      context other[b, c]
    TURN + j    a new turn, T_k == T_{k-1-j}  link same[a_j, c]: in the context, or for j = K in the transition

With K = 0 nothing is remembered but b, x is always b, and TURN has transition `other`. The plain linear chain has
K = 0 and no TURN. A table of zeros before the first utterance stands for "no label yet": its R rows and L columns
are L R copies of one number, which is why log R L is taken off at the end.
"""

from typing import NamedTuple

import torch
from torch import Tensor

FIRST, SAME, TURN = 0, 1, 2


class Chain(NamedTuple):
    """A batch of dialogues as the recursion sees them, and the scores it uses.

    kinds (B, N) long and lengths (B,) long say which tables each real step takes; transition (G, L, L) is indexed
    [kind, summed, new], context (G, R, L) [kind, kept, new], end (L,) is added to the last label's score.
    """

    kinds: Tensor
    lengths: Tensor
    transition: Tensor
    context: Tensor
    end: Tensor


def skip_chain(
    speakers: Tensor, mask: Tensor, start: Tensor, end: Tensor, same: Tensor, other: Tensor, max_skip: int = 1
) -> Chain:
    """The chain of EmotionIC's SkipCRF (official code; equations in the head of this file).

    speakers (B, N) integers, of which only equality matters; mask (B, N) True on real utterances, padding on the
    right; start, end (L,); same, other (L, L), indexed [from, to].
    """
    kinds, _ = steps(speakers, max_skip)
    transition, context = tables(start, same, other, max_skip)
    return Chain(kinds, mask.sum(1), transition, context, end)


def linear_chain(mask: Tensor, start: Tensor, end: Tensor, transition: Tensor) -> Chain:
    """The chain of an ordinary linear-chain CRF; transition (L, L) indexed [from, to]."""
    kinds = torch.full(mask.shape, SAME, dtype=torch.long, device=mask.device)
    kinds[:, :1] = FIRST
    nothing = torch.zeros_like(transition)
    return Chain(
        kinds,
        mask.sum(1),
        torch.stack([nothing, transition]),
        torch.stack([start, torch.zeros_like(start)])[:, None],
        end,
    )


def steps(speakers: Tensor, max_skip: int) -> tuple[Tensor, Tensor]:
    """The kind of every step, and the utterance a turn opener is linked to, -1 for none: both (B, N) long.

    Right padding is read as if it were speech; it cannot reach the real steps before it.
    """
    batch, n = speakers.shape
    where = torch.arange(n, device=speakers.device).expand(batch, n)
    opens = torch.ones_like(speakers, dtype=torch.bool)
    opens[:, 1:] = speakers[:, 1:] != speakers[:, :-1]
    turn_start = torch.where(opens, where, 0).cummax(1).values if n else where
    kinds = torch.where(opens, TURN, SAME)
    kinds[:, :1] = FIRST
    link = torch.full_like(kinds, -1)
    candidate = where - 1  # the last utterance of turn k-1, then of k-2, k-3, ...; negative once there is none
    for distance in range(1, max_skip + 1):
        candidate = torch.where(candidate >= 0, turn_start.gather(1, candidate.clamp(min=0)) - 1, -1)
        speaker = speakers.gather(1, candidate.clamp(min=0))
        found = (kinds == TURN) & (candidate >= 0) & (speaker == speakers)  # nearest first: a found one is no TURN
        kinds = torch.where(found, TURN + distance, kinds)
        link = torch.where(found, candidate, link)
    return kinds, link


def tables(start: Tensor, same: Tensor, other: Tensor, max_skip: int) -> tuple[Tensor, Tensor]:
    """transition (G, L, L) and context (G, L^max_skip, L) for the kinds FIRST to TURN + max_skip."""
    n_labels = len(start)
    nothing = torch.zeros_like(same)
    if max_skip == 0:
        none = torch.zeros_like(start)
        return torch.stack([nothing, same, other]), torch.stack([start, none, none])[:, None]
    rows = (n_labels,) * max_skip  # (a_{K-1}, ..., a_1, b)
    shape = (*rows, n_labels)
    turn = other.expand(shape)
    linked = [
        turn + same.view(n_labels, *(1,) * j, n_labels) for j in range(1, max_skip)
    ]  # a_j is the row axis j places before the last one, b
    transition = [nothing, same, nothing, *[nothing for _ in linked], same]
    context = [start.expand(shape), torch.zeros_like(turn), turn, *linked, turn]
    return torch.stack(transition), torch.stack(context).flatten(1, -2)


def turned(n_rows: int, n_labels: int, device: torch.device) -> Tensor:
    """Where each entry of a flat (R, L) table comes from when a turn opens: (R L,) long."""
    return torch.arange(n_rows * n_labels, device=device).view(n_labels, n_rows).mT.flatten()
