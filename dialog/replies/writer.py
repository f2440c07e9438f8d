"""The responder that writes: a small language model of our own mixers. The house's research model, and it sounds so."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

import torch

from dialog.conversation import Conversation
from dialog.replies.drawing import drawn, would_repeat
from dialog.replies.port import Piece
from dialog.replies.turns import as_tokens, turns_of
from models import checkpoint
from models.catalogue import path_of
from models.device import Where, choose_device
from models.responder.pieces import Pieces
from models.responder.writer import WriterConfig
from models.token_model import TokenModel


class WritingResponder:
    """Writes a reply piece by piece, conditioned on the emotion it should answer with.

    Drawn by a seed that counts the replies that would not do, as `LanguageModelResponder` does.

    responder = WritingResponder.load("writer")
    whole(responder.reply(conversation))
    """

    def __init__(self, name: str, version: str, config: WriterConfig, model: TokenModel, pieces: Pieces) -> None:
        self.name = name
        self.version = version
        self.config = config
        self.model = model.eval()
        self.pieces = pieces
        self.device = model.embedding.weight.device

    @classmethod
    def load(cls, name: str | Path, *, device: Where = None) -> Self:
        """A shipped model by name, or a folder that holds one; ValueError says what is missing."""
        folder = path_of(str(name))
        config, tensors = checkpoint.read(folder, WriterConfig)
        pieces = Pieces.load(folder)
        if len(pieces) != config.network.n_tokens:
            raise checkpoint.CheckpointError(
                f"{folder}: tokenizer.json has {len(pieces)} tokens, the model {config.network.n_tokens}"
            )
        model = checkpoint.fill(TokenModel(config.network), tensors, folder).to(choose_device(device))
        label = str(name) if not Path(name).is_dir() else folder.name
        return cls(label, f"{label}@{checkpoint.content_hash(folder)}", config, model, pieces)

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        """As `Responder.reply` says. Half of what the model was taught to look at is for the conversation, the other
        half for the reply; the first messages are left out where they do not fit."""
        del speaker  # whoever did not speak last
        if not any(u.text.strip() for u in conversation.utterances):
            raise ValueError("a reply answers a message: the conversation has none")
        room = self.config.context // 2
        prompt = [*self._prompt(conversation, room - 1), self.pieces.mark(to_feel)]
        generator = torch.Generator(device="cpu").manual_seed(len(instead_of))
        made: list[int] = []
        shown, ended = "", False
        for token in self._tokens(prompt, made, generator, min(most, room)):
            if token == self.pieces.end:
                ended = True
                break
            made.append(token)
            text = self.pieces.text(made)
            if len(text) > len(shown) and not text.endswith("\ufffd"):  # half of a character: the next one has the rest
                yield Piece(text[len(shown) :])
                shown = text
        yield Piece("", "stop" if ended else "length")

    def _prompt(self, conversation: Conversation, most: int) -> list[int]:
        """The last messages, as many as fit; of a single one that does not, its end. Read from the last one back, so
        that a long conversation costs no more than what is kept of it."""
        turns, kept = turns_of(conversation.utterances), 0
        while kept < len(turns) and len(as_tokens(turns[-kept - 1 :], self.pieces)) <= most:
            kept += 1
        if kept:
            return as_tokens(turns[-kept:], self.pieces)
        ids = as_tokens(turns[-1:], self.pieces)
        return [self.pieces.dialogue, self.pieces.mark(turns[-1].emotion), *ids[2 - most :]]

    @torch.inference_mode()
    def _next(self, tokens: list[int], state: object | None) -> tuple[torch.Tensor, object]:
        """Logits (V,) on the CPU of what follows, and the state after it; marks are left to us, but for the end."""
        if state is None:
            y, after = self.model.hidden(torch.tensor([tokens], device=self.device))
            logits = self.model.head(y[:, -1])
        else:
            logits, after = self.model.step(torch.tensor(tokens, device=self.device), state)  # type: ignore[arg-type]
        scores = logits[0].float().cpu()
        end = scores[self.pieces.end].clone()
        scores[: self.pieces.n_marks] = -torch.inf
        scores[self.pieces.end] = end
        return scores, after

    def _tokens(self, prompt: list[int], made: list[int], generator: torch.Generator, most: int) -> Iterator[int]:
        """Tokens as they are drawn, at least one before the end; `made` is what came so far, as the caller keeps it."""
        logits, state = self._next(prompt, None)
        for n in range(most):
            never = would_repeat(made) if n else [self.pieces.end]  # a reply says something
            token = drawn(logits, never, generator)
            yield token
            if n + 1 < most:
                logits, state = self._next([token], state)
