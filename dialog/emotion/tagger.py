"""Emotions of conversations: load a model by name, label logs as a whole, or follow a chat message by message."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from dialog.conversation import Cause, Caveat, Conversation, Prediction
from dialog.emotion.causes import CauseFinder, CausesState, WrongEncoder
from dialog.emotion.config import EmotionModelConfig
from dialog.emotion.live import LiveState, reach_of, restored
from dialog.emotion.port import Mode
from dialog.emotion.verdicts import Besides, Verdicts
from dialog.language import FOREIGN
from dialog.reading.batching import bucket, pad_rows
from dialog.reading.encoding import PIECE, ConversationEncoder, encoder_hash
from dialog.reading.shelf import Shelf
from models import checkpoint
from models.catalogue import CAUSES, EMOTION, UnknownModel, path_of
from models.device import Where, choose_device, device_of
from models.emotionic.model import EmotionIC
from models.encoders.text import TextEncoder
from models.mixers.base import apart, joined

BATCH_UTTERANCES = 2048
"""Utterances of the context model in one batch, padding included."""


class EmotionTagger:
    """Labels conversations with one emotion an utterance, and the calibrated probability of each."""

    def __init__(
        self,
        name: str,
        version: str,
        config: EmotionModelConfig,
        encoder: TextEncoder | ConversationEncoder,
        context: EmotionIC,
        causes: CauseFinder | None = None,
    ) -> None:
        self.name = name
        self.version = version if causes is None else f"{version}+{causes.version}"
        self.causes = causes
        self.version_alone = version
        """Without the causes model's."""
        self._bare: EmotionTagger | None = None
        self.config = config
        self.labels = config.labels
        if isinstance(encoder, TextEncoder):
            encoder = ConversationEncoder(encoder.eval(), config.layout)
        self.encoder = encoder
        self.context = context.eval()
        self._tempered = {
            "offline": _tempered(context, config.temperature),
            "live": _tempered(context, config.live_temperature),
        }
        self.device = device_of(context)
        """Where the model runs; what comes in and goes out is on the CPU."""
        self._verdicts = Verdicts(name, config, self.device)

    @classmethod
    def load(cls, name: str | Path = EMOTION, *, causes: bool | str | Path | None = None, device: Where = None) -> Self:
        """A shipped model by name, or any folder that holds one.

        `causes` names the model that says what caused each emotion; True is the shipped one, False none, and None the
        shipped one where it was trained on this model's encoder. `device` is `cpu`, `cuda` or `cuda:N`; without it the
        model runs on a card where there is one. Raises ValueError that says which names there are, or
        which file is missing, and WrongEncoder where the causes named do not fit.
        """
        folder = path_of(str(name))
        config, tensors = checkpoint.read(folder, EmotionModelConfig)
        where = choose_device(device)
        network = TextEncoder.load(config.encoder, device=where)
        deltas = checkpoint.part(tensors, "encoder.")
        try:
            network.add_deltas(deltas)
        except ValueError as error:
            raise checkpoint.CheckpointError(f"{folder}: {error}") from error
        hashed = encoder_hash(config.encoder, config.layout, deltas)
        encoder = ConversationEncoder(network.eval(), config.layout, version=hashed)
        context = checkpoint.fill(EmotionIC(config.context), tensors, folder, prefix="context.").to(where)
        label = str(name) if not Path(name).is_dir() else folder.name
        finder = _finder(causes, encoder, config.labels)
        return cls(label, f"{label}@{checkpoint.content_hash(folder)}", config, encoder, context, finder)

    def using(self, config: EmotionModelConfig) -> "EmotionTagger":
        """The same model with other temperatures or another decoding, without causes; the encoder and its cache are
        shared."""
        return EmotionTagger(self.name, self.version_alone, config, self.encoder, self.context)

    def without_causes(self) -> "EmotionTagger":
        """The same model that names no causes; the encoder and its cache are shared."""
        if self.causes is None:
            return self
        if self._bare is None:
            self._bare = self.using(self.config)
        return self._bare

    @torch.inference_mode()
    def tag(
        self,
        conversations: Sequence[Conversation],
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
    ) -> list[Conversation]:
        """The conversations with a prediction on every utterance, in the same order.

        `offline` reads each as a whole; `live` labels each utterance from what came before it, exactly as `step` does.
        `progress` is told how many utterances were encoded, batch by batch, and of none while causes are looked for.
        """
        if mode not in ("offline", "live"):
            raise ValueError(f"mode {mode!r}: expected 'offline' or 'live'")
        long = [len(c.utterances) > PIECE for c in conversations]
        others = [c for c, alone in zip(conversations, long, strict=True) if not alone]
        tagged = iter(self._tag_together(others, mode, progress))
        return [
            self._tag_in_pieces(c, mode, progress) if alone else next(tagged)
            for c, alone in zip(conversations, long, strict=True)
        ]

    @torch.inference_mode()
    def tag_long(
        self,
        conversation: Conversation,
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
        keep: Path | None = None,
    ) -> Conversation:
        """What `tag` says of one conversation, with work that can be watched and gone on with.

        `progress` is told how many utterances' worth is done; what was read is kept in the file `keep`, and found
        there by a second call.
        """
        readings, read = 2 if self.causes else 1, 0

        def told(more: int) -> None:
            nonlocal read
            read += more
            if progress is not None:
                progress(read // readings)

        if keep is None:
            return self._tag_in_pieces(conversation, mode, told, again=told)
        with Shelf(keep, f"{self.version} {mode}") as shelf:
            return self._tag_in_pieces(conversation, mode, told, again=told, shelf=shelf)

    @property
    def reach(self) -> int:
        """How many messages' rows a stored chat goes on from at most."""
        return max(reach_of(self.start()), self._remembered)

    def start(self) -> LiveState:
        """A chat before its first message."""
        causes = self.causes.start() if self.causes else None
        model = self._tempered["live"].initial_state(1)
        return LiveState((), model, version=self.version, causes=causes, alone=self.config.layout.alone)

    def restore(self, head: bytes, rows: Sequence[tuple[bytes, str]]) -> LiveState:
        """The state whose `head` and `rows` those are, of this tagger: the rows of the last `reach` messages, or of all
        there were, oldest first, each with its message's text. ValueError for anything else, or another version's."""
        return restored(self.start(), head, rows[max(0, len(rows) - self.reach) :], self._tokens_of, self._remembered)

    def step(self, state: LiveState, speaker: str, text: str) -> tuple[Prediction, LiveState]:
        """The prediction for one new message, and the state after it. What it costs does not depend on the chat's
        length. Equal to `tag(mode="live")` over the whole chat."""
        return self.steps([state], [(speaker, text)])[0]

    @torch.inference_mode()
    def steps(
        self, states: Sequence[LiveState], messages: Sequence[tuple[str, str]]
    ) -> list[tuple[Prediction, LiveState]]:
        """`step` for several chats at once, (speaker, text) a chat: read together, then each after what came before it.

        The states may be those of one chat, gone on with in several ways.
        """
        if not messages:
            return []
        speakers, texts = zip(*messages, strict=True)
        new = self.encoder.packer.tokenize(speakers, texts)
        windows = [self.encoder.window([*state.recent, one]) for state, one in zip(states, new, strict=True)]
        vectors, tokens = zip(
            *self.encoder.read_last(windows, self.causes.keep_tokens if self.causes else None), strict=True
        )
        x, who = torch.stack(vectors).to(self.device), speaker_ids(speakers).to(self.device)
        p, after = self._tempered["live"].step(x, who, joined([state.model for state in states]))
        values, labels, besides = p.tolist(), self._verdicts.choose(p).tolist(), self._besides(x)
        predictions = list(map(self._verdicts.prediction, values, labels, besides))
        later: list[CausesState | None] = [None] * len(messages)
        if self.causes:
            before = [state.causes or self.causes.start() for state in states]
            by = self.causes.steps(before, vectors, [t for t in tokens if t is not None], predictions, who, texts)
            predictions = [_caused(one, causes) for one, (causes, _) in zip(predictions, by, strict=True)]
            later = [state for _, state in by]
        alone = self.config.layout.alone
        return [
            (
                self._verdicts.with_text(predictions[i], texts[i], foreign=new[i].foreign),
                LiveState(
                    () if alone else tuple(windows[i]),
                    model,
                    states[i].n_messages + 1,
                    self.version,
                    later[i],
                    alone,
                ),
            )
            for i, model in enumerate(apart(after, len(messages)))
        ]

    @property
    def _remembered(self) -> int:
        """Messages that causes remember."""
        return self.causes.config.pointer.window - 1 if self.causes else 0

    def _tokens_of(self, text: str) -> Tensor:
        """What causes keep of the tokens of a message that is read alone."""
        assert self.causes is not None
        ((_, tokens),) = self.encoder.read_last([self.encoder.packer.tokenize([""], [text])], self.causes.keep_tokens)
        assert tokens is not None
        return tokens

    def _tag_together(
        self, conversations: Sequence[Conversation], mode: Mode, progress: Callable[[int], None] | None
    ) -> list[Conversation]:
        keep_tokens = self.causes.keep_tokens if self.causes else None
        encoded = self.encoder.encode(conversations, live=mode == "live", progress=progress, keep_tokens=keep_tokens)
        predicted: list[list[Prediction]] = [[] for _ in conversations]
        for batch in bucket([len(c.utterances) for c in conversations], BATCH_UTTERANCES):
            batch = [i for i in batch if conversations[i].utterances]
            if batch:
                rows = [(encoded[i].vectors, conversations[i]) for i in batch]
                for i, predictions in zip(batch, self._predict(rows, mode), strict=True):
                    predicted[i] = predictions
        if self.causes:
            speakers = [speaker_ids([u.speaker for u in c.utterances]) for c in conversations]
            between = (lambda: progress(0)) if progress else (lambda: None)
            causes = self.causes.find(conversations, encoded, predicted, speakers, between)
            predicted = [list(map(_caused, row, by)) for row, by in zip(predicted, causes, strict=True)]
        return [
            self._finish(c, e.truncated, e.foreign, p)
            for c, e, p in zip(conversations, encoded, predicted, strict=True)
        ]

    def _tag_in_pieces(
        self,
        conversation: Conversation,
        mode: Mode,
        progress: Callable[[int], None] | None,
        *,
        again: Callable[[int], None] | None = None,
        shelf: Shelf | None = None,
    ) -> Conversation:
        """One conversation of any length, the same answer: of its vectors a piece at a time stands in memory.

        Its causes are found in a second reading, of which `again` is told, for an emotion may depend on the last
        message.
        """
        live = mode == "live"
        speakers = speaker_ids([u.speaker for u in conversation.utterances])[None].to(self.device)
        truncated: list[int] = []
        foreign: list[int] = []

        def vectors() -> Iterator[Tensor]:
            for piece in self.encoder.pieces(conversation, live=live, progress=progress, shelf=shelf):
                truncated.extend(piece.truncated)
                foreign.extend(piece.foreign)
                yield piece.vectors.to(self.device)

        besides = list[Besides]()

        def described() -> Iterator[Tensor]:
            for piece in vectors():
                besides.extend(self._besides(piece))
                yield piece

        emissions = self._tempered[mode].in_pieces(described(), speakers, live=live)
        whole = torch.ones_like(speakers, dtype=torch.bool)
        (predictions,) = self._read_off(emissions, speakers, whole, mode, [besides])
        if self.causes:
            pieces = self.encoder.pieces(
                conversation, live=live, progress=again, keep_tokens=self.causes.keep_tokens, shelf=shelf
            )
            causes = self.causes.find_in_pieces(conversation, pieces, predictions, speakers[0])
            predictions = list(map(_caused, predictions, causes))
        return self._finish(conversation, truncated, foreign, predictions)

    def _predict(self, rows: Sequence[tuple[Tensor, Conversation]], mode: Mode) -> list[list[Prediction]]:
        x, mask = pad_rows([vectors for vectors, _ in rows], self.device)
        speakers, _ = pad_rows([speaker_ids([u.speaker for u in c.utterances]) for _, c in rows], self.device)
        emissions = self._tempered[mode](x, speakers, mask, live=mode == "live")
        flat = iter(self._besides(torch.cat([vectors for vectors, _ in rows]).to(self.device)))
        besides = [[next(flat) for _ in range(len(vectors))] for vectors, _ in rows]
        return self._read_off(emissions, speakers, mask, mode, besides)

    def _read_off(
        self,
        emissions: Tensor,
        speakers: Tensor,
        mask: Tensor,
        mode: Mode,
        besides: Sequence[Sequence[Besides]],
    ) -> list[list[Prediction]]:
        """The predictions of each row's utterances, from emissions (B, N, L), speakers (B, N) and mask (B, N)."""
        model, live = self._tempered[mode], mode == "live"
        p = model.marginals(emissions, speakers, mask, live=live)
        best = self._verdicts.choose(p)
        if not live and self.config.decoding == "viterbi":
            best = model.viterbi(emissions, speakers, mask)
        # One call for the whole batch: a call for every number costs more than finding the numbers.
        values, labels = p.tolist(), best.tolist()
        return [
            [self._verdicts.prediction(*one) for one in zip(values[b][:n], labels[b], besides[b], strict=False)]
            for b, n in enumerate(mask.sum(1).tolist())
        ]

    def _besides(self, vectors: Tensor) -> list[Besides]:
        """What is said beside the label of each of the utterances with vectors (N, D)."""
        return self._verdicts.besides(*self.context.describe(vectors))

    def _finish(
        self, c: Conversation, truncated: Sequence[int], foreign: Sequence[int], predictions: list[Prediction]
    ) -> Conversation:
        unread = set(foreign)
        predictions = [
            self._verdicts.with_text(p, u.text, foreign=i in unread)
            for i, (p, u) in enumerate(zip(predictions, c.utterances, strict=True))
        ]
        warnings = []
        if truncated:
            read = f"only the first {self.config.layout.utterance_tokens} tokens were read"
            warnings.append(Caveat("truncated", read, truncated))
        if foreign:
            warnings.append(Caveat("foreign", FOREIGN, foreign))
        return c.with_predictions(predictions).with_warnings(warnings)


def speaker_ids(names: Sequence[str]) -> Tensor:
    """Integer ids (N,) of speakers by name, on the CPU: the same name always has the same one, no table needed."""
    known: Mapping[str, int] = {
        name: int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        >> 2
        for name in set(names)
    }
    return torch.tensor([known[name] for name in names], dtype=torch.long, device="cpu")


def _finder(
    causes: bool | str | Path | None, encoder: ConversationEncoder, labels: Sequence[str]
) -> CauseFinder | None:
    """What `EmotionTagger.load` is to name causes with."""
    if causes is False:
        return None
    try:
        return CauseFinder.load(CAUSES if causes in (None, True) else str(causes), encoder, labels)
    except (WrongEncoder, UnknownModel):
        if causes is None:
            return None
        raise


def _caused(prediction: Prediction, by: tuple[Cause, ...]) -> Prediction:
    return replace(prediction, causes=by)


def _tempered(context: EmotionIC, temperature: float) -> EmotionIC:
    copy = EmotionIC(context.config).to(device_of(context))
    copy.load_state_dict(context.state_dict())
    copy.temper(temperature)
    return copy.eval()
