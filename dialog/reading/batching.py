"""From ragged conversations to token sequences and padded tensors.

An utterance in a sequence is its speaker's mark, its text and a separator:

    [CLS] a : hello there [SEP] b : hi ! [SEP]

Utterances share a sequence with their neighbours, so the encoder reads each in its context, and hardly a token is
padding. Conversations too long for one sequence are cut into several; each cut repeats a little of what went before.
"""

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from dialog.language import unfamiliar

SpeakerMarks = Literal["letter", "name", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How utterances are laid out as tokens."""

    speaker_marks: SpeakerMarks = "letter"
    """`letter`: a, b, c in order of appearance in the sequence; `name`: the first name as written; `none`: no mark."""
    max_tokens: int = 192
    """Tokens in a sequence."""
    context_tokens: int = 48
    """Of which this many at most repeat earlier utterances where a long conversation is cut."""
    live_tokens: int = 128
    """Tokens in the window that ends with a new message of a live chat."""
    utterance_tokens: int = 96
    """Tokens kept of one utterance; what is longer is cut, and a warning says so."""
    alone: bool = False
    """Every utterance in a sequence of its own: its vector says what it says, whatever stands around it."""
    shouting: bool = False
    """Whether an utterance in capitals is marked as shouted, for an encoder whose vocabulary has none."""

    def __post_init__(self) -> None:
        # One mark of up to 8 tokens, a separator and the opening token stand beside a text.
        needed = self.utterance_tokens + 10
        if min(self.max_tokens, self.live_tokens) < needed:
            raise ValueError(
                f"utterance_tokens {self.utterance_tokens} needs sequences of {needed} tokens; "
                f"max_tokens is {self.max_tokens}, live_tokens {self.live_tokens}"
            )
        if self.context_tokens > self.max_tokens - needed:
            raise ValueError(f"context_tokens {self.context_tokens} leaves no room in {self.max_tokens} tokens")


DEFAULT_LAYOUT = Layout()


class Tokens(NamedTuple):
    """One utterance as tokens: who speaks (its mark by name, an order is found later), the text, if it was cut."""

    speaker: str
    text: Sequence[int]
    truncated: bool = False
    foreign: bool = False
    """Whether the encoder cannot read it, being in another language: then it colours none of its neighbours."""
    loud: bool = False
    """Whether it is written in capitals."""


class Span(NamedTuple):
    """A piece of a conversation for one sequence: utterances begin..end are read, those from `first` on are wanted."""

    begin: int
    first: int
    end: int


class Packed(NamedTuple):
    """A sequence: token ids, and for each the utterance in the span that owns it, -1 for none."""

    ids: list[int]
    owner: list[int]
    n_utterances: int


_MARK_TOKENS = 3
"""What a mark and a separator cost beside a text; `Packer.lengths` adds to the text what a long name costs more."""


def cut(lengths: Sequence[int], layout: Layout, first: int = 0, apart: Set[int] = frozenset()) -> list[Span]:
    """Spans that cover a conversation from `first` on once, in order, none longer than the layout allows.

    lengths are the utterances' text tokens, as `Packer.lengths` counts them. A cut carries as many earlier utterances
    as `context_tokens` can hold. Those in `apart` stand alone, and no cut reaches over them.
    """
    spans, n = [], len(lengths)
    if layout.alone:
        return [Span(i, i, i + 1) for i in range(first, n)]
    while first < n:
        begin, room = first, layout.context_tokens
        while begin > 0 and not {begin, begin - 1} & apart and lengths[begin - 1] + _MARK_TOKENS <= room:
            begin -= 1
            room -= lengths[begin] + _MARK_TOKENS
        used = 1 + sum(lengths[begin:first]) + _MARK_TOKENS * (first - begin)
        end = first
        while end < n and (end == first or used + lengths[end] + _MARK_TOKENS <= layout.max_tokens):
            if end > first and (end in apart or first in apart):
                break
            used += lengths[end] + _MARK_TOKENS
            end += 1
        spans.append(Span(begin, first, end))
        first = end
    return spans


def live_windows(lengths: Sequence[int], layout: Layout, first: int = 0) -> list[Span]:
    """For each utterance from `first` on the window a live chat would read: itself, and as much before it as fits."""
    spans = []
    if layout.alone:
        return [Span(i, i, i + 1) for i in range(first, len(lengths))]
    for i in range(first, len(lengths)):
        begin, used = i, 1 + lengths[i] + _MARK_TOKENS
        while begin > 0 and used + lengths[begin - 1] + _MARK_TOKENS <= layout.live_tokens:
            begin -= 1
            used += lengths[begin] + _MARK_TOKENS
        spans.append(Span(begin, i, i + 1))
    return spans


class Tokenizing(Protocol):
    """What a Packer needs of an encoder; models.encoders.text.TextEncoder has it."""

    max_tokens: int

    @property
    def start_id(self) -> int: ...

    @property
    def separator_id(self) -> int: ...

    def tokenize(self, texts: list[str], limit: int) -> list[list[int]]: ...


class Packer:
    """Lays utterances out as sequences for one encoder."""

    def __init__(self, encoder: Tokenizing, layout: Layout) -> None:
        if layout.max_tokens > encoder.max_tokens:
            raise ValueError(
                f"the layout has sequences of {layout.max_tokens} tokens, the encoder takes {encoder.max_tokens}"
            )
        self.encoder = encoder
        self.layout = layout
        self._marks: dict[str, list[int]] = {}

    def tokenize(self, speakers: Sequence[str], texts: Sequence[str]) -> list[Tokens]:
        """Each utterance's tokens, texts longer than the layout allows cut."""
        limit = self.layout.utterance_tokens
        ids = self.encoder.tokenize(list(texts), limit + 1)  # One more shows whether there was more.
        foreign = set(unfamiliar(texts))
        return [
            Tokens(speaker, row[:limit], len(row) > limit, i in foreign, shouted(texts[i]))
            for i, (speaker, row) in enumerate(zip(speakers, ids, strict=True))
        ]

    def lengths(self, utterances: Sequence[Tokens]) -> list[int]:
        """What `cut` and `live_windows` are to count: tokens of text, and of a mark beyond the usual size."""
        return [len(u.text) + max(0, len(self._mark(u.speaker, 0)) + 1 - _MARK_TOKENS) for u in utterances]

    def pack(self, utterances: Sequence[Tokens]) -> Packed:
        """One sequence of all of them. Letters are given in order of appearance here, whatever came before."""
        ids, owner, order = [self.encoder.start_id], [-1], dict[str, int]()
        separator = self.encoder.separator_id
        for i, (speaker, text, _, _, loud) in enumerate(utterances):
            mark = self._mark(speaker, order.setdefault(speaker, len(order)))
            if loud and self.layout.shouting:
                mark = [*mark, *self._word("shouting:")]
            ids += [*mark, *text, separator]
            owner += [-1] * len(mark)
            owner += [i] * (len(text) + 1)
        limit = self.encoder.max_tokens
        return Packed(ids[:limit], owner[:limit], len(utterances))

    def _mark(self, speaker: str, order: int) -> list[int]:
        marks = self.layout.speaker_marks
        if marks == "none":
            return []
        word = chr(ord("a") + min(order, 25)) if marks == "letter" else (speaker.split() or ["?"])[0][:24]
        return self._word(f"{word}:")

    def _word(self, word: str) -> list[int]:
        mark = self._marks.get(word)
        if mark is None:
            if len(self._marks) > 10_000:
                self._marks.clear()  # A server meets names for ever.
            mark = self._marks[word] = self.encoder.tokenize([word], 8)[0]
        return mark


def shouted(text: str) -> bool:
    """Whether a text is written in capitals: four of them or more, and hardly a small letter."""
    if not any(map(str.isupper, text)):
        return False  # The common case.
    large, small = sum(map(str.isupper, text)), sum(map(str.islower, text))
    return large >= 4 and small * 4 <= large


class TokenBatch(NamedTuple):
    """Sequences side by side: ids (B, T), mask (B, T), owner (B, T) counting through the whole batch, and how many."""

    ids: Tensor
    mask: Tensor
    owner: Tensor
    n_utterances: int


def collate(sequences: Sequence[Packed], device: torch.device | None = None) -> TokenBatch:
    """Pads on the right, on the device or else the CPU; the utterances of sequence b follow those of sequence b-1."""
    width = max(len(s.ids) for s in sequences)
    ids, owners, base = [], [], 0
    for s in sequences:
        pad = width - len(s.ids)
        ids.append(s.ids + [0] * pad)
        owners.append([o + base if o >= 0 else -1 for o in s.owner] + [-1] * pad)
        base += s.n_utterances
    mask = [[i < len(s.ids) for i in range(width)] for s in sequences]
    there, real, of = (torch.tensor(rows, device=device) for rows in (ids, mask, owners))
    return TokenBatch(there, real, of, base)


def bucket(lengths: Sequence[int], budget: int, rng: random.Random | None = None) -> list[list[int]]:
    """Indices in batches of like length, each at most `budget` once padded (or one item, if that alone is more).

    Without `rng` shortest first, every item exactly once. With it both the batches' order and which equals meet is
    random, for training.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + (4 * rng.random() if rng else 0))
    batches: list[list[int]] = []
    widest = 0
    for i in order:
        widest = max(widest, lengths[i])
        if not batches or widest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            widest = lengths[i]
        batches[-1].append(i)
    if rng:
        rng.shuffle(batches)
    return batches


def bucket_tightly(lengths: Sequence[int], budget: int, call: int) -> list[list[int]]:
    """Indices in batches as `bucket` makes them, shortest first, but so that all of it costs least: a batch costs what
    it holds once padded, and `call` beside.

    Few things of very different lengths are mostly padding in one batch, and mostly calls in one batch each.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    cost, cut = [0.0], [0]  # the least that the first j cost, and where their last batch begins
    for j, last in enumerate(order, start=1):
        widest = lengths[last]
        lowest = j - max(1, budget // max(1, widest))
        begin = min(range(j - 1, max(lowest, 0) - 1, -1), key=lambda i: cost[i] + (j - i) * widest)
        cost.append(cost[begin] + (j - begin) * widest + call)
        cut.append(begin)
    batches, end = list[list[int]](), len(order)
    while end:
        batches.append(order[cut[end] : end])
        end = cut[end]
    return batches[::-1]


def pad_rows(rows: Sequence[Tensor], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Rows (n_b, ...) as one tensor (B, N, ...) with zeros on the right, and its mask (B, N), on the device: that of
    the rows unless it is given."""
    padded = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).to(device or rows[0].device)
    lengths = torch.tensor([len(row) for row in rows], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
