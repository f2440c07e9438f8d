"""Texts as a picture's questions need them: the states of their tokens, and one vector a text."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog.reading.batching import bucket, pad_rows
from models.device import device_of
from models.encoders.text import TextEncoder
from models.seqdialn.model import Texts

MAX_TOKENS = 40
"""Of one text, as in the paper for a history item; what is longer is cut."""
BATCH_TOKENS = 2048


class TextVectors(NamedTuple):
    """One text: token states (L, E), and its sentence vector (E,), the normed mean, zero for an empty text."""

    words: Tensor
    sentence: Tensor


class TextReader:
    """A frozen text encoder with a cache by text; the least recently used go first. Safe to use from several threads.

    The sentence vector is the one all-MiniLM-L6-v2 was trained for: the mean over all tokens, the two special ones
    included, normed. The token states leave the special ones out. It runs where the encoder's weights are; the
    vectors are on the CPU.
    """

    def __init__(self, encoder: TextEncoder, *, cache_texts: int = 4096, max_tokens: int = MAX_TOKENS) -> None:
        self.encoder = encoder.eval()
        self.width = encoder.d_model
        self._room = cache_texts
        self._max_tokens = max_tokens
        self._cache: OrderedDict[str, TextVectors] = OrderedDict()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> list[TextVectors]:
        """The vectors of each text, in order."""
        found = dict[str, TextVectors]()
        with self._lock:
            for text in texts:
                if text in self._cache:
                    self._cache.move_to_end(text)
                    found[text] = self._cache[text]
        new = [text for text in dict.fromkeys(texts) if text not in found]
        for text, vectors in zip(new, self._encode(new), strict=True):
            found[text] = vectors
        with self._lock:
            for text in new:
                self._cache[text] = found[text]
            while len(self._cache) > self._room:
                self._cache.popitem(last=False)
        return [found[text] for text in texts]

    def _encode(self, texts: Sequence[str]) -> list[TextVectors]:
        tokens = self.encoder.tokenize([" ".join(text.split()) for text in texts], self._max_tokens)
        device = device_of(self.encoder)
        empty = TextVectors(torch.zeros(0, self.width, device="cpu"), torch.zeros(self.width, device="cpu"))
        out = [empty] * len(texts)
        for group in bucket([len(t) + 2 for t in tokens], BATCH_TOKENS):
            group = [i for i in group if tokens[i]]
            if not group:
                continue
            texts_ids = [[self.encoder.start_id, *tokens[i], self.encoder.separator_id] for i in group]
            ids, mask = pad_rows([torch.tensor(row, device=device) for row in texts_ids])
            states = self.encoder.states(ids, mask).float()
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            for i, row, sentence in zip(group, states.cpu(), F.normalize(mean, dim=-1).cpu(), strict=True):
                # Copies: a view would keep the whole batch in memory for as long as one text is cached.
                out[i] = TextVectors(row[1 : len(tokens[i]) + 1].clone(), sentence.clone())
        return out


def joined(parts: Sequence[TextVectors]) -> TextVectors:
    """Texts read one by one as one: a question read when it was asked is not read again with its answer."""
    sentence = torch.stack([p.sentence for p in parts]).sum(0)
    return TextVectors(torch.cat([p.words for p in parts]), F.normalize(sentence, dim=0))


def batched(vectors: Sequence[TextVectors], device: torch.device | None = None) -> Texts:
    """Texts (B, L, E) with their mask, on the device: that of the vectors unless it is given. At least one token wide,
    so that empty texts have a (padded) place too."""
    length, here = max(1, *(len(v.words) for v in vectors)), vectors[0].words.device
    words = torch.zeros(len(vectors), length, vectors[0].words.shape[-1], device=here)
    mask = torch.zeros(len(vectors), length, dtype=torch.bool, device=here)
    for i, v in enumerate(vectors):
        words[i, : len(v.words)] = v.words  # half-precision vectors from a training run's store become float32
        mask[i, : len(v.words)] = True
    sentences = torch.stack([v.sentence for v in vectors]).float()
    return Texts(words.to(device or here), mask.to(device or here), sentences.to(device or here))
