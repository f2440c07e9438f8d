"""What an answer is made of: labels of the messages, a responder's reply or a picture's, and the label of that."""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from serve.edge.limits import Limits
from serve.edge.problems import Fault, Refusal, not_found, unavailable
from serve.emotion.choice import Choice
from serve.emotion.deployment import Job
from serve.emotion.labeller import Labeller
from serve.pictures.deployment import Begin
from serve.pictures.reading import of_data_uri
from serve.pictures.sessions import VisualSessions
from serve.replies.answerer import Answerer
from serve.replies.deployment import Reply, Said, Turn
from serve.replies.schemas import ChatMessage, ChatRequest, ImagePart, TextPart

ASSISTANT = "assistant"
_SYSTEM = ("system", "developer")
_QUESTION = re.compile(
    r"\?\s*$|^(?:what|who|where|when|which|whose|why|how|is|are|was|were|do|does|did|can|could|has|have|describe)\b",
    re.IGNORECASE,
)


class Answering:
    """Answers requests, out of the services beside it."""

    def __init__(
        self, answerer: Answerer, labeller: Labeller, sessions: VisualSessions, choice: Choice, limits: Limits
    ) -> None:
        self._answerer = answerer
        self._labeller = labeller
        self._sessions = sessions
        self._choice = choice
        self._limits = limits

    async def answer(self, asked: ChatRequest, owner: str) -> "Answered":
        """The answer, begun: its first piece is there. Refusal 404 for a responder there is not, 422 for messages that
        nobody can answer, 429 and 503 as those asked say."""
        model = asked.model or next(iter(self._choice.responders), "")
        if model not in self._choice.responders:
            raise not_found("responder")
        turns = [_turn(i, m) for i, m in enumerate(asked.messages)]
        last = turns[-1]
        if last.speaker in (ASSISTANT, *_SYSTEM) or not (last.text.strip() or _picture(asked.messages[-1])):
            raise _wrong(f"/messages/{len(turns) - 1}", "expected a message of a user with some words or a picture")
        predictions = await self._labels(turns, owner) if asked.rapport.emotions else [None] * len(turns)
        turns = [_felt(turn, prediction) for turn, prediction in zip(turns, predictions, strict=True)]
        labels = asked.rapport.emotions
        answered = Answered(model=model, messages=predictions, turns=turns, owner=owner, labels=labels, by=self)
        if (about := _asked_about(asked.messages)) is not None:
            await self._see(asked.messages, about, turns, answered)
        else:
            allowed = self._limits.tokens_per_reply
            most = min(asked.max_completion_tokens or asked.max_tokens or allowed, allowed)
            wanted = Reply(
                turns=tuple(t if t.speaker not in _SYSTEM else replace(t, speaker="system") for t in turns),
                responder=model,
                to_feel=asked.rapport.to_feel,
                instead_of=tuple(asked.rapport.instead_of),
                most=most,
            )
            answered.said = self._answerer.pieces(wanted)
            answered.first = await anext(answered.said, None)
            if answered.first is not None and answered.first.error is not None:
                raise unavailable(answered.first.error, retry_after=600 if answered.first.missing else 10)
        return answered

    async def label(self, answered: "Answered") -> Any:
        """What the reply feels, read off all that came before it; None where it cannot be said now."""
        turns = [*answered.turns, Turn(speaker=ASSISTANT, text=answered.text)]
        try:
            return (await self._labels(turns, answered.owner))[-1]
        except Refusal:  # the reply is there, and is not to be lost for its label
            return None

    async def _labels(self, turns: Sequence[Turn], owner: str) -> list[Any]:
        """A prediction for each message, None for what tells the assistant how to answer."""
        said = [i for i, t in enumerate(turns) if t.speaker not in _SYSTEM]
        job = Job(
            conversations=(tuple((turns[i].speaker, turns[i].text) for i in said),),
            model=self._choice.default,
            mode="live",
            causes=True,
            owner=owner,
        )
        answer = await self._labeller.label(job)
        if answer.error is not None:
            raise unavailable(answer.error, retry_after=30)
        found: list[Any] = [None] * len(turns)
        labels = answer.conversations[0]
        if labels.error is None:
            for i, prediction in zip(said, labels.predictions, strict=True):
                found[i] = _placed(orjson.loads(prediction), said)
        return found

    async def _see(self, messages: Sequence[ChatMessage], at: int, turns: Sequence[Turn], answered: "Answered") -> None:
        """The answer about the picture of message `at`, after the rounds since."""
        picture = of_data_uri(_picture(messages[at]) or "", f"/messages/{at}/content")
        asked = [i for i in range(at, len(turns)) if turns[i].speaker not in (ASSISTANT, *_SYSTEM)]
        rounds = tuple(
            (turns[i].text, turns[i + 1].text)
            for i in asked[:-1]
            if turns[i + 1].speaker == ASSISTANT and turns[i].text.strip() and turns[i + 1].text.strip()
        )
        question = turns[-1].text.strip() or "what is in the picture?"
        _, found = await self._sessions.answer(Begin(picture=picture, rounds=rounds), question)
        answered.picture = found.answer
        sure = bool(found.answer.get("known", True))
        answered.first = Said(text=str(found.answer["text"]), finish="stop", sure=sure, version=found.model_version)


@dataclass(kw_only=True, slots=True)
class Answered:
    """An answer that has begun. Once its pieces have come, all that is known of it is here."""

    model: str
    messages: list[Any]
    turns: list[Turn]
    owner: str
    labels: bool
    by: Answering
    said: AsyncGenerator[Said, None] | None = None
    first: Said | None = None
    text: str = ""
    finish: str = "stop"
    sure: bool = True
    version: str = ""
    picture: dict[str, Any] | None = None
    reply: Any = None
    error: str | None = None
    """Why the reply broke off."""

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The words, as they come; at the end the reply has its label. Whoever stops asking stops the responder."""
        said = self.first
        try:
            while said is not None:
                if said.error is not None:
                    self.error = said.error
                    return
                self.version, self.text = said.version or self.version, self.text + said.text
                if said.text:
                    yield said.text
                if said.finish is not None:
                    self.finish, self.sure = said.finish, said.sure
                    break
                said = None if self.said is None else await anext(self.said, None)
        finally:
            if self.said is not None:
                await self.said.aclose()
        if self.labels and self.text.strip():
            self.reply = await self.by.label(self)

    def notes(self) -> dict[str, Any]:
        """What is told under `rapport`."""
        return {
            "messages": self.messages,
            "reply": self.reply,
            "sure": self.sure,
            "picture": self.picture,
            "responder_version": self.version,
        }


def _turn(place: int, message: ChatMessage) -> Turn:
    speaker = message.name if message.role == "user" and message.name else message.role
    if message.role == "user" and speaker in (ASSISTANT, *_SYSTEM):
        raise _wrong(f"/messages/{place}/name", "a user cannot have the name of a role")
    return Turn(speaker=speaker, text=_words(message), emotion=message.emotion)


def _words(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


def _picture(message: ChatMessage) -> str | None:
    """The last picture of a message, as its address."""
    if isinstance(message.content, str):
        return None
    found = [part.image_url.url for part in message.content if isinstance(part, ImagePart)]
    return found[-1] if found else None


def _asked_about(messages: Sequence[ChatMessage]) -> int | None:
    """The place of the message whose picture the last message is about: its own, or for a question one before it."""
    last = len(messages) - 1
    if _picture(messages[last]) is not None:
        return last
    if not _QUESTION.search(_words(messages[last]).strip()):
        return None
    return next((i for i in range(last, -1, -1) if _picture(messages[i]) is not None), None)


def _felt(turn: Turn, prediction: Any) -> Turn:
    """The turn with its predicted emotion, unless it came with one."""
    if turn.emotion or prediction is None:
        return turn
    return replace(turn, emotion=prediction["emotion"], probability=prediction["probability"], care=prediction["care"])


def _placed(prediction: dict[str, Any], places: Sequence[int]) -> dict[str, Any]:
    """The prediction with the causes' places among all messages."""
    causes = [
        {**cause, "utterance": None if cause["utterance"] is None else places[cause["utterance"]]}
        for cause in prediction["causes"]
    ]
    return {**prediction, "causes": causes}


def _wrong(place: str, detail: str) -> Refusal:
    return Refusal(422, "invalid", "1 fault in the request", faults=[Fault(pointer=place, detail=detail)])
