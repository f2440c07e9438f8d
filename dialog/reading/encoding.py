"""Vectors of whole conversations: tokenised once, cut into sequences, batched by length, cached by content."""

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dialog.conversation import Conversation
from dialog.reading.batching import (
    Layout,
    Packed,
    Packer,
    Span,
    TokenBatch,
    Tokens,
    bucket_tightly,
    collate,
    cut,
    live_windows,
)
from dialog.reading.shelf import Shelf
from models.device import device_of
from models.encoders.text import TextEncoder

BATCH_TOKENS = 1024
"""Tokens in one call of the encoder, padding included. A CPU gains nothing from more, and sequences of all lengths
make small batches of like length with less padding: 4096 took a sixth longer on MELD."""
CALL_TOKENS = 32
"""What a call costs beside its tokens, in tokens: 8 ms and 0.26 ms on a slow core."""
PIECE = 2048
"""Utterances of a long conversation that are read at a time."""


class Encoded(NamedTuple):
    """A conversation's utterance vectors (N, D), and the places of utterances that did not fit and were cut,
    and of those in another language.

    `tokens`, where they were asked for, are each utterance's text tokens (K, h), as the module that asked keeps them.
    """

    vectors: Tensor
    truncated: list[int]
    foreign: list[int]
    tokens: list[Tensor] | None = None


def encoder_hash(name: str, layout: Layout, deltas: Mapping[str, Tensor]) -> str:
    """The first 12 hex digits of a SHA-256: the same encoder, deltas (as stored) and layout, the same hash."""
    # A field that came later does not count where it is as it always was: older models keep the encoder they know.
    digest = hashlib.sha256(f"{name} {layout}".replace(", shouting=False", "").encode())
    for key in sorted(deltas):
        digest.update(key.encode() + deltas[key].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


class _Read(NamedTuple):
    """What was read off one sequence: vectors (U, D) of the utterances wanted, and their tokens."""

    vectors: Tensor
    tokens: tuple[Tensor, ...]
    kept_by: nn.Module | None

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes + sum(t.nbytes for t in self.tokens)


class _Job(NamedTuple):
    conversation: int
    span: Span
    packed: Packed
    key: bytes


class ConversationEncoder:
    """A text encoder and a layout, with a cache of what was encoded before.

    The cache is keyed by the tokens of a whole sequence, so a hit is exact. It holds at most `cache_bytes`;
    the least recently used go first. Safe to call from several threads. It runs where the encoder's weights are; what
    it gives back, and keeps, is on the CPU.
    """

    def __init__(self, encoder: TextEncoder, layout: Layout, *, cache_bytes: int = 64 << 20, version: str = "") -> None:
        """`version` names what is encoded with, as `encoder_hash` does, for models that read the vectors."""
        self.encoder = encoder
        self.version = version
        self.layout = layout
        self.packer = Packer(encoder, layout)
        self._cache: OrderedDict[bytes, _Read] = OrderedDict()
        self._room = cache_bytes
        self.hits = self.misses = 0
        """How many sequences came from the cache so far, and how many did not."""
        self._lock = threading.Lock()

    @torch.inference_mode()
    def encode(
        self,
        conversations: Sequence[Conversation],
        *,
        live: bool = False,
        progress: Callable[[int], None] | None = None,
        keep_tokens: nn.Module | None = None,
    ) -> list[Encoded]:
        """Vectors of every utterance of every conversation, in order.

        Offline an utterance is read with its neighbours on both sides; live with what came before it alone, as a chat
        would. `progress` is told how many utterances each batch finished. `keep_tokens` makes of the states (K, D) of
        an utterance's tokens what is kept of them; where it is given, `Encoded.tokens` is filled at no second reading.
        """
        tokens = self._tokenize(conversations)
        jobs = [job for c, utterances in enumerate(tokens) for job in self._jobs(c, utterances, live)]
        found = self._reads(jobs, progress, keep_tokens)
        vectors = [torch.empty(len(utterances), self.encoder.d_model, device="cpu") for utterances in tokens]
        kept: list[list[Tensor]] = [[] for _ in tokens]
        for job in jobs:
            vectors[job.conversation][job.span.first : job.span.end] = found[job.key].vectors
            kept[job.conversation] += found[job.key].tokens
        cut_short = [[i for i, u in enumerate(utterances) if u.truncated] for utterances in tokens]
        foreign = [[i for i, u in enumerate(utterances) if u.foreign] for utterances in tokens]
        return [
            Encoded(v, t, f, k if keep_tokens else None)
            for v, t, f, k in zip(vectors, cut_short, foreign, kept, strict=True)
        ]

    @torch.inference_mode()
    def pieces(
        self,
        conversation: Conversation,
        *,
        live: bool = False,
        progress: Callable[[int], None] | None = None,
        keep_tokens: nn.Module | None = None,
        shelf: Shelf | None = None,
    ) -> Iterator[Encoded]:
        """What `encode` says of one conversation, a piece after the other: memory does not grow with its length.

        The places of what was cut count from the conversation's beginning. What is read is kept on `shelf`, and what
        stands there is not read again.
        """
        utterances = conversation.utterances
        tokens: list[Tokens] = []  # of the utterances from `base` on, as far as they were read
        base = first = 0  # `first` is the next utterance wanted
        while first < len(utterances):
            known = base + len(tokens)
            more = utterances[known : known + PIECE]
            tokens += self.packer.tokenize([u.speaker for u in more], [u.text for u in more])
            jobs = self._jobs(0, tokens, live, first - base)
            # The last sequence might yet take more utterances: it waits for them.
            waiting = jobs.pop().span if base + len(tokens) < len(utterances) else Span(len(tokens), len(tokens), 0)
            found = self._reads(jobs, progress, keep_tokens, shelf)
            if jobs:
                reads = [found[job.key] for job in jobs]
                yield Encoded(
                    torch.cat([read.vectors for read in reads]),
                    [base + i for i in range(first - base, waiting.first) if tokens[i].truncated],
                    [base + i for i in range(first - base, waiting.first) if tokens[i].foreign],
                    [t for read in reads for t in read.tokens] if keep_tokens else None,
                )
            first, base, tokens = base + waiting.first, base + waiting.begin, tokens[waiting.begin :]

    def _reads(
        self,
        jobs: Sequence[_Job],
        progress: Callable[[int], None] | None,
        keep_tokens: nn.Module | None,
        shelf: Shelf | None = None,
    ) -> dict[bytes, _Read]:
        """By key, from the cache or the shelf, or run now."""
        found, missing = self._look_up(jobs, keep_tokens)
        if shelf is not None:
            for key in list(missing):
                kept = shelf.get(key, tokens=keep_tokens is not None)
                if kept is not None:
                    found[key] = _Read(kept[0], tuple(kept[1:]), keep_tokens)
                    del missing[key]
        todo = list(missing.values())
        if progress and len(jobs) > len(todo):
            # What is known already, or stands in these conversations more than once.
            progress(sum(_wanted(job) for job in jobs) - sum(_wanted(job) for job in todo))
        for batch in bucket_tightly([len(job.packed.ids) for job in todo], BATCH_TOKENS, CALL_TOKENS):
            fresh = self._run([todo[i] for i in batch], keep_tokens)
            keys = [todo[i].key for i in batch]
            found.update(zip(keys, fresh, strict=True))
            self._remember(keys, fresh)
            if shelf is not None:
                for key, read in zip(keys, fresh, strict=True):
                    shelf.put(key, [read.vectors, *read.tokens], tokens=keep_tokens is not None)
            if progress:
                progress(sum(len(read.vectors) for read in fresh))
        return found

    def window(self, recent: Sequence[Tokens]) -> Sequence[Tokens]:
        """The last of `recent` that one live message is read with, itself included."""
        return recent[live_windows(self.packer.lengths(recent), self.layout, len(recent) - 1)[-1].begin :]

    @torch.inference_mode()
    def read_last(
        self, windows: Sequence[Sequence[Tokens]], keep_tokens: nn.Module | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Of the last utterance of each window its vector (D,), and what `keep_tokens` keeps of its tokens (K, h).

        Windows of like length are read together; what was read before comes from the cache.
        """
        jobs = [self._job(0, Span(0, len(window) - 1, len(window)), window) for window in windows]
        found = self._reads(jobs, None, keep_tokens)
        reads = [found[job.key] for job in jobs]
        return [(read.vectors[-1], read.tokens[-1] if keep_tokens else None) for read in reads]

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """The (start, end) code points of each text's tokens, of those that are read."""
        limit = self.layout.utterance_tokens
        return [row[:limit] for row in self.encoder.offsets(list(texts), limit + 1)]  # Cut as Packer.tokenize cuts.

    def _tokenize(self, conversations: Sequence[Conversation]) -> list[list[Tokens]]:
        flat = [u for c in conversations for u in c.utterances]
        tokens = iter(self.packer.tokenize([u.speaker for u in flat], [u.text for u in flat]))
        return [[next(tokens) for _ in c.utterances] for c in conversations]

    def _jobs(self, conversation: int, utterances: Sequence[Tokens], live: bool, first: int = 0) -> list[_Job]:
        lengths = self.packer.lengths(utterances)
        apart = frozenset(i for i, u in enumerate(utterances) if u.foreign)
        spans = live_windows(lengths, self.layout, first) if live else cut(lengths, self.layout, first, apart)
        return [self._job(conversation, span, utterances[span.begin : span.end]) for span in spans]

    def _job(self, conversation: int, span: Span, utterances: Sequence[Tokens]) -> _Job:
        packed = self.packer.pack(utterances)
        key = hashlib.blake2b(array("i", packed.ids).tobytes(), digest_size=16)
        key.update(array("i", [span.first - span.begin, *packed.owner]).tobytes())
        return _Job(conversation, span, packed, key.digest())

    def _look_up(
        self, jobs: Sequence[_Job], keep_tokens: nn.Module | None
    ) -> tuple[dict[bytes, _Read], dict[bytes, _Job]]:
        found, missing = {}, {}
        with self._lock:
            for job in jobs:
                read = self._cache.get(job.key)
                if read is not None and (keep_tokens is None or read.kept_by is keep_tokens):
                    self._cache.move_to_end(job.key)
                    found[job.key] = read
                else:
                    missing[job.key] = job
            self.hits += len(jobs) - len(missing)
            self.misses += len(missing)
        return found, missing

    def _run(self, jobs: Sequence[_Job], keep_tokens: nn.Module | None) -> list[_Read]:
        batch = collate([job.packed for job in jobs], device_of(self.encoder))
        if keep_tokens is None:
            vectors, tokens = self.encoder(*batch), list[Tensor]()
        else:
            states = self.encoder.states(batch.ids, batch.mask)
            vectors, tokens = (
                self.encoder.means(states, batch.owner, batch.n_utterances),
                _kept(states, batch, keep_tokens),
            )
        vectors, tokens = vectors.cpu(), [t.cpu() for t in tokens]
        reads, base = [], 0
        for job in jobs:
            wanted = slice(base + job.span.first - job.span.begin, base + job.packed.n_utterances)
            reads.append(_Read(vectors[wanted].clone(), tuple(t.clone() for t in tokens[wanted]), keep_tokens))
            base += job.packed.n_utterances
        return reads

    def _remember(self, keys: Sequence[bytes], reads: Sequence[_Read]) -> None:
        with self._lock:
            for key, read in zip(keys, reads, strict=True):
                known = self._cache.pop(key, None)
                if known is not None:
                    self._room += known.nbytes
                self._cache[key] = read
                self._room -= read.nbytes
            while self._room < 0:
                self._room += self._cache.popitem(last=False)[1].nbytes


def _kept(states: Tensor, batch: TokenBatch, keep_tokens: nn.Module) -> list[Tensor]:
    """What is kept of each utterance's tokens (K, h), without the separator, its last; from states (B, T, D)."""
    owner = batch.owner.flatten()
    owned = owner >= 0
    kept = keep_tokens(states.flatten(0, 1)[owned].float())
    sizes = torch.bincount(owner[owned], minlength=batch.n_utterances).tolist()
    return [tokens[:-1] for tokens in kept.split(sizes)]


def _wanted(job: _Job) -> int:
    return job.span.end - job.span.first
