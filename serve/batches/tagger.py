"""The models of the service as the tagger that `dialog.annotation` labels a log with."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from dialog.conversation import Conversation, Prediction
from dialog.emotion.port import Mode
from serve.database.patience import Ended
from serve.edge import metrics
from serve.emotion import patient
from serve.emotion.deployment import JobAnswer, Labels, Turns
from serve.emotion.labeller import Labeller
from serve.emotion.long import LongJob, end_turn, take_turn


class UnderWay(patient.UnderWay, Protocol):
    """The batch, or the part of one, that is labelled."""

    fault: str | None
    """Why nothing of the batch can be labelled."""


class Models:
    """The models of the service, for a thread that has time: it waits for them however long it takes."""

    def __init__(self, labeller: Labeller, loop: asyncio.AbstractEventLoop) -> None:
        self.labeller = labeller
        self._loop = loop

    def ask(self, run: UnderWay, call: Callable[[], Any], meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Its answer, as `ask_patiently` waits for it."""
        answer = patient.ask_patiently(self._loop, call, run, meanwhile)
        if answer.error is not None:
            # A model that cannot be loaded is no fault of a conversation, so `annotate` must not take it for one.
            run.fault = answer.error
            raise Ended
        if isinstance(answer, JobAnswer):
            metrics.MODEL_SECONDS.observe(answer.model_seconds)
        return answer


class Shared(Protocol):
    """Those who label the conversations of a batch together."""

    def label(self, conversations: Sequence[Turns], version: str, mode: Mode) -> list[Labels]:
        """The labels of each, by the model of that version."""


class ServiceTagger:
    """What `annotate` needs of a tagger. Only speakers and texts make the journey."""

    def __init__(self, model: str, models: Models, shared: Shared, run: UnderWay) -> None:
        self._model = model
        self._models = models
        self._shared = shared
        self._run = run
        self.version = ""

    def find_version(self) -> None:
        """To be called before anything else."""
        self.version = self._models.ask(self._run, lambda: self._models.labeller.about(self._model)).version

    def tag(self, conversations: Sequence[Conversation], *, mode: Mode = "offline") -> list[Conversation]:
        """The conversations with their predictions, labelled by whichever workers are free."""
        labels = self._shared.label([_turns(c) for c in conversations], self.version, mode)
        return [_labelled(c, one) for c, one in zip(conversations, labels, strict=True)]

    def tag_long(
        self,
        conversation: Conversation,
        *,
        mode: Mode = "offline",
        progress: Callable[[int], None] | None = None,
        keep: Path | None = None,
    ) -> Conversation:
        """The same for one long conversation, with work that is watched, and gone on with where it was stopped. It is
        read in order, and so by one."""
        turns = _turns(conversation)
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
            answer = self._models.ask(
                self._run, lambda: self._models.labeller.label_long(job, heard), lambda: told(read[0])
            )
        finally:
            if keep is not None:
                end_turn(keep)
        metrics.MESSAGES.labels(self._model, "batches").inc(len(turns))
        return _labelled(conversation, answer.conversations[0])


def _turns(conversation: Conversation) -> Turns:
    return tuple((_clean(u.speaker), _clean(u.text)) for u in conversation.utterances)


def _clean(text: str) -> str:
    """Half a character of a broken file is no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _labelled(conversation: Conversation, labels: Labels) -> Conversation:
    if labels.error is not None:
        return conversation.with_error(labels.error)
    predictions = [Prediction.from_dict(orjson.loads(p)) for p in labels.predictions]
    return conversation.with_predictions(predictions).with_warnings(labels.warnings)
