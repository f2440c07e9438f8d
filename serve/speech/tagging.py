"""The models of the service, for a thread that waits for them however long it takes."""

import asyncio

from dialog.conversation import Conversation
from serve.edge import metrics
from serve.emotion.deployment import JobAnswer
from serve.emotion.labeller import Labeller
from serve.emotion.patient import ask_patiently
from serve.speech.labels import job_of
from serve.speech.run import Run


class NoModel(Exception):
    """No model answers, and none ever will; the message says why."""


class PatientTagger:
    """Labels conversations with a model of the service, beside those that somebody waits for."""

    def __init__(self, labeller: Labeller, loop: asyncio.AbstractEventLoop) -> None:
        """The loop runs in a thread of its own."""
        self._labeller = labeller
        self._loop = loop

    def tag(self, conversation: Conversation, model: str, owner: str, run: Run) -> JobAnswer:
        """The labels of one conversation. Raises NoModel, and Ended where the run need not go on."""
        job = job_of(conversation, model, owner)
        answer: JobAnswer = ask_patiently(self._loop, lambda: self._labeller.label_log(job), run)
        if answer.error is not None:
            raise NoModel(answer.error)
        metrics.MESSAGES.labels(model, "recordings").inc(len(conversation.utterances))
        metrics.MODEL_SECONDS.observe(answer.model_seconds)
        return answer
