"""Who each utterance listens to in a DialogGRU: its own speaker's earlier state and the previous speaker's.

A turn is a maximal run of one speaker. Everything is computed from speaker ids, of which only equality matters, for
all rows at once; what a later chunk needs to know about this one is a table of the last speakers (`Turns`).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Turns(NamedTuple):
    """The M most recent speakers of each row, oldest first; the last slot is whoever spoke last. M >= 2."""

    speakers: Tensor  # (B, M) long
    age: Tensor  # (B, M) long: utterances since that speaker's last one; 0 in the last slot
    known: Tensor  # (B, M) bool: False while fewer speakers have spoken
    run: Tensor  # (B,) long: length of the A-B-A-B alternation that the current turn belongs to


class Links(NamedTuple):
    """For each utterance, all (B, T). What stands at padding means nothing."""

    source: Tensor  # long: where its inertia state lies in cat([memory, outputs]), memory being M wide
    inertia: Tensor  # bool: whether it has one
    between: Tensor  # long: utterances in between, d of the distance weight sigm(3 - d)
    contagion: Tensor  # bool: whether it listens to the previous utterance, which is somebody else's
    alternation: Tensor  # long: m of the distance weight sigm(m / 2); 0 where contagion is off


def no_turns(batch: int, n_speakers: int, device: torch.device | None = None) -> Turns:
    """The table before anybody has spoken."""
    table = torch.zeros(batch, n_speakers, dtype=torch.long, device=device)
    return Turns(table, table.clone(), table.bool(), table.new_zeros(batch))


def link(ids: Tensor, lengths: Tensor, turns: Turns) -> tuple[Links, Turns, Tensor]:
    """The links of a chunk, the table after it, and where that table's states lie in cat([memory, outputs]) (B, M).

    ids (B, T) integers; lengths (B,) long, real utterances per row, padding on the right.

    With s_i the speaker, t(i) the turn and T_k the speaker of turn k (EmotionIC, DialogGRU):
    contagion on  <=>  s_i != s_{i-1};
    inertia on    <=>  s_i == s_{i-1}, or i opens turn k and T_k == T_{k-2}: over exactly one foreign turn.
    That is the same as: s_i is among the two speakers heard last. A table of M > 2 speakers keeps the link for
    whoever is among the M heard last, over any number of turns.
    m counts how many turns in a row came back to the speaker of two turns ago.
    """
    n_slots, n_tokens = turns.speakers.shape[1], ids.shape[1]
    if n_slots < 2:
        raise ValueError(f"the table of speakers has {n_slots} slots, and at least 2 are needed")
    ids = ids.long()
    all_ids = torch.cat([turns.speakers, ids], 1)  # (B, M+T), as memory and outputs will lie
    known = torch.cat([turns.known, torch.ones_like(ids, dtype=torch.bool)], 1)
    now = torch.arange(n_tokens, device=ids.device)  # (T,)
    when = torch.cat([-1 - turns.age, now.expand_as(ids)], 1)  # (B, M+T), the chunk's first utterance at 0

    spoken = known[:, n_slots - 1 : -1]  # something came before
    change = spoken & (ids != all_ids[:, n_slots - 1 : -1])
    # Start of the turn that holds t-1, for t = 0..T; -1 if it began before this chunk.
    starts = torch.where(change | ~spoken, now, -1).cummax(1).values if n_tokens else ids
    starts = torch.cat([starts.new_full((len(ids), 1), -1), starts], 1)  # (B, T+1)
    two_turns_ago = starts + n_slots - 1  # its last utterance precedes that start

    back = two_turns_ago[:, :-1]
    returns = change & (ids == all_ids.gather(1, back)) & known.gather(1, back)
    so_far = returns.cumsum(1)
    broken = torch.where(change & ~returns, so_far, -turns.run[:, None])
    run = so_far - (broken.cummax(1).values if n_tokens else broken)
    alternation = torch.where(change, run, 0)
    last_run = torch.cat([turns.run[:, None], run], 1).gather(1, lengths[:, None])[:, 0]

    if n_slots == 2:
        source = torch.where(returns, back, now + n_slots - 1)
        inertia = returns | (spoken & ~change)
        kept = torch.stack([two_turns_ago.gather(1, lengths[:, None])[:, 0], lengths + n_slots - 1], 1)
    else:
        source, inertia, kept = _most_recent(ids, lengths, turns)
    between = now - when.gather(1, source) - 1
    after = Turns(all_ids.gather(1, kept), lengths[:, None] - 1 - when.gather(1, kept), known.gather(1, kept), last_run)
    return Links(source, inertia, between, change, alternation), after, kept


def _most_recent(ids: Tensor, lengths: Tensor, turns: Turns) -> tuple[Tensor, Tensor, Tensor]:
    """source, inertia and kept for a table of any width: walks through time, all rows at once."""
    n_slots = turns.speakers.shape[1]
    speakers, known = turns.speakers, turns.known
    where = torch.arange(n_slots, device=ids.device).expand_as(speakers)  # also the order of last use
    sources, found = [], []
    for t, speaker in enumerate(ids.unbind(1)):
        hit = known & (speakers == speaker[:, None])  # (B, M), at most one
        oldest = where.argmin(1, keepdim=True)  # an unknown slot, while there is one: they start at the old end
        slot = torch.where(hit.any(1, keepdim=True), hit.long().argmax(1, keepdim=True), oldest)
        sources.append(where.gather(1, slot)[:, 0])
        found.append(hit.any(1))
        real = (t < lengths)[:, None]
        written = real & (torch.arange(n_slots, device=ids.device) == slot)
        speakers = torch.where(written, speaker[:, None], speakers)
        known = known | written
        where = torch.where(written, n_slots + t, where)
    if not sources:
        return ids, ids.bool(), where
    return torch.stack(sources, 1), torch.stack(found, 1), where.sort(1).values
