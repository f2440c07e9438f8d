"""Who caused what, as RECCON and ECF annotate it: targets, their causes, and the rows the published scores count.

Fold 1 of RECCON (Poria et al. 2021, section 5): for every annotated utterance each of its causal spans is a positive
row, and each utterance of its history, itself included, that is no cause of it is a negative row. The published counts
of negatives come out only if targets whose one cause is latent count too, with negatives alone; so they do here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dialog.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Target:
    """An utterance whose emotion has an annotated cause."""

    place: int
    spans: Mapping[int, tuple[str | None, ...]]
    """By causal utterance, none later than the target: the words in it, or None where the corpus names none."""
    latent: bool
    """Whether a cause is outside the conversation."""


class Row(NamedTuple):
    """A row of fold 1: does `candidate` cause the emotion of `target`? `span` says by which words, where it does."""

    target: int
    candidate: int
    positive: bool
    span: str | None


def targets(c: Conversation) -> list[Target]:
    """The annotated utterances of a conversation. A cause that points forward is dropped, as the paper drops it.

    ValueError for causes in another shape than ours.
    """
    found = []
    for i, u in enumerate(c.utterances):
        given = u.extra.get("causes")
        if not given:
            continue
        spans: dict[int, tuple[str | None, ...]] = {}
        latent = False
        for where, span in _read(given, f"{c.id}: utterances[{i}].causes", len(c.utterances)):
            if where is None:
                latent = True
            elif where <= i:
                spans[where] = (*spans.get(where, ()), span)
        if spans or latent:
            found.append(Target(i, spans, latent))
    return found


def fold_1(some: Iterable[Target]) -> list[Row]:
    """The rows of one conversation's targets, positive ones once a span."""
    rows = []
    for t in some:
        for j in range(t.place + 1):
            if j in t.spans:
                rows += [Row(t.place, j, True, span) for span in t.spans[j]]
            else:
                rows.append(Row(t.place, j, False, None))
    return rows


def _read(given: Any, place: str, n: int) -> list[tuple[int | None, str | None]]:
    if not isinstance(given, list | tuple) or not all(isinstance(cause, Mapping) for cause in given):
        raise ValueError(f"{place}: expected an array of objects, got {given!r:.80}")
    pairs = [(cause.get("utterance"), cause.get("span")) for cause in given]
    for where, span in pairs:
        counted = where is None or (isinstance(where, int) and 0 <= where < n)
        if not counted or not (span is None or isinstance(span, str)):
            raise ValueError(f"{place}: expected an utterance from 0 to {n - 1} and its words, got {where!r}, {span!r}")
    return pairs
