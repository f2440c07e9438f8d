"""Byte-pair pieces of conversations: a message is the mark of what it feels, its pieces, and an end."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.aside import write_aside
from models.checkpoint import CheckpointError

TOKENIZER_FILE = "tokenizer.json"
DIALOGUE, END, UNKNOWN = "<|dialogue|>", "<|end|>", "<|unknown|>"
"""The marks that begin a conversation, end a message, and stand for an emotion that is not known."""


class Pieces:
    """Texts to token ids and back. Any text has an encoding, since every byte is a piece; none of it becomes a mark."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # a mark that somebody typed is read as its characters
        self.tokenizer = tokenizer
        marks = {str(token.content): i for i, token in tokenizer.get_added_tokens_decoder().items()}
        self.dialogue, self.end, self.unknown = (marks[name] for name in (DIALOGUE, END, UNKNOWN))
        self.emotions = {name[2:-2]: i for name, i in marks.items() if name not in (DIALOGUE, END, UNKNOWN)}
        self.n_marks = len(marks)
        """The ids below it are marks, the rest pieces."""

    @classmethod
    def learn(cls, texts: Iterable[str], n_tokens: int, emotions: Sequence[str]) -> Self:
        """Byte-pair encoding (Sennrich et al. 2016) over bytes, of n_tokens in all with the marks."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        marks = [DIALOGUE, END, UNKNOWN, *(f"<|{name}|>" for name in emotions)]
        trainer = trainers.BpeTrainer(
            vocab_size=n_tokens,
            special_tokens=[AddedToken(mark, special=True, normalized=False) for mark in marks],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Those of a model's folder. CheckpointError where the file is missing or is no tokenizer of ours."""
        path = Path(folder) / TOKENIZER_FILE
        try:
            return cls(Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
        except KeyError as error:
            raise CheckpointError(f"{path} has no mark {error}; it belongs to another model") from error
        except Exception as error:  # the library raises the bare class for whatever is wrong with its file
            raise CheckpointError(f"{path} is no tokenizer: {error}") from error

    def save(self, folder: Path | str) -> None:
        """Writes tokenizer.json, in the library's own form, without its blanks."""
        text = json.dumps(json.loads(self.tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        write_aside(Path(folder) / TOKENIZER_FILE, lambda path: Path(path).write_text(text + "\n", encoding="utf-8"))

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def mark(self, emotion: str | None) -> int:
        """The mark of an emotion; of one that the model was not taught, that of the unknown."""
        return self.emotions.get(emotion or "", self.unknown)

    def message(self, text: str, emotion: str | None = None) -> list[int]:
        """A whole message."""
        return [self.mark(emotion), *self.ids([text])[0], self.end]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The pieces of each text, without marks."""
        return [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def text(self, ids: Sequence[int]) -> str:
        """What pieces say, marks left out."""
        said: str = self.tokenizer.decode([i for i in ids if i >= self.n_marks], skip_special_tokens=False)
        return said.removeprefix(" ")
