"""A live chat between two messages: a value in memory; in a database a head, and a row for each of the last messages.

A message changes the head, adds a row and leaves the other rows as they are, so that little is written however much
is remembered. What is written is exact: a chat goes on from it as if it had never been away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dialog.emotion.causes import CausesState, Remembered
from dialog.reading.batching import Tokens
from models.emotionic.model import EmotionICState, rolling
from models.mixers.base import leaves, rebuilt
from models.pointer.causes import ReadState
from models.tensors import pack, unpack

TOKENS_WRITTEN = 32
"""A longer message that is read alone is read again from its text: its tokens would take more room than all else."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """A live chat between two messages: bounded however long the chat is. A value: a step returns a new one."""

    recent: tuple[Tokens, ...]
    """The utterances the next message will be read with; none where each is read alone."""
    model: EmotionICState
    n_messages: int = 0
    version: str = ""
    """Of the tagger that made it."""
    causes: CausesState | None = None
    """What later messages can be caused by, where causes are asked for."""
    alone: bool = False
    """Whether a message's vector and tokens are those of its text alone."""

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        remembered = () if self.causes is None else self.causes.recent
        ours = (*leaves(self.model), *(t for r in remembered for t in (r.own, r.emotions, r.tokens)))
        return sum(t.nbytes for t in ours)

    def head(self) -> bytes:
        """For a database: everything but the rows."""
        tensors = {f"model.{i:03d}": leaf for i, leaf in enumerate(_leaves(self.model, rolls=False))}
        if self.causes is not None:
            tensors |= {f"causes.{i:03d}": leaf for i, leaf in enumerate(leaves(self.causes.read))}
        recent = [[u.speaker, list(u.text), u.loud] for u in self.recent]
        return pack(tensors, {"recent": recent, "n_messages": self.n_messages, "version": self.version})

    def rows(self, newest: int) -> list[bytes]:
        """For a database: one for each of the newest so many messages, or of as many as are remembered, oldest first.

        A row never changes; `EmotionTagger.restore` wants those of the last `reach` messages.
        """
        n = min(newest, self.n_messages, reach_of(self))
        return [self._row(age) for age in range(n, 0, -1)]

    def _row(self, age: int) -> bytes:
        """What is remembered of the message `age` messages ago; the last one is 1."""
        windows = _leaves(self.model, rolls=True)
        tensors = {f"model.{i:03d}": leaf[0, -age] for i, leaf in enumerate(windows) if age <= leaf.shape[1]}
        if self.causes is not None and age <= len(self.causes.recent):
            of = self.causes.recent[-age]
            tensors |= {"own": of.own, "emotions": of.emotions, "speaker": of.speaker}
            if not self.alone or len(of.tokens) <= TOKENS_WRITTEN:
                tensors["tokens"] = of.tokens
        return pack(tensors, {"n": self.n_messages - age})


def reach_of(state: LiveState) -> int:
    """How many messages' rows a state of this model is made of at most."""
    windows = [leaf.shape[1] for leaf in _leaves(state.model, rolls=True)]
    return max([*windows, 0 if state.causes is None else len(state.causes.recent)])


def restored(
    fresh: LiveState, head: bytes, rows: Sequence[tuple[bytes, str]], read: Callable[[str], Tensor], window: int
) -> LiveState:
    """The state of `head` and `rows`, each with the text of its message, oldest first.

    `fresh` is one of the same model before any message; `read` gives the tokens of a text that were not written;
    causes are remembered of the last `window` messages. ValueError for what is no state of this model's.
    """
    try:
        tensors, told = unpack(head)
        recent = tuple(Tokens(who, text, loud=bool(loud)) for who, text, loud in told["recent"])
        n_messages, version = int(told["n_messages"]), told["version"]
    except Exception as error:
        raise ValueError(f"not the state of a live chat: {error!r}") from error
    if version != fresh.version:
        raise ValueError(f"the state belongs to {version!r}, not to {fresh.version!r}")
    try:
        kept = [(*unpack(row), text) for row, text in rows]
        numbers = [int(note["n"]) for _, note, _ in kept]
        if numbers != list(range(n_messages - len(rows), n_messages)):
            raise ValueError(f"rows of the messages {numbers}, and {n_messages} messages")
        model = _model(fresh.model, tensors, [row for row, _, _ in kept], n_messages)
        causes = None
        if fresh.causes is not None:
            told_rows = [(row, text) for row, _, text in kept[max(0, len(kept) - window) :]]
            causes = _causes(fresh.causes, tensors, told_rows, n_messages, min(window, n_messages), read)
    except Exception as error:
        raise ValueError(f"not the state of a live chat: {error!r}") from error
    return LiveState(recent, model, n_messages, version, causes, fresh.alone)


def _leaves(state: EmotionICState, *, rolls: bool) -> list[Tensor]:
    return [leaf for leaf, does in zip(leaves(state), rolling(state), strict=True) if does is rolls]


def _model(fresh: EmotionICState, head: dict[str, Tensor], rows: Sequence[dict[str, Tensor]], n: int) -> EmotionICState:
    found, counts = list[Tensor](), {True: 0, False: 0}
    for leaf, rolls in zip(leaves(fresh), rolling(fresh), strict=True):
        name = f"model.{counts[rolls]:03d}"
        counts[rolls] += 1
        one = leaf.clone()
        if not rolls:
            one[:] = _same(head[name], leaf)
        elif last := min(leaf.shape[1], n):
            newest = [row[name] for row in rows[len(rows) - last :]]
            one[0, leaf.shape[1] - last :] = _same(torch.stack(newest), leaf[0, leaf.shape[1] - last :])
        found.append(one)
    return rebuilt(fresh, iter(found))


def _causes(
    fresh: CausesState,
    head: dict[str, Tensor],
    rows: Sequence[tuple[dict[str, Tensor], str]],
    n: int,
    n_rows: int,
    read: Callable[[str], Tensor],
) -> CausesState:
    if len(rows) < n_rows:
        raise ValueError(f"{len(rows)} rows, expected {n_rows}")
    like = leaves(fresh.read)
    stored = [_same(head[f"causes.{i:03d}"], leaf).to(leaf.device) for i, leaf in enumerate(like)]
    device = like[0].device
    recent = tuple(
        Remembered(
            row["own"].to(device),
            row["emotions"].to(device),
            row["speaker"].to(device),
            row["tokens"] if "tokens" in row else read(text),
            text,
        )
        for row, text in rows
    )
    state: ReadState = rebuilt(fresh.read, iter(stored))
    return CausesState(state, recent, n)


def _same(stored: Tensor, like: Tensor) -> Tensor:
    if (stored.shape, stored.dtype) != (like.shape, like.dtype):
        expected: tuple[Any, ...] = (tuple(like.shape), like.dtype)
        raise ValueError(f"{tuple(stored.shape)} {stored.dtype}, expected {expected[0]} {expected[1]}")
    return stored
