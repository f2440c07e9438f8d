"""Any causal language model of transformers, by folder or hub name."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from dialog.conversation import Conversation
from dialog.replies.drawing import drawn, would_repeat
from dialog.replies.port import Finish, Piece, ResponderUnavailable
from dialog.replies.prompt import as_messages, as_text
from models.device import Where, choose_device


class LanguageModelResponder:
    """Writes replies token by token. It calls no tools, and looks nothing up.

    Drawn by a seed that counts the replies that would not do: the same question is answered the same, and asked for
    another answer it gives another.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, *, device: Where = None) -> None:
        """`model` and `tokenizer` as transformers' Auto classes give them."""
        self.name = name
        self.version = name
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.window = int(getattr(model.config, "max_position_embeddings", None) or 4096)

    @classmethod
    def load(cls, name: str | Path, *, network: bool = False, device: Where = None) -> Self:
        """From a folder, or by hub name from what is on this machine; `network` lets transformers fetch it. No code of
        the model's own is run, and weights are read from safetensors alone. A folder that `rapport linearise` made will
        do too. ResponderUnavailable says what failed."""
        from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

        from dialog.replies.decoders import RecurrentModel, is_decoder
        from models.decoder.model import Decoder

        if is_decoder(name):
            decoder = RecurrentModel(Decoder.load(name, device=device))
            return cls(str(name), decoder, PreTrainedTokenizerFast.from_pretrained(str(name)), device=device)
        options: dict[str, Any] = {"local_files_only": not network, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(name), **options)
            model = AutoModelForCausalLM.from_pretrained(str(name), use_safetensors=True, **options)
        except (OSError, ValueError, KeyError) as error:
            raise ResponderUnavailable(
                f"no language model {str(name)!r}: expected a folder with config.json, model.safetensors and a "
                f"tokenizer, or a hub name that is on this machine ({' '.join(str(error).split())[:300]})"
            ) from error
        return cls(str(name), model, tokenizer, device=device)

    def reply(
        self,
        conversation: Conversation,
        *,
        speaker: str = "assistant",
        to_feel: str | None = None,
        instead_of: Collection[str] = (),
        most: int = 256,
    ) -> Iterator[Piece]:
        """As `Responder.reply` says. What does not fit the model's window is cut from the front."""
        ids, has_template = self._prompt(as_messages(conversation, speaker, to_feel))
        ids = ids[:, -max(1, self.window - most) :]
        generator = torch.Generator(device="cpu").manual_seed(len(instead_of))
        made: list[int] = []
        shown, finish = "", "length"
        for token in self._tokens(ids, generator, made, most):
            made.append(token)
            text = self.tokenizer.decode(made, skip_special_tokens=True).lstrip()
            if not has_template and "\n" in text:
                made, finish = [], "stop"
                yield from _rest(text.partition("\n")[0], shown)
                break
            if not text.endswith("\ufffd"):  # half of a character: the next token has the rest
                yield from _rest(text, shown)
                shown = text
        else:
            finish = "stop" if len(made) < most else "length"
        yield Piece("", _finish(finish))

    def _prompt(self, messages: list[dict[str, str]]) -> tuple[Tensor, bool]:
        """Token ids (1, T), and whether they are in the model's own form."""
        if getattr(self.tokenizer, "chat_template", None):
            text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
            return ids.to(self.device), True
        return self.tokenizer(as_text(messages), return_tensors="pt").input_ids.to(self.device), False

    @torch.inference_mode()
    def _next(self, ids: Tensor, past: Any) -> tuple[Tensor, Any]:
        """Logits (V,) of what comes after ids (1, T), on the CPU, and the model's memory."""
        out = self.model(input_ids=ids, past_key_values=past, use_cache=True)
        return out.logits[0, -1].float().cpu(), out.past_key_values

    def _tokens(self, ids: Tensor, generator: torch.Generator, made: list[int], most: int) -> Iterator[int]:
        """Tokens until the model ends or there are enough; `made` is what came so far, as the caller keeps it."""
        ends, past = self._ends(), None
        for _ in range(min(most, self.window - ids.shape[1])):
            logits, past = self._next(ids, past)
            token = drawn(logits, would_repeat(made), generator)
            if token in ends:
                return
            yield token
            ids = torch.tensor([[token]], device=self.device)

    def _ends(self) -> set[int]:
        named = getattr(self.model.generation_config, "eos_token_id", None)
        several = named if isinstance(named, list) else [named, self.tokenizer.eos_token_id]
        return {int(one) for one in several if one is not None}


def _rest(text: str, shown: str) -> Iterator[Piece]:
    if len(text) > len(shown):
        yield Piece(text[len(shown) :])


def _finish(name: str) -> Finish:
    return "stop" if name == "stop" else "length"
