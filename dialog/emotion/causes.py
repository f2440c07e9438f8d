"""Causes of emotions: which earlier messages made a message feel as it does, and by which words."""

from collections.abc import Iterable, Sequence
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
from models.mixers.base import leaves, rebuilt
from models.pointer.causes import Candidates, CausePointer, CausesConfig, ReadState, join, pad_tokens
from models.pointer.spans import best_spans
from models.tensors import pack, unpack

STRETCH = 64
"""Utterances that are asked for their causes at once; a longer conversation is read in such stretches."""
BATCH_UTTERANCES = 1024
"""Utterances of short conversations in one batch, padding included."""
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


class CausesState(NamedTuple):
    """What is kept of a conversation for the causes of what follows: bounded by the window. A value."""

    read: ReadState
    recent: Candidates | None
    texts: tuple[str, ...] = ()
    """Of the recent utterances, one a candidate."""
    n: int = 0
    """How many utterances there were in all."""

    def to_bytes(self) -> bytes:
        """For a database; `CauseFinder.restore` reads it."""
        tensors = {f"read.{i:03d}": leaf for i, leaf in enumerate(leaves(self.read))}
        if self.recent is not None:
            kept = self.recent._asdict()
            mask, tokens = kept.pop("token_mask"), kept.pop("tokens")
            tensors |= kept
            # Without the padding, and in the half precision they came in.
            tensors |= {"lengths": mask.sum(2), "tokens": tokens[mask].half()}
        return pack(tensors, {"texts": self.texts, "n": self.n})


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
    ) -> list[list[tuple[Cause, ...]]]:
        """The causes of each utterance of each conversation, likeliest first.

        `encoded` with what `keep_tokens` keeps, an emotion an utterance, speaker ids (N,).
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
            causes, _ = self._point(None, [whole[i] for i in batch])
            for i, one in zip(batch, causes, strict=True):
                found[i] = one
        for i in asked:
            if len(whole[i].texts) > STRETCH:
                found[i], _ = self._in_stretches(whole[i], self.start())
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
        return CausesState(self.model.start_reading(1), None)

    def restore(self, data: bytes) -> CausesState:
        """The state that `to_bytes` wrote. ValueError for anything else."""
        fresh = self.start()
        try:
            tensors, told = unpack(data)
            stored = [tensors[f"read.{i:03d}"] for i in range(len(leaves(fresh.read)))]
            texts, n = tuple(map(str, told["texts"])), int(told["n"])
            recent = None
            if "own" in tensors:
                tokens, mask = pad_tokens(tensors["tokens"].float(), tensors["lengths"])
                kept = (tensors["own"], tensors["emotions"], tensors["speakers"], tokens, mask)
                recent = Candidates(*(leaf.to(self.device) for leaf in kept))
        except Exception as error:
            raise ValueError(f"not the state of causes: {error!r}") from error
        if [leaf.shape for leaf in stored] != [leaf.shape for leaf in leaves(fresh.read)]:
            raise ValueError("the state of another causes model")
        return CausesState(rebuilt(fresh.read, (leaf.to(self.device) for leaf in stored)), recent, texts, n)

    @torch.inference_mode()
    def step(
        self, state: CausesState, vector: Tensor, tokens: Tensor, prediction: Prediction, speaker: Tensor, text: str
    ) -> tuple[tuple[Cause, ...], CausesState]:
        """The causes of one new message, and the state after it; `find` over the whole chat says the same.

        vector (D,) and tokens (K, d_token) from the encoder, speaker (1,) its id.
        """
        ((causes,),), after = self._point(state, [_Stretch(vector[None], [tokens], [prediction], speaker, [text])])
        return causes, after

    def _asks(self, prediction: Prediction) -> bool:
        return prediction.emotion != NEUTRAL or prediction.probabilities.get(NEUTRAL, 1.0) < SURELY_NEUTRAL

    def _in_stretches(self, whole: _Stretch, state: CausesState) -> tuple[list[tuple[Cause, ...]], CausesState]:
        found = list[tuple[Cause, ...]]()
        for first in range(0, len(whole.texts), STRETCH):
            part = slice(first, first + STRETCH)
            vectors, tokens, predictions, speakers, texts = whole
            stretch = _Stretch(vectors[part], tokens[part], predictions[part], speakers[part], texts[part])
            (causes,), state = self._point(state, [stretch])
            found += causes
        return found, state

    def _point(
        self, before: CausesState | None, rows: Sequence[_Stretch]
    ) -> tuple[list[list[tuple[Cause, ...]]], CausesState]:
        """The causes in each stretch, and the state after the first of them. Several all begin a conversation."""
        before = before or self.start()
        model, window, device = self.model, self.config.pointer.window, self.device
        vectors, mask = pad_rows([r.vectors for r in rows], device)
        told = [[list(p.probabilities.values()) for p in r.predictions] for r in rows]
        emotions, _ = pad_rows([torch.tensor(one, device=device) for one in told])
        speakers, _ = pad_rows([r.speakers for r in rows], device)
        lengths, _ = pad_rows([torch.tensor([len(t) for t in r.tokens], device=device) for r in rows])
        flat = torch.cat([t for r in rows for t in r.tokens]).to(device).float()
        tokens, token_mask = pad_tokens(flat, lengths)
        start = before.read if len(rows) == 1 else model.start_reading(len(rows))
        new, read = model.read(vectors, emotions, speakers, tokens, token_mask, mask, start)
        everyone = new if before.recent is None else join(before.recent, new)
        known = len(before.texts)
        habits = torch.full((len(rows),), self.habit, device=device)
        q, n = model.queries(new, habits), vectors.shape[1]
        seen = torch.cat([mask.new_ones(len(rows), known), mask], 1)
        places = torch.arange(known + n, device=device)
        pairs, latent = model.pairs(q, speakers, everyone, places[known:], places, seen, habits)
        p, p_latent = self.probabilities(pairs, latent)
        asks = [[i < len(r.texts) and self._asks(r.predictions[i]) for i in range(n)] for r in rows]
        asked = mask & torch.tensor(asks, device=device)
        chosen = (asked[..., None] & (p >= self.calibration.threshold)).nonzero()  # (P, 3) row, target, candidate
        texts = [(*before.texts, *r.texts) for r in rows]
        spans = self._spans(q, new, everyone, chosen, texts)
        causes: list[list[list[Cause]]] = [[[] for _ in r.texts] for r in rows]
        values = p[tuple(chosen.T)].tolist()
        for (b, t, j), value, span in zip(chosen.tolist(), values, spans, strict=True):
            words = None if span is None else texts[b][j][span[0] : span[1]]
            first, end = span or (None, None)
            place = before.n - known + j
            felt = feeling(rows[b].predictions[t])
            cause = Cause(utterance=place, start=first, end=end, span=words, probability=value, emotion=felt)
            causes[b][t].append(cause)
        for b, t in (asked & (p_latent >= self.calibration.latent_threshold)).nonzero().tolist():
            likely, felt = p_latent[b, t].item(), feeling(rows[b].predictions[t])
            nowhere = Cause(utterance=None, start=None, end=None, span=None, probability=likely, emotion=felt)
            causes[b][t].append(nowhere)
        ordered = [[tuple(sorted(c, key=lambda cause: -cause.probability)) for c in row] for row in causes]
        kept = slice(max(0, everyone.speakers.shape[1] - (window - 1)), None)
        recent = Candidates(*(leaf[:1, kept] for leaf in everyone))
        return ordered, CausesState(read, recent, texts[0][kept], before.n + n)

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
