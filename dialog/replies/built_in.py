"""The default responder: of the replies people wrote, the one nearest to what was said among those that may answer it.

Most of what one says to somebody who tells something answers a thousand other things too. So a reply that asks for more
is given where it lies near enough, and otherwise the nearest of those that answer every message of that kind. What
it has to say for itself it says in words of its own.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from dialog.conversation import Conversation, Utterance
from dialog.correction.corrector import shipped_lexicon
from dialog.labels import UNSURE_BELOW
from dialog.reading.text_vectors import TextReader
from dialog.replies.abroad import ONLY_ENGLISH, words_abroad
from dialog.replies.bank import TEXTS, VECTORS, ReplyBank, Written
from dialog.replies.distress import CARE, words_for
from dialog.replies.frank import AT_A_LOSS, NOTHING_TO_SAY, own_words, unsaid
from dialog.replies.kinds import ASKS, asks_anew, kinds_of
from dialog.replies.pairs import messages_of
from dialog.replies.port import Piece
from models import checkpoint
from models.catalogue import REPLY, path_of
from models.device import Where, choose_device
from models.encoders.text import BUILT_IN, TextEncoder
from models.responder.config import TowersConfig
from models.responder.model import ReplyTowers

MAX_TOKENS = 48
"""Of one message; what is longer is cut."""
_LOWER = 0.12
"""By so much less near may a question lie where no other reply is left."""
_TOLD = frozenset({"good", "bad", "said"})
"""The kinds of message that tell something, of which one may ask for more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltInConfig:
    """The towers, and how near a reply must be."""

    towers: TowersConfig
    threshold: float
    """The least cosine of a context and a question that is asked about it."""
    encoder: str = BUILT_IN

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold} is no cosine, -1 to 1")


class BuiltInResponder:
    """Chooses among the bank's replies; says none twice in a dialogue, and says so where none is near.

    responder = BuiltInResponder.load()
    whole(responder.reply(Conversation.parse("Ann: I lost my keys again!")))
    """

    def __init__(
        self, name: str, version: str, config: BuiltInConfig, reader: TextReader, towers: ReplyTowers, bank: ReplyBank
    ) -> None:
        self.name = name
        self.version = version
        self.config = config
        self.reader = reader
        self.towers = towers.eval()
        self.bank = bank

    @classmethod
    def load(cls, name: str | Path = REPLY, *, device: Where = None) -> Self:
        """A shipped model by name, or a folder that holds one; ValueError says what is missing."""
        folder = path_of(str(name))
        config, tensors = checkpoint.read(folder, BuiltInConfig)
        where = choose_device(device)
        towers = checkpoint.fill(ReplyTowers(config.towers), tensors, folder).float().to(where)
        bank = ReplyBank.load(folder, config.towers.d_out)
        reader = TextReader(TextEncoder.load(config.encoder, device=where), cache_texts=512, max_tokens=MAX_TOKENS)
        label = str(name) if not Path(name).is_dir() else folder.name
        return cls(label, f"{label}@{_content_hash(folder)}", config, reader, towers, bank)

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        """As `Responder.reply` says; a word a piece. `speaker` and `most` change nothing: what people wrote is short,
        and nobody's."""
        del speaker, most
        if not conversation.utterances:
            raise ValueError("a reply answers a message: the conversation has none")
        said = [u.text for u in conversation.utterances] + list(instead_of)
        if sentences := _own_words(conversation.utterances[-1]):
            text, emotion, sure = unsaid(sentences, said), None, sentences not in (*AT_A_LOSS, ONLY_ENGLISH)
        else:
            chosen, emotion = self._chosen(conversation.utterances, to_feel, said)
            text, sure = chosen or unsaid(NOTHING_TO_SAY, said[-2:]), chosen is not None
        *first, last = re.findall(r"\S+\s*", text)
        for word in first:
            yield Piece(word)
        yield Piece(last, "stop", emotion, sure)

    def _chosen(
        self, utterances: Sequence[Utterance], to_feel: str | None, said: Collection[str]
    ) -> tuple[str | None, str | None]:
        last = utterances[-1]
        kinds = kinds_of(last.text, *_felt(last))
        if not kinds or not any(c.isalnum() for c in last.text):
            return None, None
        context = self.context(utterances, to_feel)
        asked = self._asked(context, said, last.text) if kinds & _TOLD else None
        chosen = asked if asked is not None and asked[1] >= self.config.threshold else None
        chosen = chosen or next(self.bank.nearest(context, said, kinds), None)
        if chosen is None and asked is not None and asked[1] >= self.config.threshold - _LOWER:
            chosen = asked  # all that answers this kind was said
        return (None, None) if chosen is None else (chosen[0].text, chosen[0].emotion)

    def _asked(self, context: Tensor, said: Collection[str], last: str) -> tuple[Written, float] | None:
        """The nearest question for something that has not just been told."""
        found = self.bank.nearest(context, said, {ASKS})
        return next(((reply, score) for reply, score in found if asks_anew(reply.text, last)), None)

    @torch.inference_mode()
    def context(self, utterances: Sequence[Utterance], to_feel: str | None = None) -> Tensor:
        """Where the conversation lies (d_out,), on the CPU."""
        device = self.towers.context_skip.weight.device
        texts = messages_of(utterances[-self.config.towers.n_messages :][::-1])
        messages = stacked([v.sentence for v in self.reader.read(texts)], self.config.towers.n_messages)
        last = utterances[-1]
        felt, _ = _felt(last)
        emotions = (torch.tensor([self._emotion(e)], device=device) for e in (felt, to_feel))
        return self.towers.context(messages[None].to(device), *emotions)[0].cpu()

    def _emotion(self, name: str | None) -> int:
        """Its place; what is no emotion of the towers' is not known to them."""
        known = self.config.towers.emotions
        return known.index(name) if name in known else len(known)


def _felt(message: Utterance) -> tuple[str | None, float | None]:
    """What it feels, and how probably where a model says so."""
    if message.prediction is None:
        return message.emotion, None
    return message.prediction.emotion, message.prediction.probability


def _own_words(message: Utterance) -> tuple[str, ...]:
    """What the program says to it in words of its own, any of the sentences; none where a reply people wrote will do.
    Despair goes before all else, and a language nobody here reads before what its letters might spell in English."""
    felt, sure = _felt(message)
    if message.prediction is not None and message.prediction.care:
        return CARE
    clear = felt if sure is None or sure >= UNSURE_BELOW else None
    text = message.text
    return words_for(text, clear) or words_abroad(text) or own_words(text, shipped_lexicon(), clear)


def _content_hash(folder: Path) -> str:
    """The first 12 hex digits of a SHA-256 over the model and its replies."""
    digest = hashlib.sha256(checkpoint.content_hash(folder).encode())
    for name in (TEXTS, VECTORS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:12]


def stacked(vectors: Sequence[Tensor], n: int) -> Tensor:
    """Sentence vectors (n, D) of as many messages, zeros where there are fewer."""
    out = torch.zeros(n, len(vectors[0]), device="cpu")
    out[: len(vectors)] = torch.stack(list(vectors))
    return out
