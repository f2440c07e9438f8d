"""The engines that can stand behind questions about a picture, by name; and the two that are not ours.

`visual/seqdialn`, or a folder of such a model, is the built-in one. `transformers:<folder or hub name>` is any
image-text-to-text model of transformers. `openai:<model>` is a service that speaks OpenAI's chat completions and takes
pictures; where it is and the key to it are configuration, and no request can name them.
"""

import base64
import io
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from dialog.pictures.answers import NOT_KNOWN, Answer, Candidate, VisualEngine, checked
from models.device import Where, choose_device
from models.tensors import pack, unpack

if TYPE_CHECKING:
    from PIL.Image import Image

TRANSFORMERS, OPENAI = "transformers:", "openai:"
URL, KEY = "RAPPORT_VISUAL_URL", "RAPPORT_VISUAL_KEY"
"""The environment variables that say where the service is."""
LONGEST_REPLY = 2000
"""Characters that are kept of what another engine says."""
NO_WORD = "the model said nothing"
LONGEST_SIDE = 1024
"""Of the picture such an engine is given, in pixels."""
SECONDS = 60.0
"""How long a service may take for an answer."""
ASK_SHORTLY = "Answer the questions about the picture in a few words. Say that you do not know where it does not show."


class EngineUnavailable(ValueError):
    """The engine named cannot be had, or its service did not answer."""


def open_engine(name: str, *, url: str | None = None, key: str | None = None, device: Where = None) -> VisualEngine:
    """The engine of that name, on a device: by default a card where there is one. url and key are of `openai:` alone,
    which runs elsewhere; by default they are in the environment.

    Raises EngineUnavailable or another ValueError that says what was looked for.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in ENGINES:
        return ENGINES[kind](rest, url, key, device)
    from dialog.pictures.seqdialn import VisualDialog

    return VisualDialog.load(name, device=device)


@dataclass(frozen=True, slots=True)
class WholeLook:
    """A picture as these engines keep it: a JPEG file, made smaller where it was large."""

    jpeg: bytes
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    strangeness: float | None = None

    @classmethod
    def of(cls, picture: "Image") -> Self:
        small = picture.convert("RGB")
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=90)
        return cls(file.getvalue())

    def opened(self) -> "Image":
        from PIL import Image

        return Image.open(io.BytesIO(self.jpeg)).convert("RGB")


@dataclass(frozen=True, slots=True)
class WholeState:
    """A dialogue whose engine reads everything anew at each question."""

    look: WholeLook
    rounds: tuple[tuple[str, str], ...]
    caption: str = ""
    version: str = ""

    def to_bytes(self) -> bytes:
        told = {"rounds": self.rounds, "caption": self.caption, "version": self.version}
        picture = torch.frombuffer(bytearray(self.look.jpeg), dtype=torch.uint8)
        return pack({"jpeg": picture}, told)


class WholeDialog:
    """An engine that reads everything anew at each question: its states hold the picture and the words.

    What is one says its `version`, and answers in `reply`.
    """

    version: str

    def look(self, picture: "Image") -> WholeLook:
        return WholeLook.of(picture)

    def start(self, look: WholeLook, rounds: Sequence[tuple[str, str]] = (), *, caption: str = "") -> WholeState:
        said = tuple((checked(q), " ".join(a.split())) for q, a in rounds)
        return WholeState(look, said, " ".join(caption.split()), self.version)

    def ask(self, state: WholeState, question: str) -> tuple[Answer, WholeState]:
        question = checked(question)
        said = " ".join(self.reply(state, question).split())[:LONGEST_REPLY]
        text = said or NOT_KNOWN
        found = (Candidate(text, None),) if said else ()
        answer = Answer(text=text, answers=found, known=bool(said), why="" if said else NO_WORD, written=said or None)
        return answer, WholeState(state.look, (*state.rounds, (question, text)), state.caption, self.version)

    def restore(self, data: bytes) -> WholeState:
        try:
            tensors, told = unpack(data)
            rounds = tuple((str(q), str(a)) for q, a in told["rounds"])
            picture = WholeLook(tensors["jpeg"].numpy().tobytes())
            state = WholeState(picture, rounds, told["caption"], told["version"])
        except Exception as error:
            raise ValueError(f"not the state of a dialogue about a picture: {error}") from error
        if state.version != self.version:
            raise ValueError(f"the state belongs to {state.version!r}, not to {self.version!r}")
        return state

    def reply(self, state: WholeState, question: str) -> str:
        """The answer to the next question, in words."""
        raise NotImplementedError


class TransformersDialog(WholeDialog):
    """Any image-text-to-text model of transformers. One question at a time; probabilities it gives none."""

    def __init__(self, name: str, model: Any, processor: Any, *, max_tokens: int = 40) -> None:
        self.version = f"{TRANSFORMERS}{name}"
        self.model, self.processor, self.max_tokens = model, processor, max_tokens
        self._lock = threading.Lock()

    @classmethod
    def load(cls, name: str, *, device: Where = None) -> Self:
        """From a folder or by hub name, on a device; weights in safetensors only."""
        import transformers

        try:
            processor = transformers.AutoProcessor.from_pretrained(name)
            model = transformers.AutoModelForImageTextToText.from_pretrained(name, use_safetensors=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EngineUnavailable(
                f"no image-text-to-text model {name!r}: expected a folder with its config, model.safetensors and "
                f"processor, or a hub name (fetch it with `hf download {name}` where there is a network): {error}"
            ) from error
        placed: Any = model
        return cls(name, placed.to(choose_device(device)).eval(), processor)

    @torch.inference_mode()
    def reply(self, state: WholeState, question: str) -> str:
        prompt = self._prompt(state, question)
        with self._lock:
            inputs = self.processor(images=state.look.opened(), text=prompt, return_tensors="pt")
            inputs = inputs.to(self.model.device)
            written = self.model.generate(**inputs, max_new_tokens=self.max_tokens, do_sample=False)
        n_read = inputs["input_ids"].shape[1]
        # Models with an encoder, and those that embed the prompt, give the answer alone.
        answer = written[0, n_read:] if written.shape[1] > n_read else written[0]
        text = self.processor.batch_decode(answer[None], skip_special_tokens=True)[0]
        return str(text)

    def _prompt(self, state: WholeState, question: str) -> str:
        if not getattr(self.processor, "chat_template", None):
            said = [f"Question: {q} Answer: {a}." for q, a in state.rounds]
            return " ".join([*([state.caption] if state.caption else []), *said, f"Question: {question} Answer:"])
        messages = [
            {"role": role, "content": [*([{"type": "image"}] if first else []), {"type": "text", "text": text}]}
            for first, role, text in _turns(state, question)
        ]
        return str(self.processor.apply_chat_template(messages, add_generation_prompt=True))


class EndpointDialog(WholeDialog):
    """A service that speaks OpenAI's `POST /chat/completions` with pictures as data URIs."""

    def __init__(self, model: str, url: str, key: str | None = None, *, max_tokens: int = 60) -> None:
        if not url.startswith(("http://", "https://")):
            raise EngineUnavailable(f"the service's address must begin with http:// or https://, got {url!r}")
        self.version = f"{OPENAI}{model}"
        self.model, self.url, self.max_tokens = model, url.rstrip("/") + "/chat/completions", max_tokens
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def reply(self, state: WholeState, question: str) -> str:
        import httpx

        picture = "data:image/jpeg;base64," + base64.b64encode(state.look.jpeg).decode()
        shown = {"type": "image_url", "image_url": {"url": picture}}
        messages: list[dict[str, Any]] = [{"role": "system", "content": ASK_SHORTLY}]
        for first, role, text in _turns(state, question):
            said = {"type": "text", "text": text}
            messages.append({"role": role, "content": [shown, said] if first else text})
        body = {"model": self.model, "messages": messages, "max_tokens": self.max_tokens, "temperature": 0}
        try:
            with httpx.Client(timeout=SECONDS, transport=httpx.HTTPTransport(retries=2), follow_redirects=False) as c:
                response = c.post(self.url, json=body, headers=self._headers)
            response.raise_for_status()
            text = response.json()["choices"][0]["message"]["content"]
            if not isinstance(text, str):
                raise TypeError(f"its content is {type(text).__name__}, expected words")
        except httpx.HTTPStatusError as error:
            raise EngineUnavailable(f"{self.url} answered {error.response.status_code}") from error
        except httpx.HTTPError as error:
            raise EngineUnavailable(f"{self.url} cannot be reached: {type(error).__name__}") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise EngineUnavailable(f"{self.url} did not answer as OpenAI's API does: {error!r}") from error
        return text


def _turns(state: WholeState, question: str) -> list[tuple[bool, str, str]]:
    """(whether the picture comes with it, who speaks, what is said) of the whole dialogue, the new question last."""
    questions = [*(q for q, _ in state.rounds), question]
    if state.caption:
        questions[0] = f"{state.caption}\n{questions[0]}"
    turns = list[tuple[bool, str, str]]()
    for i, q in enumerate(questions):
        turns.append((i == 0, "user", q))
        if i < len(state.rounds):
            turns.append((False, "assistant", state.rounds[i][1]))
    return turns


def _at_endpoint(model: str, url: str | None, key: str | None) -> VisualEngine:
    where = url or os.environ.get(URL)
    if not where:
        raise EngineUnavailable(
            f"{OPENAI}{model} needs the address of its service: set {URL}, such as http://host:8000/v1"
        )
    return EndpointDialog(model, where, key or os.environ.get(KEY))


ENGINES: dict[str, Callable[[str, str | None, str | None, Where], VisualEngine]] = {
    "transformers": lambda name, url, key, device: TransformersDialog.load(name, device=device),
    "openai": lambda name, url, key, device: _at_endpoint(name, url, key),
}
"""By what stands before the colon: from what stands after it, an address, a key and a device to the engine."""
