"""The models of the service as the tagger that `dialog.annotation` labels a log with."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any, Protocol

import orjson

from dialog.conversation import Conversation, Prediction
from dialog.emotion.port import Mode
from serve.edge import metrics
from serve.edge.problems import Refusal
from serve.emotion.deployment import Job, JobAnswer, Labels
from serve.emotion.labeller import Labeller
from serve.emotion.long import LongJob, end_turn, take_turn

TOLD_SECONDS = 0.5
"""How often it is looked whether a batch need go on, and the database hears how far it is."""
_LONGEST_PAUSE_SECONDS = 10.0


class Ended(KeyboardInterrupt):
    """The batch was deleted, the service stops, or no model answers. `annotate` keeps its journal and returns."""


class UnderWay(Protocol):
    """The batch that is labelled."""

    fault: str | None
    """Why no model answers."""

    def check(self) -> None:
        """Raises Ended where it need not go on."""

    def pause(self, seconds: float) -> None:
        """Waits, and raises Ended where it need not go on."""


class ServiceTagger:
    """What `annotate` needs of a tagger, from the models of the service. It waits for them however long it takes."""

    def __init__(self, model: str, labeller: Labeller, loop: asyncio.AbstractEventLoop, run: UnderWay) -> None:
        self._model = model
        self._labeller = labeller
        self._loop = loop
        self._run = run
        self.version = ""

    def find_version(self) -> None:
        """To be called before anything else."""
        about = self._ask(lambda: self._labeller.about(self._model))
        self._end_where(about.error)
        self.version = about.version

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        """The conversations with their predictions; only speakers and texts make the journey."""
        turns = tuple(tuple((_clean(u.speaker), _clean(u.text)) for u in c.utterances) for c in conversations)
        job = Job(conversations=turns, model=self._model, mode=mode, causes=True)
        answer: JobAnswer = self._ask(lambda: self._labeller.label_log(job))
        self._end_where(answer.error)
        metrics.MESSAGES.labels(self._model, "batches").inc(sum(map(len, turns)))
        metrics.MODEL_SECONDS.observe(answer.model_seconds)
        return [_labelled(c, labels) for c, labels in zip(conversations, answer.conversations, strict=True)]

    def tag_long(
        self,
        conversation: Conversation,
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
        keep: Path | None = None,
    ) -> Conversation:
        """The same for one long conversation, with work that is watched, and gone on with where it was stopped."""
        turns = tuple((_clean(u.speaker), _clean(u.text)) for u in conversation.utterances)
        turn = "" if keep is None else take_turn(keep)
        job = LongJob(
            turns=turns,
            model=self._model,
            mode=mode,
            causes=True,
            keep=None if keep is None else keep.absolute(),
            turn=turn,
        )
        read = [0]
        told = progress or (lambda _: None)

        def heard(n: int) -> None:
            read[0] = n

        try:
            answer: JobAnswer = self._ask(lambda: self._labeller.label_long(job, heard), lambda: told(read[0]))
        finally:
            if keep is not None:
                end_turn(keep)
        self._end_where(answer.error)
        metrics.MESSAGES.labels(self._model, "batches").inc(len(turns))
        metrics.MODEL_SECONDS.observe(answer.model_seconds)
        return _labelled(conversation, answer.conversations[0])

    def _ask(self, call: Callable[[], Any], meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Its answer. A service that is too busy, or whose replica has died, is asked again. `meanwhile` is called now
        and then until the answer is there."""
        pause = 0.5
        while True:
            future = asyncio.run_coroutine_threadsafe(call(), self._loop)
            try:
                while not wait([future], TOLD_SECONDS).done:
                    self._run.check()
                    meanwhile()
                return future.result()
            except (Refusal, CancelledError):
                self._run.pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except Ended:
                future.cancel()
                raise

    def _end_where(self, error: str | None) -> None:
        """A model that cannot be loaded is no fault of a conversation, so `annotate` must not take it for one."""
        if error is not None:
            self._run.fault = error
            raise Ended


def _clean(text: str) -> str:
    """Half a character of a broken file is no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _labelled(conversation: Conversation, labels: Labels) -> Conversation:
    if labels.error is not None:
        return conversation.with_error(labels.error)
    predictions = [Prediction.from_dict(orjson.loads(p)) for p in labels.predictions]
    return conversation.with_predictions(predictions).with_warnings(labels.warnings)
