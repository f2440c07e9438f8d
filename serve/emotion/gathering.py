"""What comes together is done by one call: beginning one costs as much as a short chat does."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

from serve.edge import metrics

_LINGER, _LINGER_SECONDS = 0.2, 0.05
"""A call waits for those whom the last one answered for this part of the time that took, and never longer than that."""


class Answered(Protocol):
    """An answer that says how long it waited, and how long the model had the call it was in."""

    @property
    def queue_seconds(self) -> float: ...

    @property
    def model_seconds(self) -> float: ...


Asked = TypeVar("Asked")
Answer = TypeVar("Answer", bound=Answered)


class _Waiting(NamedTuple, Generic[Asked, Answer]):
    asked: Asked
    answer: "asyncio.Future[Answer]"
    since: float


class Gatherer(Generic[Asked, Answer]):
    """What is asked goes out at once while fewer than `calls` are under way; what waits goes together in the next call,
    a thing of each owner in turn.

    A call holds at most `most` by the measure of `size`, or one thing. What is `large` goes out at once, by itself:
    whoever labels lets the others in between. Used in one event loop only.

    With `patience` there is one model behind the calls, and a second call would only wait for it: what comes during a
    call waits for its end, for so many seconds at most. After a call those whom it answered mostly ask again at once,
    so the next one waits a little until all of them have.
    """

    def __init__(
        self,
        call: Callable[[list[Asked]], Awaitable[list[Answer]]],
        *,
        calls: int,
        most: int,
        size: Callable[[list[Asked]], int],
        messages: Callable[[Asked], int],
        owner: Callable[[Asked], str] = lambda _: "",
        large: Callable[[Asked], bool] = lambda _: False,
        patience: float = 0.0,
    ) -> None:
        """`messages` is how many there are in one thing asked, for the figures."""
        self._call = call
        self._calls = calls
        self._most = most
        self._size = size
        self._messages = messages
        self._owner = owner
        self._large = large
        self._patience = patience
        self._expected = 0  # so many may be there soon
        self._linger_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0
        self._waiting: OrderedDict[str, deque[_Waiting[Asked, Answer]]] = OrderedDict()
        self._under_way: dict[asyncio.Task[None], list[_Waiting[Asked, Answer]]] = {}
        self._n_gathered = 0

    async def ask(self, asked: Asked) -> Answer:
        """The answer. What the call raises, everything in it raises. A call for which nobody waits is cancelled."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(asked, answer, time.perf_counter())
        if self._large(asked):
            self._go([waiting])
        else:
            self._waiting.setdefault(self._owner(asked), deque()).append(waiting)
            self._start()
        try:
            return await answer
        except asyncio.CancelledError:
            for task, taken in self._under_way.items():
                if any(one is waiting for one in taken) and all(one.answer.done() for one in taken):
                    task.cancel()
            raise

    def _start(self) -> None:
        while self._waiting and self._n_gathered < self._calls:
            if (pause := self._pause()) > 0:
                self._look_again(pause)
                return
            if not (taken := self._take()):
                return
            self._n_gathered += 1
            self._go(taken).add_done_callback(partial(self._ended, len(taken), time.perf_counter()))

    def _pause(self) -> float:
        """How long what waits is to wait yet, whatever else comes."""
        if not self._patience:
            return 0.0
        now = time.perf_counter()
        if self._n_gathered:
            return min(queue[0].since for queue in self._waiting.values()) + self._patience - now
        if self._n_waiting() >= self._expected or self._linger_until <= now:
            return 0.0
        is_full = self._size([one.asked for queue in self._waiting.values() for one in queue]) >= self._most
        return 0.0 if is_full else self._linger_until - now

    def _n_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _look_again(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None:
            if self._look_at <= when:
                return
            self._timer.cancel()
        # uvloop gives a handle without a time for what is to happen at once.
        self._timer, self._look_at = loop.call_later(seconds, self._on_time), when

    def _on_time(self) -> None:
        self._timer = None
        self._start()

    def _go(self, taken: list[_Waiting[Asked, Answer]]) -> "asyncio.Task[None]":
        # In a context of its own: what is asked by several must not end with the request of one of them.
        task = asyncio.get_running_loop().create_task(self._run(taken), context=Context())
        self._under_way[task] = taken
        task.add_done_callback(self._under_way.pop)
        return task

    def _ended(self, n_answered: int, began: float, _: "asyncio.Task[None]") -> None:
        self._n_gathered -= 1
        now = time.perf_counter()
        self._expected = n_answered + self._n_waiting()
        self._linger_until = now + min(_LINGER * (now - began), _LINGER_SECONDS)
        self._start()

    def _take(self) -> list[_Waiting[Asked, Answer]]:
        """What goes together next; whoever has gone away in the meantime is left out."""
        taken: list[_Waiting[Asked, Answer]] = []
        while self._waiting:
            owner, queue = next(iter(self._waiting.items()))
            first = queue[0]
            if not first.answer.done():
                if taken and self._size([*(waiting.asked for waiting in taken), first.asked]) > self._most:
                    break
                taken.append(first)
                self._waiting.move_to_end(owner)
            queue.popleft()
            if not queue:
                del self._waiting[owner]
        return taken

    async def _run(self, taken: list[_Waiting[Asked, Answer]]) -> None:
        waited = [time.perf_counter() - waiting.since for waiting in taken]
        try:
            answers = await self._call([waiting.asked for waiting in taken])
            for waiting, answer, seconds in zip(taken, answers, waited, strict=True):
                metrics.QUEUE_SECONDS.observe(seconds)
                if not waiting.answer.done():
                    waiting.answer.set_result(replace(answer, queue_seconds=seconds))  # type: ignore[type-var]
            metrics.BATCH_MESSAGES.observe(sum(self._messages(w.asked) for w in taken))
            metrics.MODEL_SECONDS.observe(max(answer.model_seconds for answer in answers))
        except BaseException as error:
            for waiting in taken:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
