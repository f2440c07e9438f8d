"""POST /v1/emotions: conversations in, the same conversations with a prediction on every utterance out."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from dialog.conversation import Conversation
from models.catalogue import EMOTION
from serve.edge import logs, metrics, timing
from serve.edge.admission import Admission
from serve.edge.keys import owner_of
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.problems import declared, unavailable
from serve.edge.reading import pointer, read, refuse_long
from serve.edge.replies import reply
from serve.emotion.choice import Choice
from serve.emotion.deployment import Job, Labels
from serve.emotion.labeller import Labeller
from serve.emotion.schemas import EmotionsReply, EmotionsRequest

_EXAMPLE: dict[str, Any] = {
    "conversations": [
        {
            "id": "a",
            "utterances": [
                {"speaker": "Ann", "text": "I finally got the job!!"},
                {"speaker": "Bo", "text": "No way, that is wonderful news!"},
            ],
        }
    ],
    "options": {"causes": True, "label_set": "ekman"},
}
_PROBABILITIES = {
    "anger": 0.01, "disgust": 0.01, "fear": 0.01, "joy": 0.9, "neutral": 0.03, "sadness": 0.01, "surprise": 0.03,
}  # fmt: skip
PREDICTION: dict[str, Any] = {
    **{"emotion": "joy", "probability": 0.9, "probabilities": _PROBABILITIES, "sentiment": "positive"},
    **{"second": "surprise", "valence": 3.9, "arousal": 3.6, "unsure": False, "care": False},
    "tags": [{"tag": "excitement", "probability": 0.6}],
}
_ANSWER: dict[str, Any] = {
    "conversations": [
        {
            "id": "a",
            "utterances": [
                {"speaker": "Ann", "text": "I finally got the job!!", "prediction": {**PREDICTION, "causes": []}},
                {
                    "speaker": "Bo",
                    "text": "No way, that is wonderful news!",
                    "prediction": {
                        **PREDICTION,
                        "causes": [
                            {
                                "utterance": 0,
                                "start": 10,
                                "end": 21,
                                "span": "got the job",
                                "probability": 0.7,
                                "emotion": "joy",
                            }
                        ],
                    },
                },
            ],
        }
    ],
    "model_version": f"{EMOTION}@1f0c7ad2b3e4",
    "mode": "offline",
    "warnings": [],
    "request_id": "6f1d8c3e9b7a4d22",
}


def emotion_routes(labeller: Labeller, choice: Choice, limits: Limits) -> APIRouter:
    """The router. Every limit is checked before a model is asked."""
    router = APIRouter(tags=["emotions"])
    admission = Admission(limits)

    @router.post(
        "/emotions",
        summary="Label conversations",
        operation_id="label_emotions",
        response_model=EmotionsReply,
        responses={200: {"content": {"application/json": {"example": _ANSWER}}}, **declared(400, 408, 413, 415, 422)},
        openapi_extra=body(EmotionsRequest, _EXAMPLE),
    )
    async def emotions(request: Request) -> Response:
        """Every utterance gets an emotion, its calibrated probability, those of all labels, and its causes.

        A body of the wrong shape is refused whole. What fails later fails alone: its conversation comes back with an
        `error`. Fields we do not know come back as they were.
        """
        asked, value = await read(request, EmotionsRequest, limits)
        n_utterances = sum(len(c.utterances) for c in asked.conversations)
        refuse_long(_lengths(asked, n_utterances), limits)
        options = asked.options
        job = Job(
            conversations=tuple(tuple((str(u.speaker), u.text) for u in c.utterances) for c in asked.conversations),
            model=choice.model(options.model, options.label_set, "/options"),
            mode=options.mode,
            causes=options.causes,
            owner=owner_of(request.scope) or str((request.scope.get("client") or ("",))[0]),
        )
        with admission.admit(n_utterances):
            try:
                async with asyncio.timeout(limits.answer_seconds):
                    answer = await labeller.label(job)
            except TimeoutError:
                raise unavailable(f"no answer within {limits.answer_seconds:g} s") from None
        timing.note(request.scope, "queue", answer.queue_seconds)
        timing.note(request.scope, "model", answer.model_seconds)
        if answer.error is not None:
            raise unavailable(answer.error, retry_after=30)
        metrics.MESSAGES.labels(job.model, "emotions").inc(n_utterances)
        logs.get().info(
            "labelled", conversations=len(job.conversations), utterances=n_utterances, model=job.model, mode=job.mode
        )
        pairs = zip(value["conversations"], answer.conversations, strict=True)
        warnings = dict.fromkeys(w for labels in answer.conversations for w in labels.warnings)
        told = {
            "conversations": [_labelled(i, sent, labels) for i, (sent, labels) in enumerate(pairs)],
            "model_version": answer.model_version,
            "mode": options.mode,
            "warnings": [w.to_dict() for w in warnings],
        }
        return reply(request, told)

    return router


def _labelled(i: int, sent: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """The conversation as it was sent, with its labels: the fields no model knows never left this process."""
    # An error or a warning that came in is about an earlier labelling, not about this one.
    shell = Conversation.from_dict({**sent, "utterances": []}, default_id=str(i))
    told = replace(shell, error=labels.error, warnings=labels.warnings).to_dict()
    told["utterances"] = sent["utterances"]
    if labels.error is None:
        pairs = zip(sent["utterances"], labels.predictions, strict=True)
        told["utterances"] = [{**u, "prediction": orjson.Fragment(p)} for u, p in pairs]
    return told


def _lengths(asked: EmotionsRequest, n_utterances: int) -> Iterator[tuple[str, str, int]]:
    """Everything that has a limit: where it is, the limit's name, its length."""
    yield "/conversations", "conversations_per_request", len(asked.conversations)
    yield "/conversations", "utterances_per_request", n_utterances
    for i, conversation in enumerate(asked.conversations):
        yield pointer("conversations", i, "id"), "characters_per_name", len(str(conversation.id))
        for n, utterance in enumerate(conversation.utterances):
            place = ("conversations", i, "utterances", n)
            if len(utterance.text) > 1000:  # pointers cost more than the comparison, and most texts are short
                yield pointer(*place, "text"), "characters_per_utterance", len(utterance.text)
            yield pointer(*place, "speaker"), "characters_per_name", len(str(utterance.speaker))
