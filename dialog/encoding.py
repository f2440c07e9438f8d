"""Vectors of whole conversations: tokenised once, cut into sequences, batched by length, cached by content."""

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dialog.batching import Layout, Packed, Packer, Span, Tokens, bucket, collate, cut, live_windows
from dialog.conversation import Conversation
from models.encoders.text import TextEncoder

BATCH_TOKENS = 1024
"""Tokens in one call of the encoder, padding included. A CPU gains nothing from more, and sequences of all lengths
make small batches of like length with less padding: 4096 took a sixth longer on MELD."""


class Encoded(NamedTuple):
    """A conversation's utterance vectors (N, D), and the places of utterances that did not fit and were cut."""

    vectors: Tensor
    truncated: list[int]


class _Job(NamedTuple):
    conversation: int
    span: Span
    packed: Packed
    key: bytes


class ConversationEncoder:
    """A text encoder and a layout, with a cache of what was encoded before.

    The cache is keyed by the tokens of a whole sequence, so a hit is exact. It holds at most `cache_bytes` of vectors;
    the least recently used go first. Safe to call from several threads.
    """

    def __init__(self, encoder: TextEncoder, layout: Layout, *, cache_bytes: int = 64 << 20) -> None:
        self.encoder = encoder
        self.layout = layout
        self.packer = Packer(encoder, layout)
        self._cache: OrderedDict[bytes, Tensor] = OrderedDict()
        self._room = cache_bytes
        self._lock = threading.Lock()

    @torch.inference_mode()
    def encode(
        self,
        conversations: Sequence[Conversation],
        *,
        live: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> list[Encoded]:
        """Vectors of every utterance of every conversation, in order.

        Offline an utterance is read with its neighbours on both sides; live with what came before it alone, as a chat
        would. `progress` is told how many utterances each batch finished.
        """
        tokens = self._tokenize(conversations)
        jobs = [job for c, utterances in enumerate(tokens) for job in self._jobs(c, utterances, live)]
        found, missing = self._look_up(jobs)
        todo = list(missing.values())
        if progress and len(jobs) > len(todo):
            # What is known already, or stands in these conversations more than once.
            progress(sum(_wanted(job) for job in jobs) - sum(_wanted(job) for job in todo))
        for batch in bucket([len(job.packed.ids) for job in todo], BATCH_TOKENS):
            fresh = self._run([todo[i] for i in batch])
            keys = [todo[i].key for i in batch]
            found.update(zip(keys, fresh, strict=True))
            self._remember(keys, fresh)
            if progress:
                progress(sum(len(v) for v in fresh))
        vectors = [torch.empty(len(utterances), self.encoder.d_model) for utterances in tokens]
        for job in jobs:
            vectors[job.conversation][job.span.first : job.span.end] = found[job.key]
        cut_short = [[i for i, u in enumerate(utterances) if u.truncated] for utterances in tokens]
        return [Encoded(v, t) for v, t in zip(vectors, cut_short, strict=True)]

    def window(self, recent: Sequence[Tokens]) -> Sequence[Tokens]:
        """The last of `recent` that one live message is read with, itself included."""
        return recent[live_windows(self.packer.lengths(recent), self.layout)[-1].begin :]

    @torch.inference_mode()
    def encode_last(self, window: Sequence[Tokens]) -> Tensor:
        """The vector (D,) of the last utterance of a window."""
        packed = self.packer.pack(window)
        batch = collate([packed])
        return self.encoder(*batch)[-1]

    def _tokenize(self, conversations: Sequence[Conversation]) -> list[list[Tokens]]:
        flat = [u for c in conversations for u in c.utterances]
        tokens = iter(self.packer.tokenize([u.speaker for u in flat], [u.text for u in flat]))
        return [[next(tokens) for _ in c.utterances] for c in conversations]

    def _jobs(self, conversation: int, utterances: Sequence[Tokens], live: bool) -> list[_Job]:
        lengths = self.packer.lengths(utterances)
        spans = live_windows(lengths, self.layout) if live else cut(lengths, self.layout)
        jobs = []
        for span in spans:
            packed = self.packer.pack(utterances[span.begin : span.end])
            key = hashlib.blake2b(array("i", packed.ids).tobytes(), digest_size=16)
            key.update(array("i", [span.first - span.begin, *packed.owner]).tobytes())
            jobs.append(_Job(conversation, span, packed, key.digest()))
        return jobs

    def _look_up(self, jobs: Sequence[_Job]) -> tuple[dict[bytes, Tensor], dict[bytes, _Job]]:
        found, missing = {}, {}
        with self._lock:
            for job in jobs:
                if job.key in self._cache:
                    self._cache.move_to_end(job.key)
                    found[job.key] = self._cache[job.key]
                else:
                    missing[job.key] = job
        return found, missing

    def _run(self, jobs: Sequence[_Job]) -> list[Tensor]:
        batch = collate([job.packed for job in jobs])
        vectors = self.encoder(*batch).split([job.packed.n_utterances for job in jobs])
        return [v[job.span.first - job.span.begin :].clone() for v, job in zip(vectors, jobs, strict=True)]

    def _remember(self, keys: Sequence[bytes], vectors: Sequence[Tensor]) -> None:
        with self._lock:
            for key, v in zip(keys, vectors, strict=True):
                if key not in self._cache:
                    self._cache[key] = v
                    self._room -= v.nbytes
            while self._room < 0:
                self._room += self._cache.popitem(last=False)[1].nbytes


def _wanted(job: _Job) -> int:
    return job.span.end - job.span.first
