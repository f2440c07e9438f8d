"""A client that answers from memory: the same methods as serve.client.client.Client, no service behind it."""

import io
import re
import threading
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dialog.conversation import Cause, Caveat, Conversation, Prediction
from dialog.formats import read, write
from dialog.labels import COLOURS, LABEL_SETS, SENTIMENT, SYMBOLS
from dialog.language import FOREIGN
from serve.client import (
    AnswerNotes,
    Batch,
    BatchFailure,
    ChangedChat,
    Chat,
    Completion,
    Correction,
    Edit,
    EmotionsAnswer,
    Label,
    Message,
    Model,
    ServiceError,
)
from serve.edge.limits import Limits
from tests.ui.fake_fleet import FleetInMemory
from tests.ui.fake_pictures import PicturesInMemory
from tests.ui.fake_recordings import RecordingsInMemory

LABELS = LABEL_SETS["ekman"]
WORDS = {
    "joy": ("wonderful", "great", "promise", "happy", "job!!"),
    "sadness": ("leaving", "miss", "sad", "terrible", "sorry"),
    "anger": ("angry", "hate", "furious"),
    "fear": ("afraid", "shaking", "scared"),
    "surprise": ("no way", "really?", "had not thought", "what?"),
    "disgust": ("disgusting", "yuck"),
}


SLIPS = {"teh": "the", "wiat": "wait"}


def predict(text: str) -> Prediction:
    """A label read off the words; surer where the text shouts."""
    found = next((e for e, words in WORDS.items() if any(w in text.lower() for w in words)), "neutral")
    p = 0.93 if "!" in text else 0.78 if found != "neutral" else 0.46
    rest = (1 - p) / (len(LABELS) - 1)
    probabilities = {label: p if label == found else rest for label in LABELS}
    return Prediction(emotion=found, probability=p, probabilities=probabilities, sentiment=SENTIMENT[found])


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


PATIENCE = 120
"""Seconds that a call waits for a test to let it go."""


@dataclass
class MemoryClient(RecordingsInMemory, PicturesInMemory, FleetInMemory):
    """Chats in a dict. `failing` is raised by the next calls instead of an answer, until it is None again."""

    chats: dict[str, Chat] = field(default_factory=dict)
    failing: ServiceError | None = None
    requests: list[list[Conversation]] = field(default_factory=list)
    kept: dict[str, Batch] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    named: dict[str, Any] = field(default_factory=dict)
    """Columns and encoding of the last batch."""
    lists: bool = True
    limit: dict[str, float] = field(default_factory=lambda: Limits().model_dump())
    pace: float = 0.5
    """How much of a batch is done each time somebody looks."""
    answerers: tuple[str, ...] = ("reply/built-in",)
    refused: dict[str, list[str]] = field(default_factory=dict)
    answering: threading.Event = field(default_factory=_set)
    """Cleared, every call waits until it is set."""

    def _check(self) -> None:
        assert self.answering.wait(PATIENCE), "a test has left the service hanging"
        if self.failing is not None:
            raise self.failing

    def _predict(self, text: str) -> Prediction:
        return predict(text)

    def _chat(self, chat_id: str) -> Chat:
        self._check()
        if chat_id not in self.chats:
            raise ServiceError(404, "not-found", "there is no such chat", request_id="r1")
        return self.chats[chat_id]

    def mend(self, texts: Sequence[str], *, keep: Sequence[str] = (), completions: int = 0) -> tuple[Correction, ...]:
        self._check()
        return tuple(self._mended(text, keep, completions) for text in texts)

    def _mended(self, text: str, keep: Sequence[str], completions: int) -> Correction:
        """Two slips and one beginning are known here."""
        edits = tuple(
            Edit(start=m.start(), end=m.end(), typed=m[0], meant=SLIPS[m[0]], probability=0.9)
            for m in re.finditer(r"\w+", text)
            if m[0] in SLIPS and m[0] not in keep
        )
        ends = (Completion(word="tomorrow", probability=0.8),) if completions and text.endswith("tomo") else ()
        corrected = re.sub(r"\w+", lambda m: SLIPS.get(m[0], m[0]), text)
        return Correction(text=text, corrected=corrected, edits=edits, completions=ends)

    def start_chat(self, *, model: str | None = None, label_set: str | None = None) -> Chat:
        self._check()
        chat = Chat(
            id=uuid.uuid4().hex,
            created="2026-11-23T12:00:00+00:00",
            model="emotion/ekman",
            model_version="emotion/ekman@1",
            labels=LABELS,
            total=0,
            messages=(),
        )
        self.chats[chat.id] = chat
        return chat

    def add_message(self, chat_id: str, speaker: str, text: str, *, time: str | None = None) -> Message:
        chat = self._chat(chat_id)
        n = chat.total
        failed = "poison" in text
        prediction = None if failed else predict(text)
        if prediction and n:
            cause = Cause(utterance=n - 1, start=None, end=None, span=None, probability=0.6)
            prediction = replace(prediction, causes=(cause,))
        message = Message(
            n=n,
            speaker=speaker,
            text=text,
            time=time,
            prediction=prediction,
            error="this text is poison" if failed else None,
            correction=None,
            warnings=() if text.isascii() else (Caveat("foreign", FOREIGN, (n,)),),
        )
        self.chats[chat_id] = replace(chat, total=n + 1, messages=(*chat.messages, message))
        return message

    def responders(self) -> tuple[str, ...]:
        self._check()
        return self.answerers

    def stream_chat_answer(
        self,
        chat_id: str,
        *,
        responder: str | None = None,
        another: bool = False,
        total: int | None = None,
        to_feel: str | None = None,
    ) -> Generator[str | Message, None, None]:
        """As the service: `slowly` takes its time, `nothing` has no answer, `broken` breaks off after a word."""
        chat = self._chat(chat_id)
        if total is not None and total != chat.total:
            raise ServiceError(409, "chat-changed", "the chat was changed meanwhile")
        messages = chat.messages[:-1] if another else chat.messages
        if not messages or messages[-1].reply is not None:
            raise ServiceError(409, "nothing-to-answer", "nobody has said anything since the last answer")
        said = messages[-1]
        self.refused.setdefault(chat_id, [])
        if another:
            self.refused[chat_id].append(chat.messages[-1].text)
        n = len(self.refused[chat_id])
        if n > 3:
            raise ServiceError(409, "no-other-answer", "there is no other answer to this")
        sure = "nothing" not in said.text
        text = f"You say {said.text.lower()}{' again' * n}" if sure else "I don't know what to say to that."
        words, finish = "", "stopped"
        try:
            for word in text.split():
                time.sleep(0.15 if "slowly" in said.text else 0.005)
                words += word + " "
                yield word + " "
                if "broken" in said.text:
                    finish = "broken"
                    break
            else:
                finish = "stop"
        finally:
            notes = AnswerNotes(
                responder=responder or self.answerers[0],
                responder_version="fake@1",
                finish=finish,  # type: ignore[arg-type]
                sure=sure,
                felt=said.emotion,
            )
            self.chats[chat_id] = replace(chat, total=len(messages), messages=messages)
            kept = replace(self.add_message(chat_id, "Assistant", words.strip()), reply=notes)
            self.chats[chat_id] = replace(self.chats[chat_id], messages=(*messages, kept))
        yield kept

    def chat(self, chat_id: str, *, after: int = 0, limit: int | None = None) -> Chat:
        chat = self._chat(chat_id)
        # As the service: warnings are told once, with the message.
        asked = chat.messages[after : None if limit is None else after + limit]
        return replace(chat, messages=tuple(replace(m, warnings=()) for m in asked))

    def delete_chat(self, chat_id: str) -> None:
        self._check()
        self.chats.pop(chat_id, None)

    def correct(self, chat_id: str, n: int, emotion: str | None) -> Message:
        chat = self._chat(chat_id)
        message = replace(chat.messages[n], correction=emotion)
        self.chats[chat_id] = replace(chat, messages=(*chat.messages[:n], message, *chat.messages[n + 1 :]))
        return message

    def edit_message(self, chat_id: str, n: int, *, text: str, total: int | None = None) -> ChangedChat:
        said = self._said(chat_id)
        correction = said[n]["correction"] if text == said[n]["text"] else None
        return self.rewrite_chat(
            chat_id, [*said[:n], {**said[n], "text": text, "correction": correction}, *said[n + 1 :]], total=total
        )

    def delete_message(self, chat_id: str, n: int, *, total: int | None = None) -> ChangedChat:
        said = self._said(chat_id)
        return self.rewrite_chat(chat_id, said[:n] + said[n + 1 :], total=total)

    def rewrite_chat(
        self, chat_id: str, messages: Sequence[Mapping[str, str | None]], *, total: int | None = None
    ) -> ChangedChat:
        before = self._chat(chat_id)
        if total is not None and total != before.total:
            raise ServiceError(409, "chat-changed", "the chat was changed meanwhile")
        said, after = self._said(chat_id), [dict(m) for m in messages]
        same = (i for i in range(min(len(said), len(after))) if said[i] != after[i])
        first = next(same, min(len(said), len(after)))
        self.chats[chat_id] = replace(before, total=0, messages=())
        found = []
        for n, message in enumerate(after):
            new = self.add_message(chat_id, str(message["speaker"]), str(message["text"]), time=message["time"])
            notes = message.get("reply")
            found.append(replace(new, correction=message["correction"], reply=notes and AnswerNotes(**notes)))
            if n < first:
                found[n] = replace(found[n], warnings=())
        self.chats[chat_id] = replace(before, total=len(found), messages=tuple(found))
        version = before.model_version
        shown = tuple(found[first:])
        return ChangedChat(chat=chat_id, model_version=version, total=len(found), first=first, messages=shown)

    def _said(self, chat_id: str) -> list[dict[str, str | None]]:
        return [
            {"speaker": m.speaker, "text": m.text, "time": m.time, "correction": m.correction}
            for m in self._chat(chat_id).messages
        ]

    def emotions(self, conversations: Sequence[Conversation], **options: Any) -> EmotionsAnswer:
        self._check()
        self.requests.append(list(conversations))
        labelled = tuple(
            c.with_error("this text is poison")
            if any("poison" in u.text for u in c.utterances)
            else c.with_predictions([predict(u.text) for u in c.utterances])
            for c in conversations
        )
        return EmotionsAnswer(
            conversations=labelled,
            model_version="emotion/ekman@1",
            mode="offline",
            warnings=(),
            request_id="r1",
        )

    def start_batch(
        self,
        log: str | Path,
        *,
        filename: str,
        input_format: str,
        to: str,
        anonymise: bool = False,
        columns: Mapping[str, str] | None = None,
        encoding: str | None = None,
    ) -> Batch:
        self._check()
        self.named = {"columns": columns, "encoding": encoding}
        content = Path(log).read_bytes()
        batch = Batch(
            id=uuid.uuid4().hex,
            created="2026-11-23T12:00:00Z",
            state="queued",
            filename=filename,
            input_format=input_format,
            to=to,
            model="emotion/ekman",
            model_version=None,
            anonymise=anonymise,
            bytes=len(content),
            started=None,
            finished=None,
            fraction=0.0,
            ahead=0,
            conversations=0,
            failed=0,
            utterances=0,
            failures=(),
            error=None,
            output=None,
        )
        self.kept = {batch.id: batch, **self.kept}
        self.logs[batch.id] = content
        return batch

    def batch(self, batch_id: str) -> Batch:
        self._check()
        if batch_id not in self.kept:
            raise ServiceError(404, "not-found", "there is no such batch")
        self.kept[batch_id] = self._further(self.kept[batch_id])
        return self.kept[batch_id]

    def batches(self) -> tuple[Batch, ...]:
        self._check()
        if not self.lists:
            raise ServiceError(403, "forbidden", "this service does not list batches")
        return tuple(self.batch(i) for i in self.kept)

    def save_batch(self, batch_id: str, path: str | Path) -> None:
        self._check()
        batch = self.kept[batch_id]
        stream = io.BytesIO(self.logs[batch_id])
        stream.name = batch.filename
        with Path(path).open("wb") as out:
            read_so = read(stream, batch.input_format, columns=self.named["columns"], encoding=self.named["encoding"])
            write(
                [self.emotions([c]).conversations[0] if isinstance(c, Conversation) else c for c in read_so],
                out,
                "jsonl",
            )

    def delete_batch(self, batch_id: str) -> None:
        self._check()
        if self.kept.pop(batch_id, None) is None:
            raise ServiceError(404, "not-found", "there is no such batch")

    def _further(self, batch: Batch) -> Batch:
        if batch.ended or (batch.state == "queued" and not self.pace):
            return batch
        if batch.state == "queued":
            return replace(batch, state="running")
        if b"unreadable" in self.logs[batch.id]:
            return replace(batch, state="failed", error="this is binary data, not text")
        fraction = min(1.0, batch.fraction + self.pace)
        n = int(fraction * self.logs[batch.id].count(b"\n"))
        failure = BatchFailure(id="chat-2", line=2, error="no name <b>before</b> the colon")
        failures = (failure,) if b"broken" in self.logs[batch.id] else ()
        now: dict[str, Any] = {
            "fraction": fraction,
            "utterances": n,
            "conversations": 1,
            "failed": len(failures),
            "failures": failures,
        }
        if fraction == 1:
            now |= {"state": "done", "output": f"/v1/batches/{batch.id}/output"}
        return replace(batch, **now)

    def models(self) -> tuple[Model, ...]:
        self._check()
        ekman = Model(
            name="emotion/ekman",
            task="emotion",
            labels=LABELS,
            label_set="ekman",
            summary="Seven emotions in ordinary chats.",
            scores={"weighted_f1": 64.2, "ece": 0.021, "seeds": [1, 2]},
            default=True,
        )
        return (
            ekman,
            replace(ekman, name="emotion/meld", summary="For comparison with the literature.", default=False),
        )

    def labels(self) -> dict[str, tuple[Label, ...]]:
        self._check()
        shown = (Label(name=e, sentiment=SENTIMENT[e], symbol=SYMBOLS[e], colour=COLOURS[e]) for e in LABELS)
        return {"ekman": tuple(shown)}

    def limits(self, *, fresh: bool = False) -> dict[str, float]:
        return self.limit

    def ready(self) -> bool:
        return self.failing is None


class FakeTagger:
    """As dialog.emotion.tagger.EmotionTagger. `poison` in a text fails its conversation, `stop` is a Ctrl-C."""

    name = "emotion/ekman"
    version = "emotion/ekman@1"
    labels = LABELS

    @classmethod
    def load(
        cls, name: str = "emotion/ekman", *, causes: bool | None = None, device: str | None = None
    ) -> "FakeTagger":
        if name != cls.name:
            raise ValueError(f"no model {name!r}: expected emotion/ekman")
        return cls()

    def tag(self, conversations: Sequence[Conversation], *, mode: str = "offline") -> list[Conversation]:
        texts = [u.text for c in conversations for u in c.utterances]
        if any("poison" in text for text in texts):
            raise ValueError("this text is poison")
        if any("stop" in text for text in texts):
            raise KeyboardInterrupt
        return [c.with_predictions([predict(u.text) for u in c.utterances]) for c in conversations]

    def start(self) -> int:
        return 0

    def step(self, state: int, speaker: str, text: str) -> tuple[Prediction, int]:
        return predict(f"{text}{'!' if state else ''}"), state + 1
