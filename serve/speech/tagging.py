"""The models of the service, for a thread that waits for them however long it takes."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, wait
from typing import Any, TypeVar

from dialog.conversation import Conversation
from serve.database.patience import TOLD_SECONDS, Ended
from serve.edge import metrics
from serve.edge.problems import Refusal
from serve.emotion.deployment import JobAnswer
from serve.emotion.labeller import Labeller
from serve.speech.labels import job_of
from serve.speech.run import Run

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


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
        answer: JobAnswer = self._ask(lambda: self._labeller.label_log(job), run)
        if answer.error is not None:
            raise NoModel(answer.error)
        metrics.MESSAGES.labels(model, "recordings").inc(len(conversation.utterances))
        metrics.MODEL_SECONDS.observe(answer.model_seconds)
        return answer

    def _ask(self, call: Callable[[], Coroutine[Any, Any, T]], run: Run) -> T:
        """Its answer. A service that is too busy, or whose replica has died, is asked again."""
        pause = _FIRST_PAUSE
        while True:
            future = asyncio.run_coroutine_threadsafe(call(), self._loop)
            try:
                while not wait([future], TOLD_SECONDS).done:
                    run.check()
                return future.result()
            except (Refusal, CancelledError):
                run.pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except Ended:
                future.cancel()
                raise
