"""A decoder of ours where a language model of transformers is expected: the same call, with a state for a memory."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from tokenizers import Tokenizer
from torch import Tensor

from dialog.conversation import Conversation
from dialog.replies.turns import as_tokens, turns_of
from dialog.replies.writer import WritingResponder
from models.catalogue import CONFIG_FILE
from models.checkpoint import CheckpointError, read_json
from models.config import KEY
from models.decoder.config import DecoderConfig
from models.decoder.linearise import from_token_model
from models.decoder.model import Decoder
from models.decoder.pretrained import read_pretrained
from models.device import Where, choose_device
from models.responder.pieces import DIALOGUE, END, TOKENIZER_FILE, UNKNOWN, Pieces
from models.responder.writer import WriterConfig

_TOLD = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "tokenizer.model")
_TEMPLATE = (
    f"{DIALOGUE}{{% for m in messages %}}{UNKNOWN}{{{{ m.content }}}}{END}{{% endfor %}}"
    f"{{% if add_generation_prompt %}}{UNKNOWN}{{% endif %}}"
)


def is_decoder(folder: Path | str) -> bool:
    """Whether a folder holds a decoder that `Decoder.save` wrote."""
    path = Path(folder) / CONFIG_FILE
    told = read_json(path) if path.is_file() else None
    return isinstance(told, dict) and told.get(KEY) == DecoderConfig.__name__


def open_decoder(folder: Path | str, *, device: Where = None) -> Decoder:
    """The decoder of a folder: ours, a writer of softmax attention, or one of transformers' of the Llama or Gemma kind.

    CheckpointError, or ValueError for a writer of other mixers, says what it is instead.
    """
    folder = Path(folder)
    told = read_json(folder / CONFIG_FILE)
    if is_decoder(folder):
        return Decoder.load(folder, device=device)
    if isinstance(told, dict) and "model_type" in told:
        return read_pretrained(folder).to(choose_device(device))
    if not isinstance(told, dict) or told.get(KEY) != WriterConfig.__name__:
        raise CheckpointError(f"{folder} holds no decoder: expected one of transformers, a writer, or a converted one")
    writer = WritingResponder.load(folder, device=device)
    return from_token_model(
        writer.model, context=writer.config.context, ends=(writer.pieces.end,), origin=f"writer {folder.name}"
    )


class Texts:
    """Conversations as the tokens that a decoder's own tokenizer makes of them."""

    def __init__(self, folder: Path | str) -> None:
        """CheckpointError where the folder has no tokenizer.json."""
        self.folder = Path(folder)
        path = self.folder / TOKENIZER_FILE
        try:
            self.tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
        except Exception as error:  # the library raises the bare class for whatever is wrong with its file
            raise CheckpointError(f"{path} is no tokenizer: {error}") from error
        self.pieces = Pieces(self.tokenizer) if self.tokenizer.token_to_id(DIALOGUE) is not None else None

    def of(self, conversations: Iterable[Conversation]) -> list[int]:
        """All of them in a row: with a writer's marks, or a line a message after its speaker's name."""
        ids: list[int] = []
        for c in conversations:
            if self.pieces is not None:
                ids += as_tokens([t._replace(emotion=None) for t in turns_of(c.utterances)], self.pieces)
            else:
                lines = (f"{u.speaker}: {' '.join(u.text.split())}" for u in c.utterances)
                ids += self.tokenizer.encode("\n".join(lines) + "\n").ids
        return ids

    def copy_to(self, folder: Path) -> None:
        """Puts the tokenizer beside a decoder, with how a conversation is written for it."""
        shutil.copyfile(self.folder / TOKENIZER_FILE, folder / TOKENIZER_FILE)
        for name in _TOLD:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        if self.pieces is not None and not (folder / "tokenizer_config.json").is_file():
            told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": _TEMPLATE}
            (folder / "tokenizer_config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


class RecurrentModel:
    """A decoder behind the call that `LanguageModelResponder` makes; its past is a state."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.config = SimpleNamespace(max_position_embeddings=decoder.config.context)
        self.generation_config = SimpleNamespace(eos_token_id=list(decoder.config.ends) or None)

    def to(self, device: Any) -> Self:
        self.decoder.to(device)
        return self

    def eval(self) -> Self:
        self.decoder.eval()
        return self

    def __call__(self, *, input_ids: Tensor, past_key_values: Any, use_cache: bool) -> SimpleNamespace:
        """Logits (B, 1, V) of what follows the last token, and the state after it."""
        del use_cache  # there is no way without
        if past_key_values is not None and input_ids.shape[1] == 1:
            logits, state = self.decoder.step(input_ids[:, 0], past_key_values)
        else:
            y, state = self.decoder.hidden(input_ids, state=past_key_values)
            logits = self.decoder.head(y[:, -1])
        return SimpleNamespace(logits=logits[:, None], past_key_values=state)
