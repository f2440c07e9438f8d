"""Causes of emotions: which earlier messages made a message feel as it does, and by which words."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from dialog.conversation import Cause, Conversation, Prediction
from dialog.reading.batching import bucket, pad_rows
from dialog.reading.encoding import ConversationEncoder, Encoded
from models import checkpoint
from models.catalogue import path_of
from models.device import device_of
from models.mixers.base import apart, joined
from models.pointer.causes import Candidates, CausePointer, CausesConfig, ReadState, join, pad_tokens
from models.pointer.spans import best_spans

STRETCH = 64
"""Utterances that are asked for their causes at once; a longer conversation is read in such stretches."""
BATCH_UTTERANCES = 256
"""Utterances of short conversations in one batch, padding included."""
_TOKENS = 32_768
"""Tokens of what several live chats remember that are looked at together, padding included."""
_PAIRS = 256
"""Pairs whose spans are looked for at once: that takes memory with the square of an utterance's length."""
NEUTRAL = "neutral"
SURELY_NEUTRAL = 0.75
"""An utterance is asked for causes unless it is neutral with this probability or more: half of what is called neutral
wrongly is called so unsurely."""


def feeling(prediction: Prediction) -> str | None:
    """The emotion that causes are looked for: the label, or where that is neutral the likeliest other one."""
    if prediction.emotion != NEUTRAL:
        return prediction.emotion
    others = [label for label in prediction.probabilities if label != NEUTRAL]
    return max(others, key=prediction.probabilities.__getitem__, default=None)


class WrongEncoder(ValueError):
    """The causes were trained on the vectors of another encoder than the one that is to be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What makes probabilities and decisions of logits; all of it is found on what was held out of training."""

    scale: float = 1.0
    """A probability is sigmoid(scale * logit + shift)."""
    shift: float = 0.0
    latent_scale: float = 1.0
    latent_shift: float = 0.0
    threshold: float = 0.5
    """From this probability on a message is named as a cause."""
    latent_threshold: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.threshold <= 1 and 0 <= self.latent_threshold <= 1):
            raise ValueError(f"thresholds {self.threshold}, {self.latent_threshold}: expected 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class CausesModelConfig:
    """config.json of a causes model: everything its weights need to be used."""

    labels: tuple[str, ...]
    """The emotions it is told, in this order."""
    pointer: CausesConfig
    encoder: str
    """The content hash of the encoder and layout it was trained on: dialog.reading.encoding.encoder_hash."""
    habits: tuple[str, ...] = ("reccon",)
    """The corpora whose annotators it answers like; like the first unless asked otherwise."""
    calibrations: tuple[Calibration, ...] = (Calibration(),)
    """One a habit."""
    exact: float = 0.3
    """How much a span counts for being likely itself, beside its overlap with other likely ones; see best_spans."""

    def __post_init__(self) -> None:
        if len(self.labels) != self.pointer.n_emotions:
            raise ValueError(f"{len(self.labels)} labels, but the pointer is told {self.pointer.n_emotions} emotions")
        if not len(self.habits) == len(self.calibrations) == self.pointer.n_habits:
            raise ValueError(
                f"{len(self.habits)} habits and {len(self.calibrations)} calibrations, but the pointer has "
                f"{self.pointer.n_habits} habits"
            )
        if not 0 <= self.exact <= 1:
            raise ValueError(f"exact {self.exact}: expected 0 to 1")


class KeptTokens(nn.Module):
    """What is kept of token states, in half precision: a live chat stores it, and a log is read with the same."""

    def __init__(self, model: CausePointer) -> None:
        super().__init__()
        self.keep = model.keep_token

    def forward(self, states: Tensor) -> Tensor:
        """Token states (K, D) to (K, d_token)."""
        kept: Tensor = self.keep(states)
        return kept.half()


class Remembered(NamedTuple):
    """What is kept of one utterance, for those after it that it may have caused. Nothing later changes it."""

    own: Tensor  # (2 D,) what the pointers read of it
    emotions: Tensor  # (E,)
    speaker: Tensor  # () its id
    tokens: Tensor  # (K, d_token) as `keep_tokens` keeps them
    text: str


class CausesState(NamedTuple):
    """What is kept of a conversation for the causes of what follows: bounded by the window. A value."""

    read: ReadState
    recent: tuple[Remembered, ...] = ()
    n: int = 0
    """How many utterances there were in all."""


class _Stretch(NamedTuple):
    """Utterances that follow each other, as they come from the encoder and the emotion model."""

    vectors: Tensor
    tokens: Sequence[Tensor]
    predictions: Sequence[Prediction]
    speakers: Tensor
    texts: Sequence[str]


class CauseFinder:
    """Points at the causes of each emotional utterance, backwards only; neutral ones are not asked."""

    def __init__(
        self,
        name: str,
        version: str,
        config: CausesModelConfig,
        model: CausePointer,
        encoder: ConversationEncoder,
        habit: str | None = None,
    ) -> None:
        """`habit` is one of the config's, the first unless given.

        WrongEncoder where the model was trained on other vectors than this encoder's.
        """
        if encoder.version != config.encoder:
            raise WrongEncoder(
                f"{name} was trained on the encoder {config.encoder}, but is to read {encoder.version or 'another'}: "
                f"train it for this one with `rapport train causes/reccon --start FOLDER`, the emotion model's folder"
            )
        self.name = name
        self.version = version
        self.config = config
        self.model = model.eval()
        self.device = device_of(model)
        self.encoder = encoder
        if habit is not None and habit not in config.habits:
            raise ValueError(f"{name} answers like the annotators of {', '.join(config.habits)}, not of {habit}")
        self.habit = config.habits.index(habit) if habit else 0
        self.calibration = config.calibrations[self.habit]
        self.keep_tokens = KeptTokens(model)
        """What the encoder is to keep of tokens, for `find` and `step`."""

    @classmethod
    def load(cls, name: str | Path, encoder: ConversationEncoder, labels: Sequence[str]) -> Self:
        """A shipped model by name, or any folder that holds one, to read what `encoder` reads, on its device.

        `labels` are the emotion model's. ValueError as path_of's; WrongEncoder where one does not fit the other.
        """
        folder = path_of(str(name))
        config = checkpoint.read_config(folder, CausesModelConfig)
        if tuple(labels) != config.labels:
            raise WrongEncoder(f"{name} knows the emotions {', '.join(config.labels)}, not {', '.join(labels)}")
        model = checkpoint.load_weights(CausePointer(config.pointer), folder).to(device_of(encoder.encoder))
        label = str(name) if not Path(name).is_dir() else folder.name
        return cls(label, f"{label}@{checkpoint.content_hash(folder)}", config, model, encoder)

    def with_thresholds(self, threshold: float, latent_threshold: float, *, habit: str | None = None) -> "CauseFinder":
        """The same model with other thresholds, and another corpus's habit if need be, for the same kept tokens."""
        other = CauseFinder(self.name, self.version, self.config, self.model, self.encoder, habit)
        other.calibration = replace(other.calibration, threshold=threshold, latent_threshold=latent_threshold)
        other.keep_tokens = self.keep_tokens
        return other

    def probabilities(self, pairs: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Calibrated probabilities of logits; an impossible pair has 0."""
        c = self.calibration
        return torch.sigmoid(c.scale * pairs + c.shift), torch.sigmoid(c.latent_scale * latent + c.latent_shift)

    @torch.inference_mode()
    def find(
        self,
        conversations: Sequence[Conversation],
        encoded: Sequence[Encoded],
        predictions: Sequence[Sequence[Prediction]],
        speakers: Sequence[Tensor],
        between: Callable[[], None] = lambda: None,
    ) -> list[list[tuple[Cause, ...]]]:
        """The causes of each utterance of each conversation, likeliest first.

        `encoded` with what `keep_tokens` keeps, an emotion an utterance, speaker ids (N,). `between` is called between
        two pieces of the work.
        """
        found: list[list[tuple[Cause, ...]]] = [[] for _ in conversations]
        whole = [
            _Stretch(e.vectors, e.tokens or (), p, s, [u.text for u in c.utterances])
            for c, e, p, s in zip(conversations, encoded, predictions, speakers, strict=True)
        ]
        asked = [i for i, s in enumerate(whole) if any(self._asks(p) for p in s.predictions)]
        for i in set(range(len(whole))) - set(asked):
            found[i] = [()] * len(whole[i].texts)
        short = [i for i in asked if len(whole[i].texts) <= STRETCH]
        for places in bucket([len(whole[i].texts) for i in short], BATCH_UTTERANCES):
            batch = [short[i] for i in places]
            rows, before = [whole[i] for i in batch], [self.start()] * len(batch)
            between()
            causes = self._point(before, rows, self._read(before, rows)[0])
            for i, one in zip(batch, causes, strict=True):
                found[i] = one
        for i in asked:
            if len(whole[i].texts) > STRETCH:
                found[i], _ = self._in_stretches(whole[i], self.start(), between)
        return found

    def find_in_pieces(
        self,
        conversation: Conversation,
        pieces: Iterable[Encoded],
        predictions: Sequence[Prediction],
        speakers: Tensor,
    ) -> list[tuple[Cause, ...]]:
        """What `find` says of one conversation, whose vectors and tokens come a piece after the other."""
        if not any(self._asks(p) for p in predictions):
            return [()] * len(predictions)
        found, state = list[tuple[Cause, ...]](), self.start()
        for e in pieces:
            now = slice(len(found), len(found) + len(e.vectors))
            texts = [u.text for u in conversation.utterances[now]]
            piece = _Stretch(e.vectors, e.tokens or (), predictions[now], speakers[now], texts)
            causes, state = self._in_stretches(piece, state)
            found += causes
        return found

    def start(self) -> CausesState:
        """Before the first utterance."""
        return CausesState(self.model.start_reading(1))

    @torch.inference_mode()
    def steps(
        self,
        states: Sequence[CausesState],
        vectors: Sequence[Tensor],
        tokens: Sequence[Tensor],
        predictions: Sequence[Prediction],
        speakers: Tensor,
        texts: Sequence[str],
    ) -> list[tuple[tuple[Cause, ...], CausesState]]:
        """The causes of one new message in each of several chats, and the chats' states after them; `find` over a
        whole chat says the same.

        A vector (D,) and tokens (K, d_token) a chat from the encoder, speakers (B,) their ids.
        """
        rows = [
            _Stretch(vector[None], [token], [prediction], speaker, [text])
            for vector, token, prediction, speaker, text in zip(
                vectors, tokens, predictions, speakers.split(1), texts, strict=True
            )
        ]
        new, read = self._read(states, rows)
        causes: list[tuple[Cause, ...]] = [()] * len(rows)
        asked = [i for i, p in enumerate(predictions) if self._asks(p)]
        room = [(len(states[i].recent) + 1) * max(1, *_widths(states[i], rows[i])) for i in asked]
        for places in bucket(room, _TOKENS):
            some = [asked[i] for i in places]
            mine = _rows(new, some)
            found = self._point([states[i] for i in some], [rows[i] for i in some], mine)
            for i, (one,) in zip(some, found, strict=True):
                causes[i] = one
        after = map(self._after, states, rows, range(len(rows)), [new] * len(rows), apart(read, len(rows)))
        return list(zip(causes, after, strict=True))

    def _asks(self, prediction: Prediction) -> bool:
        return prediction.emotion != NEUTRAL or prediction.probabilities.get(NEUTRAL, 1.0) < SURELY_NEUTRAL

    def _in_stretches(
        self, whole: _Stretch, state: CausesState, between: Callable[[], None] = lambda: None
    ) -> tuple[list[tuple[Cause, ...]], CausesState]:
        found = list[tuple[Cause, ...]]()
        for first in range(0, len(whole.texts), STRETCH):
            between()
            part = slice(first, first + STRETCH)
            vectors, tokens, predictions, speakers, texts = whole
            stretch = _Stretch(vectors[part], tokens[part], predictions[part], speakers[part], texts[part])
            new, read = self._read([state], [stretch])
            (causes,) = self._point([state], [stretch], new)
            state = self._after(state, stretch, 0, new, read)
            found += causes
        return found, state

    def _read(self, before: Sequence[CausesState], rows: Sequence[_Stretch]) -> tuple[Candidates, ReadState]:
        """The utterances of each stretch as candidates, padded on the right, and the state to go on from, which is
        right where nothing was padded."""
        device = self.device
        vectors, mask = pad_rows([r.vectors for r in rows], device)
        told = [[list(p.probabilities.values()) for p in r.predictions] for r in rows]
        emotions, _ = pad_rows([torch.tensor(one, device=device) for one in told])
        speakers, _ = pad_rows([r.speakers for r in rows], device)
        lengths, _ = pad_rows([torch.tensor([len(t) for t in r.tokens], device=device) for r in rows])
        flat = torch.cat([t for r in rows for t in r.tokens]).to(device).float()
        tokens, token_mask = pad_tokens(flat, lengths)
        read = joined([state.read for state in before])
        return self.model.read(vectors, emotions, speakers, tokens, token_mask, mask, read)

    def _after(self, before: CausesState, row: _Stretch, b: int, new: Candidates, read: ReadState) -> CausesState:
        """The state after a stretch, which is row b of `new`."""
        n, n_kept = len(row.texts), self.config.pointer.window - 1
        fresh = [
            Remembered(
                new.own[b, i].clone(),
                new.emotions[b, i].clone(),
                new.speakers[b, i].clone(),
                row.tokens[i],
                row.texts[i],
            )
            for i in range(max(0, n - n_kept), n)
        ]
        recent = (*before.recent, *fresh)
        return CausesState(read, recent[max(0, len(recent) - n_kept) :], before.n + n)

    def _point(
        self, before: Sequence[CausesState], rows: Sequence[_Stretch], new: Candidates
    ) -> list[list[tuple[Cause, ...]]]:
        """The causes in each stretch, whose utterances `new` are, each after what its state remembers."""
        model, device = self.model, self.device
        everyone = _with_earlier([state.recent for state in before], new)
        n = new.speakers.shape[1]
        known = everyone.speakers.shape[1] - n
        # What is remembered stands next to what is new; before it, where a row remembers less, nobody does.
        padding = [known - len(state.recent) for state in before]
        there = [[j >= padding[b] and j < known + len(r.texts) for j in range(known + n)] for b, r in enumerate(rows)]
        seen = torch.tensor(there, device=device)
        mask = seen[:, known:]
        habits = torch.full((len(rows),), self.habit, device=device)
        q = model.queries(new, habits)
        places = torch.arange(known + n, device=device)
        pairs, latent = model.pairs(q, new.speakers, everyone, places[known:], places, seen, habits)
        p, p_latent = self.probabilities(pairs, latent)
        asks = [[i < len(r.texts) and self._asks(r.predictions[i]) for i in range(n)] for r in rows]
        asked = mask & torch.tensor(asks, device=device)
        chosen = (asked[..., None] & (p >= self.calibration.threshold)).nonzero()  # (P, 3) row, target, candidate
        texts = [
            [""] * gap + [r.text for r in state.recent] + list(row.texts)
            for gap, state, row in zip(padding, before, rows, strict=True)
        ]
        spans = self._spans(q, new, everyone, chosen, texts)
        causes: list[list[list[Cause]]] = [[[] for _ in r.texts] for r in rows]
        values = p[tuple(chosen.T)].tolist()
        for (b, t, j), value, span in zip(chosen.tolist(), values, spans, strict=True):
            words = None if span is None else texts[b][j][span[0] : span[1]]
            first, end = span or (None, None)
            place = before[b].n - known + j
            felt = feeling(rows[b].predictions[t])
            cause = Cause(utterance=place, start=first, end=end, span=words, probability=value, emotion=felt)
            causes[b][t].append(cause)
        for b, t in (asked & (p_latent >= self.calibration.latent_threshold)).nonzero().tolist():
            likely, felt = p_latent[b, t].item(), feeling(rows[b].predictions[t])
            nowhere = Cause(utterance=None, start=None, end=None, span=None, probability=likely, emotion=felt)
            causes[b][t].append(nowhere)
        return [[tuple(sorted(c, key=lambda cause: -cause.probability)) for c in row] for row in causes]

    def _spans(
        self, q: Tensor, targets: Candidates, candidates: Candidates, chosen: Tensor, texts: Sequence[Sequence[str]]
    ) -> list[tuple[int, int] | None]:
        """(start, end) code points of the span in each chosen pair (row, target, candidate); None where no token is."""
        lengths = candidates.token_mask.sum(2)
        worded = [i for i, (b, _, j) in enumerate(chosen.tolist()) if lengths[b, j]]
        found: list[tuple[int, int] | None] = [None] * len(chosen)
        pointed = list(dict.fromkeys(texts[b][j] for b, _, j in chosen[worded].tolist()))
        places = dict(zip(pointed, self.encoder.offsets(pointed), strict=True))
        for begin in range(0, len(worded), _PAIRS):
            these = worded[begin : begin + _PAIRS]
            spans = best_spans(self.model.spans(q, targets, candidates, chosen[these]), self.config.exact)
            for i, (row, _, place), (first, last) in zip(these, chosen[these].tolist(), spans.tolist(), strict=True):
                stand = places[texts[row][place]]
                found[i] = (stand[first][0], stand[min(last, len(stand) - 1)][1]) if first < len(stand) else None
        return found


def _rows(of: Candidates, some: Sequence[int]) -> Candidates:
    """Some of the rows, their tokens as wide as the longest of them needs."""
    rows = Candidates(*(leaf[list(some)] for leaf in of))
    width = max(1, int(rows.token_mask.sum(2).max()))
    return rows._replace(tokens=rows.tokens[:, :, :width], token_mask=rows.token_mask[:, :, :width])


def _widths(state: CausesState, row: _Stretch) -> Iterator[int]:
    yield from (len(r.tokens) for r in state.recent)
    yield from map(len, row.tokens)


def _with_earlier(recent: Sequence[Sequence[Remembered]], new: Candidates) -> Candidates:
    """What each row remembers, padded on the left, and after it the new ones."""
    known = max(map(len, recent))
    if not known:
        return new
    n_rows, device = len(recent), new.own.device
    own, emotions = (leaf.new_zeros(n_rows, known, leaf.shape[2]) for leaf in (new.own, new.emotions))
    speakers = new.speakers.new_zeros(n_rows, known)
    lengths = torch.zeros(n_rows, known, dtype=torch.long, device=device)
    for b, row in enumerate(recent):
        if row:
            there = slice(known - len(row), known)
            own[b, there] = torch.stack([r.own for r in row])
            emotions[b, there] = torch.stack([r.emotions for r in row])
            speakers[b, there] = torch.stack([r.speaker for r in row])
            lengths[b, there] = torch.tensor([len(r.tokens) for r in row], device=device)
    flat = torch.cat([r.tokens for row in recent for r in row]).to(device).float()
    tokens, mask = pad_tokens(flat, lengths)
    return join(Candidates(own, emotions, speakers, tokens, mask), new)
