"""Messages of live chats, many chats at once: each chat's state comes from memory, or from what was stored of it."""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialog.conversation import Caveat, Prediction
from dialog.emotion.port import EmotionEngine
from dialog.language import FOREIGN, unfamiliar
from serve.edge import logs

_MARK = 16
"""Bytes of a stored head that name the state it is of: no two states have the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One message of a live chat. `head` is the chat so far as this model sees it; None at its beginning.

    `rows` are those stored of its last messages, each with its text, oldest first; without them it is known to whoever
    has just labelled the message before this one, and to nobody else. `version` is that of the model the head comes
    from; None for any. `replay` are (speaker, text) to read first, in place of a head.
    """

    model: str
    head: bytes | None
    speaker: str
    text: str
    rows: tuple[tuple[bytes, str], ...] | None = None
    version: str | None = None
    replay: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Stepped:
    """The prediction as its JSON object, the chat's new head, and the rows of the newest messages read, oldest first;
    or an `error`, and the head as it was.

    `stale`: nothing was done, since the head comes from another version of the model. `forgotten`: nothing was done,
    since the rows are needed.
    """

    prediction: dict[str, Any] | None
    head: bytes | None
    model_version: str
    rows: tuple[bytes, ...] = ()
    reach: int = 0
    """How many rows are needed at most to go on."""
    warnings: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    stale: bool = False
    forgotten: bool = False
    n_read: int = 0
    """Messages the state has read, this one included. Causes count from the first of those."""
    queue_seconds: float = 0.0
    """How long the message waited for the call it was labelled in."""
    model_seconds: float = 0.0
    """How long that call took the model."""


class Stepper:
    """Steps of the chats of one process. What it remembers of them is a cache, of at most `room` bytes."""

    def __init__(self, room: int = 96 << 20) -> None:
        self._room = room
        self._states: OrderedDict[bytes, Any] = OrderedDict()
        self.hits = self.misses = 0
        """How many messages found their chat in memory so far, and how many brought it along."""
        self._lock = threading.Lock()

    def take(self, tagger: EmotionEngine, steps: Sequence[Step], reason: Callable[[Exception], str]) -> list[Stepped]:
        """What becomes of each step, in order, all by one call of the model; what fails, fails alone, for a `reason`.

        The cost of a step does not depend on its chat's length, but for a replay.
        """
        began = time.perf_counter()
        known = [self._state(tagger, step) for step in steps]
        answers = {i: answer for i, answer in enumerate(known) if isinstance(answer, Stepped)}
        todo = [i for i in range(len(steps)) if i not in answers]
        for i, said in zip(todo, self._together(tagger, [(known[i], steps[i]) for i in todo]), strict=True):
            if isinstance(said, Exception):
                logs.get().error("message failed", model=steps[i].model, **logs.about(said))
                answers[i] = _not(tagger, steps[i], error=reason(said))
            else:
                answers[i] = self._stepped(tagger, steps[i], *said)
        seconds = time.perf_counter() - began
        return [replace(answers[i], model_seconds=seconds) for i in range(len(steps))]

    def _state(self, tagger: EmotionEngine, step: Step) -> Any:
        """The chat before the message, or what there is to say instead."""
        if step.head is None:
            return tagger.start()
        if step.version not in (None, tagger.version):
            return _not(tagger, step, stale=True)
        with self._lock:
            state = self._states.get(step.head[:_MARK])
            self.hits += state is not None
            self.misses += state is None and step.rows is not None
        if state is not None:
            return state
        if step.rows is None:
            return _not(tagger, step, forgotten=True)
        try:
            return tagger.restore(step.head[_MARK:], step.rows)
        except ValueError:  # written by an earlier release of the service: it is made anew from the messages
            return _not(tagger, step, stale=True)

    def _together(
        self, tagger: EmotionEngine, todo: Sequence[tuple[Any, Step]]
    ) -> list[tuple[Prediction, Any] | Exception]:
        """The prediction and the state after each message. Where a call fails, each is tried alone."""
        if not todo:
            return []
        try:
            states = [_replayed(tagger, state, step) for state, step in todo]
            return list(tagger.steps(states, [(step.speaker, step.text) for _, step in todo]))
        except Exception as error:  # one message that cannot be labelled must not end another's chat
            if len(todo) == 1:
                return [error]
            return [one for alone in todo for one in self._together(tagger, [alone])]

    def _stepped(self, tagger: EmotionEngine, step: Step, prediction: Prediction, state: Any) -> Stepped:
        mark = uuid.uuid4().bytes
        self._remember(mark, state, instead_of=None if step.head is None else step.head[:_MARK])
        return Stepped(
            prediction=prediction.to_dict(),
            head=mark + state.head(),
            rows=tuple(state.rows(1 if step.head is not None else len(step.replay) + 1)),
            reach=tagger.reach,
            model_version=tagger.version,
            warnings=(Caveat("foreign", FOREIGN).to_dict(),) if unfamiliar([step.text]) else (),
            n_read=state.n_messages,
        )

    def _remember(self, mark: bytes, state: Any, *, instead_of: bytes | None) -> None:
        """The one before it stays a while: where another message was faster, this one is read again after that."""
        with self._lock:
            if instead_of is not None and instead_of in self._states:
                self._states.move_to_end(instead_of, last=False)
            self._states[mark] = state
            self._room -= state.nbytes
            while self._room < 0 and len(self._states) > 1:
                self._room += self._states.popitem(last=False)[1].nbytes


def _replayed(tagger: EmotionEngine, state: Any, step: Step) -> Any:
    for message in step.replay:
        ((_, state),) = tagger.steps([state], [message])
    return state


def _not(tagger: EmotionEngine, step: Step, **why: Any) -> Stepped:
    return Stepped(prediction=None, head=step.head, model_version=tagger.version, reach=tagger.reach, **why)
