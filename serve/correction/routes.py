"""POST /v1/corrections: what was meant by texts as they were typed. Nothing is kept."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from models.catalogue import CORRECTION
from serve.correction.deployment import Mender, Texts
from serve.correction.schemas import CorrectionsReply, CorrectionsRequest
from serve.edge.admission import Admission
from serve.edge.limits import Limits
from serve.edge.openapi import body
from serve.edge.problems import declared, unavailable
from serve.edge.reading import pointer, read, refuse_long
from serve.edge.replies import reply

_EXAMPLE: dict[str, Any] = {"texts": ["i cant wiat to see you tommorow"], "completions": 0}
_ANSWER: dict[str, Any] = {
    "corrections": [
        {
            "text": "i cant wiat to see you tommorow",
            "corrected": "i can't wait to see you tomorrow",
            "edits": [
                {"start": 2, "end": 6, "typed": "cant", "meant": "can't", "probability": 0.98},
                {"start": 7, "end": 11, "typed": "wiat", "meant": "wait", "probability": 0.99},
                {"start": 23, "end": 31, "typed": "tommorow", "meant": "tomorrow", "probability": 0.99},
            ],
            "completions": [],
        }
    ],
    "model_version": f"{CORRECTION}@1f0c7ad2b3e4",
    "request_id": "6f1d8c3e9b7a4d22",
}


def correction_routes(mender: Mender, limits: Limits) -> APIRouter:
    """The router. Every limit is checked before the model is asked."""
    router = APIRouter(tags=["corrections"])
    admission = Admission(limits)

    @router.post(
        "/corrections",
        summary="Mend what was typed",
        operation_id="correct_texts",
        response_model=CorrectionsReply,
        responses={200: {"content": {"application/json": {"example": _ANSWER}}}, **declared(400, 408, 413, 415, 422)},
        openapi_extra=body(CorrectionsRequest, _EXAMPLE),
    )
    async def corrections(request: Request) -> Response:
        """Slips of the keys, with what was meant and how likely that is; names, numbers, links, emoji and feeling are
        left alone. English. With `completions`, how each text may go on."""
        asked, _ = await read(request, CorrectionsRequest, limits)
        lengths = [(pointer("texts", i), "characters_per_utterance", len(text)) for i, text in enumerate(asked.texts)]
        lengths += [(pointer("keep", i), "characters_per_name", len(word)) for i, word in enumerate(asked.keep)]
        counts = (("texts", len(asked.texts)), ("keep", len(asked.keep)))
        lengths += [(pointer(name), "utterances_per_request", n) for name, n in counts]
        refuse_long(lengths, limits)
        job = Texts(
            texts=tuple(asked.texts),
            keep=frozenset(word.lower() for word in asked.keep),
            completions=asked.completions,
        )
        with admission.admit(len(asked.texts)):
            try:
                async with asyncio.timeout(limits.answer_seconds):
                    done = await mender.mend(job)
            except TimeoutError:
                raise unavailable(f"no answer within {limits.answer_seconds:g} s") from None
        if done.missing is not None:
            raise unavailable(done.missing, retry_after=30)
        return reply(request, {"corrections": list(done.corrections), "model_version": done.model_version})

    return router
